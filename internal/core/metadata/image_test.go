package metadata

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestApplyLeavesTheOldImageAsItWas(t *testing.T) {
	one, _ := New("c").Apply(topic("a", 1, 3), 3)
	config := ConfigResource{TopicConfig, "a"}
	two, _ := one.Apply([]Record{&ConfigRecord{Resource: config, Name: "x", Value: text("1")}}, 4)
	change := NewPartitionChange(id(1), 1)
	change.Leader = 2
	three, delta := two.Apply([]Record{&ConfigRecord{Resource: config, Name: "x", Value: text("2")}, change}, 6)
	a, _ := two.Topic("a")
	if a.Partitions[1].Leader != 0 || two.Config(config)["x"] != "1" || one.Config(config) != nil {
		t.Error("an older Image changed")
	}
	b, _ := three.Topic("a")
	if b.Partitions[1].Leader != 2 || b.Partitions[1].LeaderEpoch != 1 || b.Partitions[1].PartitionEpoch != 1 {
		t.Errorf("partition %+v", b.Partitions[1])
	}
	want := []kafka.TopicPartition{{Topic: "a", Partition: 1}}
	if !slices.Equal(delta.PartitionsChanged, want) || !slices.Equal(delta.ConfigsChanged, []ConfigResource{config}) {
		t.Errorf("delta %+v", delta)
	}
}

func topic(name string, n byte, partitions int) []Record {
	recs := []Record{&TopicRecord{Name: name, ID: id(n)}}
	for i := range partitions {
		recs = append(recs, &PartitionRecord{Topic: id(n), Partition: int32(i), Replicas: []kafka.NodeID{0}, ISR: []kafka.NodeID{0}})
	}
	return recs
}

func TestReplacedTopicIsDeletedAndCreated(t *testing.T) {
	one, _ := New("c").Apply(topic("a.b", 1, 1), 1)
	two, delta := one.Apply(append([]Record{&RemoveTopicRecord{ID: id(1)}}, topic("a.b", 2, 2)...), 5)
	if len(delta.TopicsDeleted) != 1 || delta.TopicsDeleted[0].ID != id(1) || len(delta.TopicsCreated) != 1 || delta.TopicsCreated[0].ID != id(2) {
		t.Errorf("delta %+v", delta)
	}
	if other, ok := two.Colliding("a_b"); !ok || other != "a.b" {
		t.Errorf("colliding %q %v", other, ok)
	}
	if _, ok := two.TopicByID(id(1)); ok {
		t.Error("the old id is still known")
	}
	three, delta := two.Apply(append(topic("c", 3, 1), &RemoveTopicRecord{ID: id(3)}), 8)
	if !delta.Empty() || three.TopicCount() != 1 {
		t.Errorf("a topic that came and went: %+v", delta)
	}
}

func TestReplayRefusesContradictions(t *testing.T) {
	img, _ := New("c").Apply(append(topic("a", 1, 1), &RegisterBrokerRecord{Node: 1, Epoch: 5}), 2)
	for name, r := range map[string]Record{
		"same name":           &TopicRecord{Name: "a", ID: id(2)},
		"same id":             &TopicRecord{Name: "b", ID: id(1)},
		"unknown topic":       &PartitionRecord{Topic: id(9)},
		"partition gap":       &PartitionRecord{Topic: id(1), Partition: 5},
		"negative partition":  &PartitionRecord{Topic: id(1), Partition: -1},
		"change of none":      NewPartitionChange(id(1), 1),
		"change of unknown":   NewPartitionChange(id(9), 0),
		"remove unknown":      &RemoveTopicRecord{ID: id(9)},
		"fence unknown":       FenceBroker(2, 5),
		"fence stale epoch":   FenceBroker(1, 4),
		"unfence stale":       UnfenceBroker(1, 4),
		"unregister stale":    UnregisterBroker(1, 4),
		"registration change": &BrokerRegistrationChangeRecord{Node: 1, Epoch: 4},
	} {
		if _, _, err := img.Replay([]Record{r}, 3); !errors.Is(err, ErrCorruptRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRandomChangesAgreeWithTheWhole applies random records in batches of random size, and compares every Delta with what
// a walk over both Images finds, and the Image with the one made of its own snapshot.
func TestRandomChangesAgreeWithTheWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	img := New("c")
	next := byte(0)
	for round := range 2000 {
		var recs []Record
		now := img
		for range 1 + rng.IntN(4) {
			one := randomChange(rng, now, &next)
			recs = append(recs, one...)
			now, _ = now.Apply(one, now.Offset()+1)
		}
		after, delta := img.Apply(recs, img.Offset()+kafka.Offset(len(recs)))
		if want := after.Since(img); fmt.Sprintf("%+v", *delta) != fmt.Sprintf("%+v", *want) {
			t.Fatalf("round %d: %v: delta %+v, want %+v", round, recs, delta, want)
		}
		again, _ := New("c").Apply(after.Records(), after.Offset())
		if !again.Equal(after) {
			t.Fatalf("round %d: the snapshot's Image differs: %+v", round, again.Since(after))
		}
		img = after
	}
}

func randomChange(rng *rand.Rand, img *Image, next *byte) []Record {
	topics := slices.Collect(img.Topics())
	config := ConfigResource{TopicConfig, fmt.Sprintf("t%d", rng.IntN(5))}
	switch n := rng.IntN(12); {
	case n < 3:
		name := fmt.Sprintf("t%d", rng.IntN(8))
		if _, ok := img.Topic(name); ok {
			return []Record{&NoOpRecord{}}
		}
		*next++
		if _, ok := img.TopicByID(id(*next)); ok {
			return nil
		}
		return topic(name, *next, 1+rng.IntN(3))
	case n < 5 && len(topics) > 0:
		return []Record{&RemoveTopicRecord{ID: topics[rng.IntN(len(topics))].ID}}
	case n < 8 && len(topics) > 0:
		t := topics[rng.IntN(len(topics))]
		change := NewPartitionChange(t.ID, int32(rng.IntN(len(t.Partitions))))
		change.Leader, change.ISR = kafka.NodeID(rng.IntN(3)), []kafka.NodeID{kafka.NodeID(rng.IntN(3))}
		return []Record{change}
	case n == 8:
		return []Record{&ConfigRecord{Resource: config, Name: "k", Value: text(fmt.Sprint(rng.IntN(3)))}}
	case n == 9:
		return []Record{&ConfigRecord{Resource: config, Name: "k"}}
	case n == 10:
		return []Record{&RegisterBrokerRecord{Node: kafka.NodeID(rng.IntN(4)), Epoch: int64(rng.IntN(3)), Fenced: rng.IntN(2) == 0}}
	}
	if nodes := img.Nodes(); len(nodes) > 0 && rng.IntN(2) == 0 {
		n := nodes[rng.IntN(len(nodes))]
		return [][]Record{{FenceBroker(n.ID, n.Epoch)}, {UnfenceBroker(n.ID, n.Epoch)}, {UnregisterBroker(n.ID, n.Epoch)}}[rng.IntN(3)]
	}
	return []Record{&FeatureLevelRecord{Name: fmt.Sprintf("f%d", rng.IntN(3)), Level: int16(rng.IntN(3))}}
}

// TestTreeAgreesWithAMap checks order, content and balance after random changes, and that older trees stay.
func TestTreeAgreesWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	tr := newTree[string, int](strings.Compare)
	model := map[string]int{}
	for i := range 5000 {
		key := fmt.Sprint(rng.IntN(300))
		old, oldSize := tr, tr.size
		if rng.IntN(2) == 0 {
			tr, model[key] = tr.set(key, i), i
		} else {
			tr = tr.remove(key)
			delete(model, key)
		}
		if old.size != oldSize || tr.size != len(model) {
			t.Fatalf("size %d, want %d", tr.size, len(model))
		}
		checkBalance(t, tr.root)
	}
	var keys []string
	for k, v := range tr.all() {
		if model[k] != v {
			t.Errorf("%s is %d, want %d", k, v, model[k])
		}
		keys = append(keys, k)
	}
	if !slices.Equal(keys, slices.Sorted(maps.Keys(model))) {
		t.Error("keys are not those of the map in order")
	}
	var from []string
	for k := range tr.from("15") {
		from = append(from, k)
	}
	i, _ := slices.BinarySearch(keys, "15")
	if !slices.Equal(from, keys[i:]) {
		t.Errorf("from 15: %v", from)
	}
}

// TestReplacedValuesAreSeenInNoOlderTree mixes changes in place, by one owner after the other, with changes that copy.
func TestReplacedValuesAreSeenInNoOlderTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 8))
	tr := newTree[string, int](strings.Compare)
	model := map[string]int{}
	type version struct {
		tree  tree[string, int]
		model map[string]int
	}
	var seen []version
	by := &owner{}
	for i := range 5000 {
		key := fmt.Sprint(rng.IntN(100))
		_, there := model[key]
		switch n := rng.IntN(20); {
		case n == 0:
			seen, by = append(seen, version{tr, maps.Clone(model)}), &owner{}
		case n < 4 && there:
			tr = tr.remove(key)
			delete(model, key)
		case there:
			tr, model[key] = tr.replace(key, i, by), i
		default:
			tr, model[key] = tr.set(key, i), i
		}
	}
	for i, v := range append(seen, version{tr, model}) {
		if got := maps.Collect(v.tree.all()); !maps.Equal(got, v.model) || v.tree.size != len(v.model) {
			t.Fatalf("version %d is %v, was %v", i, got, v.model)
		}
	}
}

func checkBalance(t *testing.T, b *branch[string, int]) {
	if b == nil {
		return
	}
	if d := b.left.depth() - b.right.depth(); d > 1 || d < -1 || b.height != 1+max(b.left.depth(), b.right.depth()) {
		t.Fatalf("out of balance at %s", b.key)
	}
	checkBalance(t, b.left)
	checkBalance(t, b.right)
}

// BenchmarkChangeOneTopicOfTenThousand is about structural sharing: it must not depend on the number of topics much.
func BenchmarkChangeOneTopicOfTenThousand(b *testing.B) {
	img := New("c")
	for i := range 10000 {
		id := kafka.TopicID{14: byte(i >> 8), 15: byte(i)}
		img, _ = img.Apply([]Record{
			&TopicRecord{Name: fmt.Sprintf("topic-%d", i), ID: id},
			&PartitionRecord{Topic: id, Replicas: []kafka.NodeID{0}, ISR: []kafka.NodeID{0}},
		}, kafka.Offset(i))
	}
	change := []Record{NewPartitionChange(kafka.TopicID{15: 7}, 0)}
	b.ReportAllocs()
	for b.Loop() {
		img, _ = img.Apply(change, img.Offset()+1)
	}
}

package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// cluster makes an Image of nodes 0, 1, … on the racks given; "" is no rack. Those in fenced are fenced, those in cordoned
// are cordoned.
func cluster(racks []string, fenced, cordoned []int) *metadata.Image {
	var recs []metadata.Record
	for i, name := range racks {
		r := &metadata.RegisterBrokerRecord{Node: kafka.NodeID(i), Fenced: slices.Contains(fenced, i)}
		if name != "" {
			r.Rack = &name
		}
		recs = append(recs, r)
		if all := "*"; slices.Contains(cordoned, i) {
			recs = append(recs, &metadata.ConfigRecord{
				Resource: metadata.ConfigResource{Type: metadata.BrokerConfig, Name: strconv.Itoa(i)}, Name: "cordoned.log.dirs", Value: &all})
		}
	}
	img, _ := metadata.New("c").Apply(recs, kafka.Offset(len(recs)))
	return img
}

// tally counts what nodes lead, hold, and take over from each leader.
type tally struct {
	leads, holds map[kafka.NodeID]int
	heirs        map[[2]kafka.NodeID]int
}

func tallyOf(placed [][]kafka.NodeID) tally {
	c := tally{map[kafka.NodeID]int{}, map[kafka.NodeID]int{}, map[[2]kafka.NodeID]int{}}
	for _, replicas := range placed {
		c.leads[replicas[0]]++
		for _, id := range replicas {
			c.holds[id]++
		}
		if len(replicas) > 1 {
			c.heirs[[2]kafka.NodeID{replicas[0], replicas[1]}]++
		}
	}
	return c
}

// gap is the difference between the most and the least that one of n nodes has.
func gap(of map[kafka.NodeID]int, n int) int {
	least, most := of[0], of[0]
	for id := range kafka.NodeID(n) {
		least, most = min(least, of[id]), max(most, of[id])
	}
	return most - least
}

func TestATopicIsSpreadEvenly(t *testing.T) {
	for n := 1; n <= 9; n++ {
		for factor := 1; factor <= min(n, 5); factor++ {
			for _, partitions := range []int{1, 2, 3, n, 3*n + 1, 40, 500} {
				name := fmt.Sprintf("%d nodes, %d partitions of %d replicas", n, partitions, factor)
				for seed := range uint64(5) {
					placed, p := newPlacement(cluster(make([]string, n), nil, nil)).place(nil, partitions, factor, rand.New(rand.NewPCG(seed, 1)))
					if p != nil || len(placed) != partitions {
						t.Fatal(name, p, len(placed))
					}
					for _, replicas := range placed {
						if sorted := slices.Sorted(slices.Values(replicas)); len(slices.Compact(sorted)) != factor {
							t.Fatalf("%s: %v", name, replicas)
						}
					}
					c := tallyOf(placed)
					// That heirs differ may cost replicas a second one.
					if gap(c.leads, n) > 1 || gap(c.holds, n) > 2 {
						t.Errorf("%s: leaders %v, replicas %v", name, c.leads, c.holds)
					}
				}
			}
		}
	}
}

func TestWhatADeadNodeLedFallsOnMany(t *testing.T) {
	const n = 5
	placed, _ := newPlacement(cluster(make([]string, n), nil, nil)).place(nil, 4*n*(n-1), 3, rand.New(rand.NewPCG(3, 1)))
	c := tallyOf(placed)
	for leader := range kafka.NodeID(n) {
		for heir := range kafka.NodeID(n) {
			if got := c.heirs[[2]kafka.NodeID{leader, heir}]; heir != leader && (got < 2 || got > 6) {
				t.Errorf("node %d takes over %d partitions from %d, 4 would be even", heir, got, leader)
			}
		}
	}
}

func TestReplicasAreOnAsManyRacksAsCanBe(t *testing.T) {
	for _, racks := range [][]string{
		{"a", "a", "b", "b", "c", "c"}, {"a", "b", "b", "b"}, {"a", "a", "a", "b", "c"}, {"", "", "a"}, {"a", "b", "c", "d", "e", "e", "e"},
	} {
		distinct := len(slices.Compact(slices.Sorted(slices.Values(racks))))
		for factor := 1; factor <= min(4, len(racks)); factor++ {
			placed, p := newPlacement(cluster(racks, nil, nil)).place(nil, 30, factor, rand.New(rand.NewPCG(9, uint64(factor))))
			if p != nil {
				t.Fatal(p)
			}
			for _, replicas := range placed {
				on := map[string]bool{}
				for _, id := range replicas {
					on[racks[id]] = true
				}
				if len(on) != min(factor, distinct) {
					t.Fatalf("racks %v: %v", racks, replicas)
				}
			}
			if c := tallyOf(placed); gap(c.leads, len(racks)) > 1 {
				t.Errorf("racks %v, %d replicas: leaders %v", racks, factor, c.leads)
			}
		}
	}
}

// create places a topic and has the Image know it.
func create(t *testing.T, img *metadata.Image, n, partitions, factor int) *metadata.Image {
	t.Helper()
	s := &step{img: img, rnd: rand.New(rand.NewPCG(uint64(n), 1))}
	placed, p := s.placement().place(nil, partitions, factor, s.rnd)
	if p != nil {
		t.Fatal(p)
	}
	id := kafka.TopicID{0: byte(n >> 8), 1: byte(n), 15: 1}
	recs := []metadata.Record{&metadata.TopicRecord{Name: fmt.Sprintf("t%d", n), ID: id}}
	for i, replicas := range placed {
		recs = append(recs, &metadata.PartitionRecord{Topic: id, Partition: int32(i), Replicas: replicas, ISR: replicas, Leader: replicas[0]})
	}
	img, _ = img.Apply(recs, img.Offset()+kafka.Offset(len(recs)))
	return img
}

func holdings(img *metadata.Image) tally {
	var all [][]kafka.NodeID
	for topic := range img.Topics() {
		for _, p := range topic.Partitions {
			all = append(all, p.Replicas)
		}
	}
	return tallyOf(all)
}

func TestManySmallTopicsFillTheClusterEvenly(t *testing.T) {
	img := cluster([]string{"a", "a", "b", "b", "c", "c"}, nil, nil)
	for i := range 100 {
		img = create(t, img, i, 1+i%2, 1+i%3)
	}
	c := holdings(img)
	if gap(c.leads, 6) > 1 || gap(c.holds, 6) > 2 {
		t.Errorf("leaders %v, replicas %v", c.leads, c.holds)
	}
}

func TestANodeThatHoldsLessGetsWhatIsLeftOverAndNotTheWholeTopic(t *testing.T) {
	img := cluster(make([]string, 3), []int{2}, nil)
	for i := range 20 {
		img = create(t, img, i, 4, 2)
	}
	before := holdings(img)
	img, _ = img.Apply([]metadata.Record{metadata.UnfenceBroker(2, 0)}, img.Offset()+1)
	one, many := create(t, img, 100, 1, 1), create(t, img, 100, 4, 1)
	if c := holdings(one); c.leads[2] != 1 || before.holds[2] != 0 {
		t.Errorf("one partition: %v", c.leads)
	}
	if c := holdings(many); c.leads[2] != 2 || c.leads[0] == before.leads[0] || c.leads[1] == before.leads[1] {
		t.Errorf("four partitions: %v after %v", c.leads, before.leads)
	}
}

func TestFencedNodesOnlyFillUpAndCordonedNodesAreLeftOut(t *testing.T) {
	img := cluster([]string{"a", "b", "c", "d"}, []int{1}, []int{3})
	placed, p := newPlacement(img).place(nil, 12, 3, rand.New(rand.NewPCG(1, 1)))
	if p != nil {
		t.Fatal(p)
	}
	for _, replicas := range placed {
		if replicas[2] != 1 || slices.Contains(replicas, 3) {
			t.Fatal(replicas)
		}
	}
	if c := tallyOf(placed); c.leads[0] != 6 || c.leads[2] != 6 {
		t.Error(c.leads)
	}
	if _, p := newPlacement(img).place(nil, 1, 4, rand.New(rand.NewPCG(1, 1))); p == nil || p.Message != "The target replication factor of 4 "+
		"cannot be reached because only 3 broker(s) are registered or some brokers have all their log directories cordoned." {
		t.Error(p)
	}
	if _, p := newPlacement(cluster([]string{"", ""}, []int{0}, []int{1})).place(nil, 1, 1, rand.New(rand.NewPCG(1, 1))); p == nil {
		t.Error("placed on a fenced or cordoned node")
	}
}

func TestMorePartitionsOfATopicLevelItOut(t *testing.T) {
	img := cluster(make([]string, 3), nil, nil)
	have := []metadata.Partition{{Replicas: []kafka.NodeID{0}}, {Replicas: []kafka.NodeID{0}}, {Replicas: []kafka.NodeID{1}}}
	placed, p := newPlacement(img).place(have, 3, 1, rand.New(rand.NewPCG(1, 1)))
	if p != nil {
		t.Fatal(p)
	}
	if c := tallyOf(placed); c.leads[0] != 0 || c.leads[1] != 1 || c.leads[2] != 2 {
		t.Error(placed)
	}
}

// A replica that is about to go does not count, one that is about to come does.
func TestAReassignmentCountsByItsEnd(t *testing.T) {
	leader, replicas := futureReplicas(&metadata.Partition{Replicas: []kafka.NodeID{4, 5, 1, 2}, AddingReplicas: []kafka.NodeID{4, 5}, RemovingReplicas: []kafka.NodeID{1, 2}})
	if leader != 4 || !slices.Equal(replicas, []kafka.NodeID{4, 5}) {
		t.Error(leader, replicas)
	}
}

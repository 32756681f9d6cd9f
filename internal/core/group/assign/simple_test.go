package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func shareTopic(n byte) kafka.TopicID { return kafka.TopicID{n} }

// upTo lists partitions 0 to n-1 of each topic.
func upTo(n map[kafka.TopicID]int32) func(kafka.TopicID) []int32 {
	return func(id kafka.TopicID) []int32 {
		var all []int32
		for p := range n[id] {
			all = append(all, p)
		}
		return all
	}
}

func TestSimpleSharesPartitions(t *testing.T) {
	a, b := shareTopic(1), shareTopic(2)
	for _, c := range []struct {
		name    string
		members []Member
		topics  map[kafka.TopicID]int32
		want    []string
	}{
		{"more partitions than members", []Member{{ID: "x", Subscribed: []kafka.TopicID{a}}, {ID: "y", Subscribed: []kafka.TopicID{a}}},
			map[kafka.TopicID]int32{a: 5}, []string{"a0 a2 a4", "a1 a3"}},
		{"more members than partitions", []Member{{ID: "x", Subscribed: []kafka.TopicID{a}}, {ID: "y", Subscribed: []kafka.TopicID{a}},
			{ID: "z", Subscribed: []kafka.TopicID{a}}}, map[kafka.TopicID]int32{a: 2}, []string{"a0 a1", "a0", "a1"}},
		{"several topics together", []Member{{ID: "x", Subscribed: []kafka.TopicID{a, b}}, {ID: "y", Subscribed: []kafka.TopicID{b, a}}},
			map[kafka.TopicID]int32{a: 1, b: 1}, []string{"a0", "b0"}},
		{"each topic by itself", []Member{{ID: "x", Subscribed: []kafka.TopicID{a, b}}, {ID: "y", Subscribed: []kafka.TopicID{b}}},
			map[kafka.TopicID]int32{a: 1, b: 2}, []string{"a0 b0", "b1"}},
		{"what members have stays", []Member{{ID: "x", Subscribed: []kafka.TopicID{a}, Assigned: Assignment{a: {1, 2}}},
			{ID: "y", Subscribed: []kafka.TopicID{a}, Assigned: Assignment{a: {0}}}}, map[kafka.TopicID]int32{a: 4}, []string{"a1 a2", "a0 a3"}},
		{"topics that are left, or gone", []Member{{ID: "x", Subscribed: []kafka.TopicID{b}, Assigned: Assignment{a: {0}, b: {0, 1}}}},
			map[kafka.TopicID]int32{a: 1, b: 1}, []string{"b0"}},
		{"nothing can be assigned", []Member{{ID: "x", Subscribed: []kafka.TopicID{a}}, {ID: "y"}}, nil, []string{"", ""}},
	} {
		got := Simple(c.members, upTo(c.topics))
		for i := range c.want {
			text := ""
			for _, id := range []kafka.TopicID{a, b} {
				for _, p := range got[i][id] {
					if text != "" {
						text += " "
					}
					text += fmt.Sprintf("%c%d", 'a'+id[0]-1, p)
				}
			}
			if text != c.want[i] {
				t.Errorf("%s: member %d gets %q, want %q", c.name, i, text, c.want[i])
			}
		}
	}
}

// Groups that change: each partition has a member, no member is without where all could have one, all have about the same,
// nobody is given what it did not ask for, and nothing moves when nothing has changed.
func TestSimpleIsFairAndStaysThatWay(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 5))
		topics := map[kafka.TopicID]int32{}
		var ids []kafka.TopicID
		for n := range byte(1 + rng.IntN(3)) {
			ids = append(ids, shareTopic(n))
			topics[shareTopic(n)] = 1 + rng.Int32N(12)
		}
		var members []Member
		for step := range 12 {
			if rng.IntN(3) > 0 || len(members) == 0 {
				members = append(members, Member{ID: fmt.Sprint("m", rng.IntN(1000), "-", step), Subscribed: slices.Clone(ids)})
			} else {
				i := rng.IntN(len(members))
				members = slices.Delete(members, i, i+1)
			}
			if rng.IntN(4) == 0 {
				topics[ids[0]]++
			}
			if len(members) == 0 {
				continue
			}
			checkFair(t, members, topics)
			for i, a := range Simple(members, upTo(topics)) {
				members[i].Assigned = a
			}
			again := Simple(members, upTo(topics))
			for i := range members {
				if !again[i].Equal(members[i].Assigned) {
					t.Errorf("%v moves to %v", members[i].Assigned, again[i])
				}
			}
		}
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

func checkFair(t *testing.T, members []Member, topics map[kafka.TopicID]int32) {
	t.Helper()
	result := Simple(members, upTo(topics))
	partitions, fewest, most := 0, 1<<30, 0
	for _, a := range result {
		fewest, most = min(fewest, a.Len()), max(most, a.Len())
	}
	for id, n := range topics {
		for p := range n {
			partitions++
			holders := 0
			for _, a := range result {
				if a.Has(id, p) {
					holders++
				}
			}
			if sharing := (len(members) + sum(topics) - 1) / sum(topics); holders == 0 || holders > sharing {
				t.Errorf("partition %d of %v has %d members, of %d for %d", p, id, holders, len(members), sum(topics))
			}
		}
	}
	reversed := slices.Clone(members)
	slices.Reverse(reversed)
	for i, a := range Simple(reversed, upTo(topics)) {
		if !a.Equal(result[len(members)-1-i]) {
			t.Errorf("the order of members matters: %v and %v", a, result[len(members)-1-i])
		}
	}
	if fewest == 0 || most-fewest > 1 {
		t.Errorf("%d members have %d to %d of %d partitions: %v", len(members), fewest, most, partitions, result)
	}
}

func sum(topics map[kafka.TopicID]int32) int {
	n := 0
	for _, p := range topics {
		n += int(p)
	}
	return n
}

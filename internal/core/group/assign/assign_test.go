package assign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

// world is topics by the last byte of their id.
type world map[byte]struct {
	partitions int32
	racks      []string // partition p has its one replica in racks[p%len]
}

func (w world) Partitions(id kafka.TopicID) int32 { return w[id[15]].partitions }

func (w world) Racks(id kafka.TopicID, p int32) []string {
	if racks := w[id[15]].racks; len(racks) > 0 {
		return racks[int(p)%len(racks) : int(p)%len(racks)+1]
	}
	return nil
}

func topic(n byte) kafka.TopicID { return kafka.TopicID{15: n} }

func topics(ns ...byte) []kafka.TopicID {
	ids := make([]kafka.TopicID, len(ns))
	for i, n := range ns {
		ids[i] = topic(n)
	}
	return ids
}

func plain(partitions ...int32) world {
	w := world{}
	for i, n := range partitions {
		e := w[byte(i)]
		e.partitions = n
		w[byte(i)] = e
	}
	return w
}

// show prints an assignment as "0:0 1 2 | 1:3".
func show(a Assignment) string {
	s := ""
	for _, id := range slices.SortedFunc(maps.Keys(a), func(x, y kafka.TopicID) int { return slices.Compare(x[:], y[:]) }) {
		if s != "" {
			s += " | "
		}
		s += fmt.Sprintf("%d:%s", id[15], fmt.Sprint(a[id])[1:len(fmt.Sprint(a[id]))-1])
	}
	return s
}

func TestRangeGivesRunsAndKeepsEqualTopicsTogether(t *testing.T) {
	i1, i2 := "i1", "i2"
	members := []Member{
		{ID: "a", Subscribed: topics(0, 1)},
		{ID: "z", Instance: &i1, Subscribed: topics(0, 1)},
		{ID: "m", Instance: &i2, Subscribed: topics(0, 1, 2)},
	}
	got := Range(members, plain(4, 4, 2))
	for i, want := range []string{"0:3 | 1:3", "0:0 1 | 1:0 1", "0:2 | 1:2 | 2:0 1"} {
		if show(got[i]) != want {
			t.Errorf("member %s has %s, want %s", members[i].ID, show(got[i]), want)
		}
	}
}

func TestUniformMovesOnlyWhatItMust(t *testing.T) {
	w := plain(6)
	members := []Member{{ID: "a", Subscribed: topics(0)}, {ID: "b", Subscribed: topics(0)}}
	first := Uniform(members, w)
	if show(first[0]) != "0:0 1 2" || show(first[1]) != "0:3 4 5" {
		t.Fatalf("two members have %s and %s", show(first[0]), show(first[1]))
	}
	for i := range members {
		members[i].Assigned = first[i]
	}
	members = append(members, Member{ID: "c", Subscribed: topics(0)})
	got := Uniform(members, w)
	for i, want := range []string{"0:0 1", "0:3 4", "0:2 5"} {
		if show(got[i]) != want {
			t.Errorf("member %s has %s, want %s", members[i].ID, show(got[i]), want)
		}
	}
}

func TestUniformPrefersTheRackOfAReplica(t *testing.T) {
	w := world{0: {partitions: 4, racks: []string{"r1", "r2"}}, 1: {partitions: 2, racks: []string{"r3"}}}
	for name, extra := range map[string][]kafka.TopicID{"homogeneous": topics(0), "heterogeneous": topics(0, 1)} {
		members := []Member{
			{ID: "a", Rack: "r2", Subscribed: topics(0)}, {ID: "b", Rack: "r1", Subscribed: extra},
		}
		got := Uniform(members, w)
		if !got[0].Has(topic(0), 1) || !got[0].Has(topic(0), 3) {
			t.Errorf("%s: the member in r2 has %s, the one in r1 %s", name, show(got[0]), show(got[1]))
		}
	}
}

func TestTopicsThatAreGoneAreNotAssigned(t *testing.T) {
	for _, name := range Names() {
		members := []Member{{ID: "a", Subscribed: topics(0, 9), Assigned: Assignment{topic(9): {0}, topic(0): {0, 1, 7}}}}
		if got := ByName(name)(members, plain(2)); show(got[0]) != "0:0 1" {
			t.Errorf("%s: %s", name, show(got[0]))
		}
		if got := ByName(name)(nil, plain(2)); len(got) != 0 {
			t.Errorf("%s: %d assignments for no members", name, len(got))
		}
	}
}

// TestAnyGroupIsAssignedWhole walks random groups through random changes: every partition with a subscriber has one owner,
// who subscribes to it; uniform leaves no move that would help; and what did not change does not move.
func TestAnyGroupIsAssignedWhole(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		name := Names()[seed%2]
		g := randomGroup(rnd)
		for round := range 6 {
			got := ByName(name)(g.members, g.topics)
			g.check(t, fmt.Sprintf("seed %d, %s, round %d", seed, name, round), name == UniformName, got)
			for i := range g.members {
				g.members[i].Assigned = got[i]
			}
			rnd.Shuffle(len(g.members), func(i, j int) { g.members[i], g.members[j] = g.members[j], g.members[i] })
			again := ByName(name)(g.members, g.topics)
			for i := range g.members {
				if !again[i].Equal(g.members[i].Assigned) {
					t.Fatalf("seed %d, %s: nothing changed, and %s had %s and gets %s", seed, name, g.members[i].ID, show(g.members[i].Assigned), show(again[i]))
				}
			}
			g.change(rnd)
		}
	}
}

type randomized struct {
	members []Member
	topics  world
	next    int
	same    bool // all members subscribe alike
}

func randomGroup(rnd *rand.Rand) *randomized {
	g := &randomized{topics: world{}, same: rnd.IntN(2) == 0}
	for i := range 1 + rnd.IntN(6) {
		e := g.topics[byte(i)]
		e.partitions, e.racks = rnd.Int32N(12), []string{"r1", "r2", "r3"}
		g.topics[byte(i)] = e
	}
	for range 1 + rnd.IntN(8) {
		g.join(rnd)
	}
	return g
}

func (g *randomized) join(rnd *rand.Rand) {
	g.next++
	m := Member{ID: fmt.Sprintf("m%03d", rnd.IntN(1000)*100+g.next), Rack: []string{"", "r1", "r2"}[rnd.IntN(3)]}
	for id := range byte(8) {
		if g.same || rnd.IntN(2) == 0 {
			m.Subscribed = append(m.Subscribed, topic(id))
		}
	}
	g.members = append(g.members, m)
}

func (g *randomized) change(rnd *rand.Rand) {
	switch rnd.IntN(3) {
	case 0:
		g.join(rnd)
	case 1:
		g.members = slices.Delete(g.members, 0, min(len(g.members), rnd.IntN(3)))
	default:
		id := byte(rnd.IntN(8))
		e := g.topics[id]
		e.partitions += rnd.Int32N(5)
		g.topics[id] = e
	}
}

func (g *randomized) check(t *testing.T, where string, uniform bool, got []Assignment) {
	t.Helper()
	owner := map[kafka.TopicID]map[int32]int{}
	for i, a := range got {
		for id, partitions := range a {
			if !slices.Contains(g.members[i].Subscribed, id) || len(partitions) == 0 || !slices.IsSorted(partitions) {
				t.Fatalf("%s: %s, who wants %v, has %v of %v", where, g.members[i].ID, g.members[i].Subscribed, partitions, id)
			}
			for _, p := range partitions {
				if owner[id] == nil {
					owner[id] = map[int32]int{}
				}
				if other, twice := owner[id][p]; twice {
					t.Fatalf("%s: %v-%d belongs to %s and %s", where, id, p, g.members[other].ID, g.members[i].ID)
				}
				owner[id][p] = i
			}
		}
	}
	for i, m := range g.members {
		for _, id := range m.Subscribed {
			if len(owner[id]) != int(g.topics.Partitions(id)) {
				t.Fatalf("%s: %d of %d partitions of %v are assigned", where, len(owner[id]), g.topics.Partitions(id), id)
			}
			for p, o := range owner[id] {
				if uniform && got[o].Len()-got[i].Len() > 1 {
					t.Fatalf("%s: %v-%d belongs to %s with %d partitions and %s has %d", where, id, p, g.members[o].ID, got[o].Len(), m.ID, got[i].Len())
				}
			}
		}
	}
}

func TestUniformMovesNoMoreThanTheQuotaNeeds(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w, g := plain(rnd.Int32N(40)+1), &randomized{same: true}
		for range 2 + rnd.IntN(8) {
			g.join(rnd)
		}
		for i, a := range Uniform(g.members, w) {
			g.members[i].Assigned = a
		}
		g.join(rnd)
		got := Uniform(g.members, w)
		moved := 0
		for i, m := range g.members {
			for _, p := range m.Assigned[topic(0)] {
				if !got[i].Has(topic(0), p) {
					moved++
				}
			}
		}
		if newcomer := got[len(got)-1].Len(); moved != newcomer {
			t.Errorf("seed %d: %d partitions moved, the new member has %d", seed, moved, newcomer)
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	for _, size := range []struct{ members, topics, partitions int }{{100, 10, 100}, {1000, 10, 1000}, {1000, 250, 40}} {
		for _, kind := range []string{"uniform", "range", "uniform-mixed"} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", kind, size.members, size.topics, size.partitions), func(b *testing.B) {
				w := world{}
				var ids []kafka.TopicID
				for i := range size.topics {
					e := w[byte(i)]
					e.partitions = int32(size.partitions)
					w[byte(i)] = e
					ids = append(ids, topic(byte(i)))
				}
				members := make([]Member, size.members)
				for i := range members {
					members[i] = Member{ID: fmt.Sprintf("member-%d", i), Subscribed: ids}
				}
				assignor := Uniform
				switch kind {
				case "range":
					assignor = Range
				case "uniform-mixed":
					members[0].Subscribed = ids[:len(ids)/2]
				}
				for i, a := range assignor(members[1:], w) {
					members[i+1].Assigned = a
				}
				b.ReportAllocs()
				for b.Loop() {
					assignor(members, w)
				}
			})
		}
	}
}

func TestOfTwoOwnersTheFirstKeepsThePartition(t *testing.T) {
	members := []Member{
		{ID: "b", Subscribed: topics(0), Assigned: Assignment{topic(0): {0}}},
		{ID: "a", Subscribed: topics(0), Assigned: Assignment{topic(0): {0}}},
	}
	if got := Uniform(members, plain(2)); show(got[0]) != "0:1" || show(got[1]) != "0:0" {
		t.Errorf("b has %s and a has %s", show(got[0]), show(got[1]))
	}
}

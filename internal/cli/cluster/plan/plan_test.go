package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nodes reads "1/a 2/b 3/b!": ids, racks, and a ! for cordoned.
func nodes(text string) []Node {
	var all []Node
	for _, word := range strings.Fields(text) {
		word, cordoned := strings.CutSuffix(word, "!")
		id, rack, _ := strings.Cut(word, "/")
		n, _ := strconv.Atoi(id)
		all = append(all, Node{ID: int32(n), Rack: rack, Cordoned: cordoned})
	}
	return all
}

// partitions reads "a 1,2 2,3 | b 3,1": topics with the replicas of each partition.
func partitions(text string) []Partition {
	var all []Partition
	for _, topic := range strings.Split(text, "|") {
		words := strings.Fields(topic)
		for i, list := range words[1:] {
			p := Partition{Topic: words[0], Number: int32(i), Bytes: 10}
			for _, id := range strings.Split(list, ",") {
				n, _ := strconv.Atoi(id)
				p.Replicas = append(p.Replicas, int32(n))
			}
			all = append(all, p)
		}
	}
	return all
}

func show(moves []Move) string {
	var b strings.Builder
	for _, m := range moves {
		fmt.Fprintf(&b, "%s %v>%v ", m.Name(), m.Replicas, m.To)
	}
	return strings.TrimSpace(b.String())
}

func TestBalance(t *testing.T) {
	for _, c := range []struct{ name, nodes, partitions, want string }{
		{"what is even stays", "1 2 3", "a 1,2 2,3 3,1 | b 1 2 3", ""},
		{"a difference of one stays", "1 2", "a 1 2 1", ""},
		{"a node that is new gets its share", "1 2 3", "a 1 2 1 2 1 2", "a:0 [1]>[3] a:1 [2]>[3]"},
		{"leaders move without replicas", "1 2", "a 1,2 1,2 1,2 2,1", "a:0 [1 2]>[2 1]"},
		{"replicas go to other racks", "1/a 2/a 3/b 4/b", "a 1,2 3,4 | b 1,3 2,4", "a:0 [1 2]>[4 1] a:1 [3 4]>[3 2]"},
		{"racks count for more than even loads", "1/a 2/b 3/b 4/b", "a 1,2 1,3 1,4 1,2", "a:0 [1 2]>[2 1] a:1 [1 3]>[3 1] a:2 [1 4]>[4 1]"},
		{"nothing comes to a cordoned node", "1 2 3!", "a 1 1 1 1", "a:0 [1]>[2] a:1 [1]>[2]"},
		{"a cordoned node gives", "1 2 3!", "a 3 3 3", "a:0 [3]>[1] a:1 [3]>[2]"},
		{"what a dead node holds is left alone", "1 2", "a 1,9 1,9 1,9 2,9", ""},
		{"nodes that hold nothing and can take nothing", "1 2!", "a 1 1", ""},
		{"nothing at all", "1", "a", ""},
	} {
		moves := Balance(nodes(c.nodes), partitions(c.partitions))
		if got := show(moves); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestALeadershipPassesByANodeBetween(t *testing.T) {
	b := newBoard(nodes("1 2 3"), partitions("a 1,2 1,2 1,2 2,3 2,3 3,2"))
	b.evenLeaders()
	if got := show(b.moves()); got != "a:0 [1 2]>[2 1] a:3 [2 3]>[3 2]" {
		t.Error(got)
	}
}

func TestTheSmallerPartitionMovesAndOfTheTopicThatIsMoreSkewed(t *testing.T) {
	ps := partitions("a 1 1 2 | b 1 1 | c 1")
	for i := range ps {
		ps[i].Bytes = int64(100 - i)
	}
	if got := show(Balance(nodes("1 2"), ps)); got != "b:1 [1]>[2] c:0 [1]>[2]" {
		t.Error(got)
	}
}

func TestDrain(t *testing.T) {
	for _, c := range []struct{ name, nodes, partitions, want string }{
		{"to the node that holds least", "1 2 3", "a 1,2 1,2 2,3", "a:0 [1 2]>[3 2] a:1 [1 2]>[3 2]"},
		{"to the rack that is free", "1/a 2/b 3/b 4/c", "a 1,2 | b 4 | c 4", "a:0 [1 2]>[2 4]"},
		{"not to a cordoned node", "1 2 3!", "a 1", "a:0 [1]>[2]"},
		{"off a node that is dead", "2 3", "a 1,2 2,1", "a:0 [1 2]>[3 2] a:1 [2 1]>[2 3]"},
		{"nothing to do", "1 2", "a 2 2", ""},
		{"a node that nobody knows", "2 3", "a 2", ""},
	} {
		moves, err := Drain(nodes(c.nodes), partitions(c.partitions), 1)
		if got := show(moves); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, got, c.want)
		}
	}
	_, err := Drain(nodes("1 2 3"), partitions("a 1,2,3 1,2"), 1)
	var full *NoRoomError
	if !errors.As(err, &full) || len(full.Partitions) != 1 || full.Partitions[0] != "a:0" || len(full.Cordoned) != 0 {
		t.Error(err)
	}
	if _, err := Drain(nodes("1! 2 3!"), partitions("a 1,2"), 1); !errors.As(err, &full) || !slices.Equal(full.Cordoned, []int32{3}) {
		t.Error(err)
	}
}

func TestLoadsAreThoseBeforeAndAfter(t *testing.T) {
	ps := partitions("a 1,2 1,9")
	before, after := Loads(nodes("2 1 3"), ps, []Move{{ps[0], []int32{3, 2}}})
	if fmt.Sprint(before) != "[{1 2 2} {2 1 0} {3 0 0}]" || fmt.Sprint(after) != "[{1 1 1} {2 1 0} {3 1 1}]" {
		t.Error(before, after)
	}
	m := Move{Partition{Replicas: []int32{1, 2}, Bytes: 10}, []int32{2, 3}}
	if m.Copied() != 10 || !slices.Equal(m.New(), []int32{3}) {
		t.Error(m.Copied(), m.New())
	}
}

// random makes a cluster of nodes on racks, with partitions anywhere.
func random(rnd *rand.Rand) ([]Node, []Partition) {
	var ns []Node
	racks := 1 + rnd.IntN(4)
	for i := range 1 + rnd.IntN(8) {
		ns = append(ns, Node{ID: int32(i), Rack: strconv.Itoa(i % racks)})
	}
	var ps []Partition
	for topic := range rnd.IntN(6) {
		factor := 1 + rnd.IntN(len(ns))
		for i := range rnd.IntN(30) {
			p := Partition{Topic: strconv.Itoa(topic), Number: int32(i), Bytes: rnd.Int64N(100)}
			for _, at := range rnd.Perm(1 + rnd.IntN(len(ns)) + factor)[:factor] {
				if id := int32(at % len(ns)); !slices.Contains(p.Replicas, id) {
					p.Replicas = append(p.Replicas, id)
				}
			}
			ps = append(ps, p)
		}
	}
	return ns, ps
}

func TestPlansKeepEveryPartitionWhole(t *testing.T) {
	for seed := range uint64(300) {
		ns, ps := random(rand.New(rand.NewPCG(seed, 7)))
		moves := Balance(ns, ps)
		if more := Balance(ns, apply(ps, moves)); len(more) > 0 {
			t.Fatalf("seed %d: a second plan: %s", seed, show(more))
		}
		drained, err := Drain(ns, ps, 0)
		if full := new(NoRoomError); err != nil && !errors.As(err, &full) {
			t.Fatal(err)
		}
		for _, m := range append(moves, drained...) {
			if sorted := slices.Sorted(slices.Values(m.To)); len(m.To) != len(m.Replicas) || len(slices.Compact(sorted)) != len(m.To) || racksOf(ns, m.To) < racksOf(ns, m.Replicas) {
				t.Fatalf("seed %d: %s", seed, show([]Move{m}))
			}
		}
		for _, m := range drained {
			if slices.Contains(m.To, 0) {
				t.Fatalf("seed %d: %s", seed, show([]Move{m}))
			}
		}
		before, after := Loads(ns, ps, moves)
		// On one rack nothing stands against even loads but that a node holds a partition once.
		if sameRack(ns) && worst(after, replicas) > 1 && !saturated(apply(ps, moves), after) {
			t.Fatalf("seed %d: %v became %v", seed, before, after)
		}
	}
}

func apply(ps []Partition, moves []Move) []Partition {
	ps = slices.Clone(ps)
	for _, m := range moves {
		i := slices.IndexFunc(ps, func(p Partition) bool { return p.Name() == m.Name() })
		ps[i].Replicas = m.To
	}
	return ps
}

func racksOf(ns []Node, replicas []int32) int {
	racks := map[string]bool{}
	for _, id := range replicas {
		racks[ns[id].Rack] = true
	}
	return len(racks)
}

func sameRack(ns []Node) bool {
	return !slices.ContainsFunc(ns, func(n Node) bool { return n.Rack != ns[0].Rack })
}

func replicas(l Load) int { return l.Replicas }
func leads(l Load) int    { return l.Leads }

func worst(loads []Load, of func(Load) int) int {
	most, least := of(loads[0]), of(loads[0])
	for _, l := range loads {
		most, least = max(most, of(l)), min(least, of(l))
	}
	return most - least
}

// saturated tells whether a node that holds least is in every partition of one that holds most.
func saturated(ps []Partition, loads []Load) bool {
	most := slices.MaxFunc(loads, func(a, b Load) int { return a.Replicas - b.Replicas })
	least := slices.MinFunc(loads, func(a, b Load) int { return a.Replicas - b.Replicas })
	return !slices.ContainsFunc(ps, func(p Partition) bool {
		return slices.Contains(p.Replicas, most.ID) && !slices.Contains(p.Replicas, least.ID)
	})
}

func TestLeadersAreEvenWhereReplicasAllowIt(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		ns := nodes("0 1 2 3 4")
		var ps []Partition
		for i := range 40 {
			at := rnd.Perm(5)[:3]
			ps = append(ps, Partition{Topic: "t", Number: int32(i), Replicas: []int32{int32(at[0]), int32(at[1]), int32(at[2])}})
		}
		if _, after := Loads(ns, ps, Balance(ns, ps)); worst(after, leads) > 1 || worst(after, replicas) > 1 {
			t.Fatalf("seed %d: %v", seed, after)
		}
	}
}

func TestNewNodesOfALargeClusterGetTheirShare(t *testing.T) {
	ns := nodes("0 1 2 3 4 5 6 7")
	var ps []Partition
	for i := range 2000 {
		ps = append(ps, Partition{Topic: "t" + strconv.Itoa(i%20), Number: int32(i / 20), Replicas: []int32{int32(i % 4), int32((i + 1) % 4), int32((i + 2) % 4)}})
	}
	moves := Balance(ns, ps)
	if _, after := Loads(ns, ps, moves); worst(after, leads) > 1 || worst(after, replicas) > 1 {
		t.Error(after)
	}
	copies := 0
	for _, m := range moves {
		copies += len(m.New())
	}
	if copies != 3000 {
		t.Errorf("%d replicas are copied, and 3000 had to be", copies)
	}
}

// What a plan costs is counted, not timed: a partition is looked at when it begins to wait for a pair of nodes, and when its turn comes.
func TestAPlanForManyPartitionsLooksAtEachAFewTimes(t *testing.T) {
	const parts = 10_000
	for _, topics := range []int{1, 100, parts} {
		ns := nodes("0 1 2 3")
		var ps []Partition
		for i := range parts {
			ps = append(ps, Partition{Topic: fmt.Sprintf("t%05d", i%topics), Number: int32(i / topics), Bytes: int64(i % 77),
				Replicas: []int32{int32(i % 3), int32((i + 1) % 3), int32((i + 2) % 3)}})
		}
		b := newBoard(ns, ps)
		b.balance()
		if _, after := Loads(ns, ps, b.moves()); worst(after, leads) > 1 || worst(after, replicas) > 1 {
			t.Error(topics, "topics:", after)
		}
		if most := 15 * parts; b.looks > most {
			t.Errorf("%d topics: %d looks, and %d are plenty", topics, b.looks, most)
		}
	}
}

// Package plan decides which replicas and leaders of a cluster to move: off a node that is to go (Drain), or so that all nodes
// hold and lead about the same (Balance). It is pure: the commands of the package above ask a cluster what there is, show the
// plan, and carry it out.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Node is a node that is there.
type Node struct {
	ID       int32
	Rack     string // empty: nodes without a rack form one
	Cordoned bool   // takes no new replicas
}

// Partition is what one partition has. The first of its replicas is the preferred leader.
type Partition struct {
	Topic    string
	Number   int32
	Replicas []int32
	Bytes    int64 // of one replica; 0 where it is not known
}

// Name is the partition as commands print it.
func (p Partition) Name() string { return fmt.Sprintf("%s:%d", p.Topic, p.Number) }

// Move gives one partition other replicas, or the same in another order.
type Move struct {
	Partition
	To []int32
}

// New are the replicas that have to be made.
func (m Move) New() []int32 {
	return slices.DeleteFunc(slices.Clone(m.To), func(id int32) bool { return slices.Contains(m.Replicas, id) })
}

// Copied is how many bytes have to go over the network.
func (m Move) Copied() int64 { return m.Bytes * int64(len(m.New())) }

// Load is what a node holds, and of how many partitions it is the preferred leader.
type Load struct {
	ID              int32
	Replicas, Leads int
}

// Loads counts what each of the nodes has, by id, before and after the moves.
func Loads(nodes []Node, partitions []Partition, moves []Move) (before, after []Load) {
	to := map[string][]int32{}
	for _, m := range moves {
		to[m.Name()] = m.To
	}
	place := map[int32]int{}
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for i, n := range nodes {
		place[n.ID] = i
		before, after = append(before, Load{ID: n.ID}), append(after, Load{ID: n.ID})
	}
	count := func(loads []Load, replicas []int32) {
		for i, id := range replicas {
			at, ok := place[id]
			if !ok {
				continue
			}
			loads[at].Replicas++
			if i == 0 {
				loads[at].Leads++
			}
		}
	}
	for _, p := range partitions {
		count(before, p.Replicas)
		if moved, ok := to[p.Name()]; ok {
			count(after, moved)
		} else {
			count(after, p.Replicas)
		}
	}
	return before, after
}

// board is a cluster while it is planned for.
type board struct {
	sites  []site
	parts  []part
	topics int
	racks  int // that have a node which takes replicas
	// moving are the replicas that could go from a node to another, passing the leaderships, by the places of the two. A pair
	// that nobody asked for has none.
	moving, passing map[[2]int]*line
	looks           int // at partitions that wait in lines
}

type site struct {
	id           int32
	rack         int
	takes        bool // new replicas
	gone         bool // only partitions know of it
	holds, leads int
	holdsOf      []int // by topic
	leadsOf      []int // by topic
	followed     []int // by site: the partitions that this one leads and that one follows
	held         []int // places of the partitions that it holds, and of some that it held
}

type part struct {
	Partition
	place    int // among the parts
	topic    int
	replicas []int // places in sites
	fixed    bool  // has a replica on a node that is not there: what it will need is not to be foreseen
}

func newBoard(nodes []Node, partitions []Partition) *board {
	b := &board{moving: map[[2]int]*line{}, passing: map[[2]int]*line{}}
	place, racks, topics := map[int32]int{}, map[string]int{}, map[string]int{}
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for i, n := range nodes {
		rack, ok := racks[n.Rack]
		if !ok {
			rack = len(racks)
			racks[n.Rack] = rack
		}
		place[n.ID] = i
		b.sites = append(b.sites, site{id: n.ID, rack: rack, takes: !n.Cordoned})
	}
	sorted := slices.SortedFunc(slices.Values(partitions), func(a, b Partition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
	for _, p := range sorted {
		if _, ok := topics[p.Topic]; !ok {
			topics[p.Topic] = len(topics)
		}
		one := part{Partition: p, topic: topics[p.Topic]}
		for _, id := range p.Replicas {
			at, ok := place[id]
			if !ok {
				at = len(b.sites)
				place[id] = at
				b.sites = append(b.sites, site{id: id, rack: -1, gone: true})
			}
			one.fixed = one.fixed || b.sites[at].gone
			one.replicas = append(one.replicas, at)
		}
		b.parts = append(b.parts, one)
	}
	b.topics = len(topics)
	for i := range b.sites {
		b.sites[i].holdsOf, b.sites[i].leadsOf = make([]int, b.topics), make([]int, b.topics)
		b.sites[i].followed = make([]int, len(b.sites))
	}
	for i := range b.parts {
		p := &b.parts[i]
		p.place = i
		b.count(p, 1)
		for _, at := range p.replicas {
			b.sites[at].held = append(b.sites[at].held, i)
		}
	}
	b.countRacks()
	return b
}

func (b *board) countRacks() {
	open := map[int]bool{}
	for _, s := range b.sites {
		if s.takes {
			open[s.rack] = true
		}
	}
	b.racks = len(open)
}

// count adds a partition's replicas to what its nodes have, or takes them away.
func (b *board) count(p *part, by int) {
	for i, at := range p.replicas {
		s := &b.sites[at]
		s.holds += by
		s.holdsOf[p.topic] += by
		switch {
		case i == 0:
			s.leads += by
			s.leadsOf[p.topic] += by
		case !p.fixed:
			b.sites[p.replicas[0]].followed[at] += by
		}
	}
}

// give has a partition's replica at a position go to another node.
func (b *board) give(p *part, position, to int) {
	b.count(p, -1)
	p.replicas[position] = to
	b.count(p, 1)
	b.sites[to].held = append(b.sites[to].held, p.place)
	b.offer(b.moving, p, b.mayMove)
}

// prefer makes the replica at a position the preferred leader; the one before takes its position.
func (b *board) prefer(p *part, position int) {
	b.count(p, -1)
	p.replicas[0], p.replicas[position] = p.replicas[position], p.replicas[0]
	b.count(p, 1)
	b.offer(b.passing, p, mayPass)
}

// line is the one of a pair of nodes. The first to ask for it has it filled; from then on changed partitions are offered to it.
func (b *board) line(of map[[2]int]*line, from, to int, may func(p *part, from, to int) bool) *line {
	l := of[[2]int{from, to}]
	if l == nil {
		l = newLine(&b.looks)
		of[[2]int{from, to}] = l
		for _, i := range b.sites[from].held {
			if p := &b.parts[i]; may(p, from, to) {
				l.add(kind{p.topic, b.moved(p)}, waiting{p.Bytes, i})
			}
		}
	}
	return l
}

// offer has a partition that changed wait where it can go now.
func (b *board) offer(lines map[[2]int]*line, p *part, may func(p *part, from, to int) bool) {
	for _, from := range p.replicas {
		for to := range b.sites {
			if l := lines[[2]int{from, to}]; l != nil && may(p, from, to) {
				l.add(kind{p.topic, b.moved(p)}, waiting{p.Bytes, p.place})
			}
		}
	}
}

// spread is how many racks a partition's replicas are on, as if the one at a position were on another node.
func (b *board) spread(p *part, position, to int) int {
	n := 0
	for i := range p.replicas {
		first := true
		for j := range i {
			first = first && b.rackAt(p, j, position, to) != b.rackAt(p, i, position, to)
		}
		if first {
			n++
		}
	}
	return n
}

func (b *board) rackAt(p *part, i, position, to int) int {
	if i == position {
		return b.sites[to].rack
	}
	return b.sites[p.replicas[i]].rack
}

// moves are what differs from the beginning.
func (b *board) moves() []Move {
	var moves []Move
	for i := range b.parts {
		p := &b.parts[i]
		to := make([]int32, len(p.replicas))
		for j, at := range p.replicas {
			to[j] = b.sites[at].id
		}
		if !slices.Equal(to, p.Replicas) {
			moves = append(moves, Move{p.Partition, to})
		}
	}
	return moves
}

package plan

import (
	"cmp"
	"slices"
)

// Balance evens what nodes hold and lead, with few moves: first it puts replicas on as many racks as can be, then it takes
// replicas from nodes that hold more than others by two and more, then it does so with preferred leaders. Every replica counts
// the same, whatever its size, because sizes change; of two that could move the smaller one does. Replicas leave cordoned nodes
// when those hold more than others, and none come there. Partitions with a replica on a node that is not there stay as they
// are.
func Balance(nodes []Node, partitions []Partition) []Move {
	b := newBoard(nodes, partitions)
	b.mendRacks()
	b.evenReplicas()
	b.evenLeaders()
	return b.moves()
}

func (b *board) mendRacks() {
	for i := range b.parts {
		p := &b.parts[i]
		for !p.fixed && b.mendRack(p) {
		}
	}
}

// mendRack moves one replica to a rack that the partition is not on. A follower moves rather than the leader.
func (b *board) mendRack(p *part) bool {
	now := b.spread(p, 0, p.replicas[0])
	if now >= min(len(p.replicas), b.racks) {
		return false
	}
	for position := len(p.replicas) - 1; position >= 0; position-- {
		if to, ok := b.successor(p, position); ok && b.spread(p, position, to) > now {
			b.give(p, position, to)
			return true
		}
	}
	return false
}

func (b *board) evenReplicas() {
	for b.evenReplica() {
	}
}

// evenReplica moves one replica from a node that holds much to one that holds little. A pair of nodes may have nothing to
// move between them without putting replicas on one node or rack; then the next pair is tried.
func (b *board) evenReplica() bool {
	order := b.byLoad(func(s *site) int { return s.holds })
	for i := len(order) - 1; i > 0; i-- {
		from := order[i]
		for _, to := range order[:i] {
			if b.sites[from].holds-b.sites[to].holds < 2 {
				break
			}
			if !b.sites[to].takes {
				continue
			}
			if p, position := b.movable(from, to); p != nil {
				b.give(p, position, to)
				return true
			}
		}
	}
	return false
}

// byLoad is the places of the nodes that are there, the least loaded first.
func (b *board) byLoad(load func(*site) int) []int {
	var order []int
	for i := range b.sites {
		if !b.sites[i].gone {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(load(&b.sites[i]), load(&b.sites[j])) })
	return order
}

// movable is the replica that had best go from one node to another: of a topic of which the one has more than the other, and
// small.
func (b *board) movable(from, to int) (best *part, position int) {
	skew := func(p *part) int { return b.sites[from].holdsOf[p.topic] - b.sites[to].holdsOf[p.topic] }
	for i := range b.parts {
		p := &b.parts[i]
		at := slices.Index(p.replicas, from)
		if p.fixed || at < 0 || slices.Contains(p.replicas, to) || b.spread(p, at, to) < b.spread(p, at, from) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(skew(best), skew(p)), cmp.Compare(p.Bytes, best.Bytes)) < 0 {
			best, position = p, at
		}
	}
	return best, position
}

func (b *board) evenLeaders() {
	for b.evenLeader() {
	}
}

// evenLeader takes one leadership from a node that leads much and has a node that leads little get one: straight where they
// share a partition, else by a chain of nodes of which each gets one and gives one.
func (b *board) evenLeader() bool {
	order := b.byLoad(func(s *site) int { return s.leads })
	for i := len(order) - 1; i > 0; i-- {
		if chain := b.leaderChain(order[i]); chain != nil {
			for j := range len(chain) - 1 {
				b.passLead(chain[j], chain[j+1])
			}
			return true
		}
	}
	return false
}

// leaderChain is the shortest chain of nodes from one to the least loaded of those that lead less by two and more; each has
// a follower of the one before.
func (b *board) leaderChain(from int) []int {
	before := map[int]int{from: from}
	queue, best := []int{from}, -1
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range b.heirs(at) {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = at
			queue = append(queue, next)
			if b.sites[from].leads-b.sites[next].leads >= 2 && (best < 0 || b.sites[next].leads < b.sites[best].leads) {
				best = next
			}
		}
	}
	if best < 0 {
		return nil
	}
	chain := []int{best}
	for at := best; at != from; {
		at = before[at]
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	return chain
}

// heirs are the nodes that follow one in a partition that it leads.
func (b *board) heirs(leader int) []int {
	is := make([]bool, len(b.sites))
	for i := range b.parts {
		if p := &b.parts[i]; !p.fixed && p.replicas[0] == leader {
			for _, at := range p.replicas[1:] {
				is[at] = true
			}
		}
	}
	var heirs []int
	for at, ok := range is {
		if ok {
			heirs = append(heirs, at)
		}
	}
	return heirs
}

// passLead makes one node lead a partition of another: one that moves anyway where there is one, else of the topic of which
// the other leads more.
func (b *board) passLead(from, to int) {
	var best *part
	var position int
	skew := func(p *part) int { return b.sites[from].leadsOf[p.topic] - b.sites[to].leadsOf[p.topic] }
	for i := range b.parts {
		p := &b.parts[i]
		at := slices.Index(p.replicas, to)
		if p.fixed || p.replicas[0] != from || at < 0 {
			continue
		}
		if best == nil || cmp.Or(compareFlags(b.moved(best), b.moved(p)), cmp.Compare(skew(best), skew(p))) < 0 {
			best, position = p, at
		}
	}
	b.prefer(best, position)
}

// moved tells whether a partition has other replicas than at the beginning.
func (b *board) moved(p *part) bool {
	return slices.ContainsFunc(p.replicas, func(at int) bool { return !slices.Contains(p.Replicas, b.sites[at].id) })
}

func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

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
	b.balance()
	return b.moves()
}

func (b *board) balance() {
	b.mendRacks()
	b.evenReplicas()
	b.evenLeaders()
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
func (b *board) movable(from, to int) (p *part, position int) {
	n, ok := b.line(b.moving, from, to, b.mayMove).take(
		func(i int) bool { return b.mayMove(&b.parts[i], from, to) },
		func(k kind) [2]int { return [2]int{b.sites[to].holdsOf[k.topic] - b.sites[from].holdsOf[k.topic]} })
	if !ok {
		return nil, 0
	}
	return &b.parts[n], slices.Index(b.parts[n].replicas, from)
}

// mayMove tells whether a node may take a partition's replica of another.
func (b *board) mayMove(p *part, from, to int) bool {
	at := slices.Index(p.replicas, from)
	return !p.fixed && at >= 0 && !slices.Contains(p.replicas, to) && b.spread(p, at, to) >= b.spread(p, at, from)
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
	var heirs []int
	for at, n := range b.sites[leader].followed {
		if n > 0 {
			heirs = append(heirs, at)
		}
	}
	return heirs
}

// passLead makes one node lead a partition of another: one that moves anyway where there is one, else of the topic of which
// the other leads more.
func (b *board) passLead(from, to int) {
	n, ok := b.line(b.passing, from, to, mayPass).take(
		func(i int) bool { return mayPass(&b.parts[i], from, to) },
		func(k kind) [2]int {
			rank := [2]int{0, b.sites[to].leadsOf[k.topic] - b.sites[from].leadsOf[k.topic]}
			if k.moved {
				rank[0] = -1
			}
			return rank
		})
	if ok {
		p := &b.parts[n]
		b.prefer(p, slices.Index(p.replicas, to))
	}
}

// mayPass tells whether a node may lead a partition of another: it follows.
func mayPass(p *part, from, to int) bool {
	return !p.fixed && p.replicas[0] == from && slices.Contains(p.replicas[1:], to)
}

// moved tells whether a partition has other replicas than at the beginning.
func (b *board) moved(p *part) bool {
	return slices.ContainsFunc(p.replicas, func(at int) bool { return !slices.Contains(p.Replicas, b.sites[at].id) })
}

package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// NoRoomError tells that partitions have as many replicas as there are nodes to take them, or more.
type NoRoomError struct {
	Node       int32
	Partitions []string
	Cordoned   []int32 // nodes that would have room
}

func (e *NoRoomError) Error() string {
	if len(e.Cordoned) > 0 {
		return fmt.Sprintf("node %d cannot be emptied: no other node could take %d of its partitions, %s among them, because nodes %v are cordoned", e.Node,
			len(e.Partitions), e.Partitions[0], e.Cordoned)
	}
	return fmt.Sprintf("node %d cannot be emptied: no other node could take %d of its partitions, %s among them; add a node, or give their topics fewer replicas",
		e.Node, len(e.Partitions), e.Partitions[0])
}

// Drain moves every replica of one node to another: to a rack that the partition is not on where there is one, and to the node
// that holds the least. What the node led goes to the replica whose node leads least.
func Drain(nodes []Node, partitions []Partition, id int32) ([]Move, error) {
	b := newBoard(nodes, partitions)
	from := slices.IndexFunc(b.sites, func(s site) bool { return s.id == id })
	if from < 0 {
		return nil, nil
	}
	b.sites[from].takes = false
	full := &NoRoomError{Node: id}
	for i := range b.parts {
		p := &b.parts[i]
		position := slices.Index(p.replicas, from)
		if position < 0 {
			continue
		}
		to, ok := b.successor(p, position)
		if !ok {
			full.Partitions = append(full.Partitions, p.Name())
			continue
		}
		b.give(p, position, to)
		if position == 0 {
			b.prefer(p, b.leastLeader(p))
		}
	}
	if len(full.Partitions) > 0 {
		for _, n := range nodes {
			if n.Cordoned && n.ID != id {
				full.Cordoned = append(full.Cordoned, n.ID)
			}
		}
		return nil, full
	}
	return b.moves(), nil
}

// successor is the best node for the replica at a position.
func (b *board) successor(p *part, position int) (int, bool) {
	best, found := 0, false
	for i := range b.sites {
		if !b.sites[i].takes || slices.Contains(p.replicas, i) {
			continue
		}
		if !found || b.compareSuccessors(p, position, i, best) < 0 {
			best, found = i, true
		}
	}
	return best, found
}

func (b *board) compareSuccessors(p *part, position, i, j int) int {
	x, y := &b.sites[i], &b.sites[j]
	return cmp.Or(cmp.Compare(b.spread(p, position, j), b.spread(p, position, i)), cmp.Compare(x.holds, y.holds), cmp.Compare(x.holdsOf[p.topic], y.holdsOf[p.topic]))
}

// leastLeader is the position of the replica whose node leads least besides this partition.
func (b *board) leastLeader(p *part) int {
	best, least := 0, 0
	for i, at := range p.replicas {
		leads := b.sites[at].leads
		if i == 0 {
			leads--
		}
		if b.sites[at].gone {
			continue
		}
		if i == 0 || leads < least || b.sites[p.replicas[best]].gone {
			best, least = i, leads
		}
	}
	return best
}

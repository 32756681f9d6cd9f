package plan

import (
	"cmp"
	"math"
	"slices"
)

// line is the partitions that can go from one node to another, best first. Partitions of one topic wait together: what one of
// them moves changes the rank of all, and nothing is done about it but to compare their first one again when its turn comes.
type line struct {
	byKind map[kind]*group
	groups heap[ranked]
	looks  *int // counts what was looked at, for tests
}

// kind is what partitions have in common that wait together.
type kind struct {
	topic int
	moved bool
}

type group struct {
	kind
	parts  heap[waiting]
	queued bool // it is in the line's heap, where it is once
}

// waiting is a partition in a group: the smaller ones first, and else in their order.
type waiting struct {
	bytes int64
	part  int
}

func (w waiting) compare(x waiting) int {
	return cmp.Or(cmp.Compare(w.bytes, x.bytes), cmp.Compare(w.part, x.part))
}

// ranked is a group with the rank, the lower the better, and the first partition that it had when it was put there.
type ranked struct {
	rank  [2]int
	first waiting
	group *group
}

// unranked makes a group be looked at, and ranked, before all others.
var unranked = [2]int{math.MinInt}

func (r ranked) compare(x ranked) int {
	return cmp.Or(slices.Compare(r.rank[:], x.rank[:]), r.first.compare(x.first))
}

func newLine(looks *int) *line { return &line{byKind: map[kind]*group{}, looks: looks} }

// add has a partition wait. It may wait there already.
func (l *line) add(k kind, w waiting) {
	g := l.byKind[k]
	if g == nil {
		g = &group{kind: k}
		l.byKind[k] = g
	}
	*l.looks++
	g.parts.push(w)
	if !g.queued {
		g.queued = true
		l.groups.push(ranked{rank: unranked, group: g})
	}
}

// take takes out the best of the partitions that are still good. Ranks that became better since are not noticed before they are looked
// at: that would be of topics whose partitions came to the one node, or left the other.
func (l *line) take(good func(part int) bool, rank func(kind) [2]int) (part int, ok bool) {
	for len(l.groups) > 0 {
		*l.looks++
		r := l.groups.pop()
		g := r.group
		for len(g.parts) > 0 && !good(g.parts[0].part) {
			*l.looks++
			g.parts.pop()
		}
		if len(g.parts) == 0 {
			g.queued = false
			continue
		}
		now := ranked{rank(g.kind), g.parts[0], g}
		if len(l.groups) > 0 && now.compare(l.groups[0]) > 0 {
			l.groups.push(now)
			continue
		}
		first := g.parts.pop()
		l.groups.push(now)
		return first.part, true
	}
	return 0, false
}

// heap has the least of its elements first.
type heap[T interface{ compare(T) int }] []T

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	s := *h
	for i := len(s) - 1; i > 0; {
		above := (i - 1) / 2
		if s[i].compare(s[above]) >= 0 {
			return
		}
		s[i], s[above] = s[above], s[i]
		i = above
	}
}

func (h *heap[T]) pop() T {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		least := i
		for _, below := range [2]int{2*i + 1, 2*i + 2} {
			if below < last && s[below].compare(s[least]) < 0 {
				least = below
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return top
}

package state

import (
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
)

// combine is what a and b say of the records from start on, as few batches that do not overlap. Where both say something,
// the later delivery counts, and of one delivery the later state: that is true in whatever order they were written.
func combine(a, b []share.StateBatch, start kafka.Offset) []share.StateBatch {
	todo := append(slices.Clone(a), b...)
	slices.SortStableFunc(todo, func(a, b share.StateBatch) int { return cmp.Compare(a.First, b.First) })
	var at latestFirst // the batches that have pos
	var out []share.StateBatch
	for pos := max(start, 0); ; {
		for len(at) > 0 && at[0].Last < pos {
			heap.Pop(&at)
		}
		if len(at) == 0 {
			if len(todo) == 0 {
				return out
			}
			pos = max(pos, todo[0].First)
		}
		for len(todo) > 0 && todo[0].First <= pos {
			heap.Push(&at, todo[0])
			todo = todo[1:]
		}
		if at[0].Last < pos {
			continue
		}
		part := at[0]
		part.First = pos
		if len(todo) > 0 {
			part.Last = min(part.Last, todo[0].First-1)
		}
		out = share.AppendState(out, part)
		if part.Last == math.MaxInt64 {
			return out
		}
		pos = part.Last + 1
	}
}

// latestFirst is a heap of batches, the one that counts on top.
type latestFirst []share.StateBatch

func (h latestFirst) Len() int      { return len(h) }
func (h latestFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *latestFirst) Push(b any)   { *h = append(*h, b.(share.StateBatch)) }

func (h latestFirst) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[j].Deliveries, h[i].Deliveries), cmp.Compare(h[j].State, h[i].State)) < 0
}

func (h *latestFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

package assign

import (
	stdheap "container/heap"
	"slices"
)

// heap orders members by something that changes while they are in it: who changes it calls fix.
type heap struct {
	members []int
	at      map[int]int // member → its place
	less    func(a, b int) bool
}

func newHeap(members []int, less func(a, b int) bool) *heap {
	h := &heap{members: slices.Clone(members), at: make(map[int]int, len(members)), less: less}
	for i, m := range h.members {
		h.at[m] = i
	}
	stdheap.Init((*ordered)(h))
	return h
}

func (h *heap) len() int { return len(h.members) }
func (h *heap) top() int { return h.members[0] }

// fix puts a member in its place again. One that is not in the heap is nothing to it.
func (h *heap) fix(member int) {
	if i, ok := h.at[member]; ok {
		stdheap.Fix((*ordered)(h), i)
	}
}

func (h *heap) remove(member int) { stdheap.Remove((*ordered)(h), h.at[member]) }

// ordered is a heap as container/heap wants it.
type ordered heap

func (h *ordered) Len() int           { return len(h.members) }
func (h *ordered) Less(i, j int) bool { return h.less(h.members[i], h.members[j]) }
func (h *ordered) Swap(i, j int) {
	h.members[i], h.members[j] = h.members[j], h.members[i]
	h.at[h.members[i]], h.at[h.members[j]] = i, j
}
func (h *ordered) Push(any) { panic("assign: members are put in by newHeap") }

func (h *ordered) Pop() any {
	last := len(h.members) - 1
	m := h.members[last]
	h.members = h.members[:last]
	delete(h.at, m)
	return m
}

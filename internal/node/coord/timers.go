package coord

import (
	"container/heap"
	"time"

	"github.com/headrace/headrace/internal/core/machine"
)

// timers are the deadlines a machine has set, the earliest first. The zero value is empty.
type timers struct {
	byID map[machine.TimerID]*timer
	heap timerHeap
}

type timer struct {
	id    machine.TimerID
	at    time.Time
	index int // in the heap
}

// set moves and stops timers.
func (t *timers) set(changes []machine.Timer) {
	for _, c := range changes {
		t.change(c)
	}
}

func (t *timers) change(c machine.Timer) {
	old := t.byID[c.ID]
	switch {
	case c.At.IsZero():
		if old != nil {
			delete(t.byID, c.ID)
			heap.Remove(&t.heap, old.index)
		}
	case old != nil:
		old.at = c.At
		heap.Fix(&t.heap, old.index)
	default:
		if t.byID == nil {
			t.byID = make(map[machine.TimerID]*timer)
		}
		one := &timer{id: c.ID, at: c.At}
		t.byID[c.ID] = one
		heap.Push(&t.heap, one)
	}
}

func (t *timers) len() int { return len(t.heap) }

// next is the earliest deadline, or zero.
func (t *timers) next() time.Time {
	if len(t.heap) == 0 {
		return time.Time{}
	}
	return t.heap[0].at
}

// pop removes the earliest timer if its time has come.
func (t *timers) pop(now time.Time) (machine.TimerID, bool) {
	if len(t.heap) == 0 || t.heap[0].at.After(now) {
		return machine.TimerID{}, false
	}
	one := heap.Pop(&t.heap).(*timer)
	delete(t.byID, one.id)
	return one.id, true
}

type timerHeap []*timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	one := x.(*timer)
	one.index = len(*h)
	*h = append(*h, one)
}

func (h *timerHeap) Pop() any {
	old := *h
	one := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return one
}

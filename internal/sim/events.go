package sim

import "time"

// agenda is what is planned, the earliest first; of one time in the order in which it was planned. The heap holds no pointers, so
// that sifting it costs nothing but moving numbers: a run is millions of events.
type agenda struct {
	heap []event
	do   []func() // by slot
	free []int32
	seq  uint64
}

type event struct {
	at   time.Duration
	seq  uint64
	slot int32
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (a *agenda) empty() bool { return len(a.heap) == 0 }

// next is when the first is due.
func (a *agenda) next() time.Duration { return a.heap[0].at }

func (a *agenda) add(at time.Duration, do func()) {
	slot := int32(len(a.do))
	if n := len(a.free); n > 0 {
		slot, a.free = a.free[n-1], a.free[:n-1]
		a.do[slot] = do
	} else {
		a.do = append(a.do, do)
	}
	a.seq++
	a.heap = append(a.heap, event{at, a.seq, slot})
	a.up(len(a.heap) - 1)
}

// pop takes the first out.
func (a *agenda) pop() (time.Duration, func()) {
	first, last := a.heap[0], len(a.heap)-1
	a.heap[0] = a.heap[last]
	a.heap = a.heap[:last]
	a.down(0)
	do := a.do[first.slot]
	a.do[first.slot] = nil
	a.free = append(a.free, first.slot)
	return first.at, do
}

func (a *agenda) up(i int) {
	h := a.heap
	for e := h[i]; i > 0; {
		parent := (i - 1) / 2
		if !e.before(h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], e
		i = parent
	}
}

func (a *agenda) down(i int) {
	h := a.heap
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h) && h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

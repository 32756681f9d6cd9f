package transport

import (
	"context"
	"sync"
	"time"
)

// Budget bounds the memory of all requests in flight, of every connection and listener of a process. A frame's whole size
// is reserved before its body is read, so that admitted frames can always complete: there is no state in which all hold a
// part and wait for more. Three rules keep one kind of client from starving another:
//
//   - An eighth of the budget is for frames that have arrived already, in a connection's read buffer: nobody can hold that
//     by sending half of something, and most requests are as small.
//   - Frames above largeFrame share half of the budget, so that ordinary requests always have the other half.
//   - While anyone waits, a frame that arrives slower than pressureRate loses its connection: a half-sent frame is the
//     one hold that only a stranger can end.
//
// Waiters are served in order of arrival within their lane.
type Budget struct {
	total lane // everything
	large lane // of it, by large frames

	mu      sync.Mutex // guards all below, and both lanes
	ready   []*waiter  // in order of arrival: whose frame has arrived
	small   []*waiter  // likewise: not yet
	big     []*waiter
	reading map[*Hold]struct{} // whose frame has not fully arrived
	waits   int64              // how many had to wait
}

type lane struct{ capacity, used int64 }

func (l *lane) fits(n int64) bool { return l.used+n <= l.capacity }

// Hold is one reservation.
type Hold struct {
	b     *Budget
	size  int64
	large bool
	begun time.Time
	evict func() // nil: the frame has arrived
}

type waiter struct {
	hold    *Hold
	granted chan struct{}
}

const (
	largeFrame    = 1<<20 + 1<<16 // a default producer's largest request fits below it
	pressureGrace = 500 * time.Millisecond
	pressureRate  = 4 << 20 // bytes a second
)

// NewBudget makes a budget of so many bytes.
func NewBudget(capacity int64) *Budget {
	return &Budget{
		total:   lane{capacity: capacity},
		large:   lane{capacity: capacity / 2},
		reading: map[*Hold]struct{}{},
	}
}

// Reserve waits until n bytes are free and takes them; what is larger than its whole lane takes the whole lane. evict is
// called, from another goroutine and at most a few times, when the frame arrives too slowly while others wait; it is nil for a
// frame that has arrived already.
func (b *Budget) Reserve(ctx context.Context, n int64, evict func()) (*Hold, error) {
	h := &Hold{b: b, size: n, large: n > largeFrame, evict: evict}
	if h.large {
		h.size = min(n, b.large.capacity)
	}
	h.size = min(h.size, b.open(h))
	b.mu.Lock()
	if b.mayTake(h, nil) {
		b.take(h)
		b.mu.Unlock()
		return h, nil
	}
	w := &waiter{hold: h, granted: make(chan struct{})}
	b.enqueue(w)
	b.mu.Unlock()
	return h, b.wait(ctx, w)
}

func (b *Budget) wait(ctx context.Context, w *waiter) error {
	tick := time.NewTicker(pressureGrace / 2)
	defer tick.Stop()
	for {
		select {
		case <-w.granted:
			return nil
		case now := <-tick.C:
			b.evictSlow(now)
		case <-ctx.Done():
			b.abandon(w)
			return ctx.Err()
		}
	}
}

// mayTake tells whether h can be granted with w at the head of its queue (nil: h does not queue yet).
func (b *Budget) mayTake(h *Hold, w *waiter) bool {
	queue := *b.queue(h)
	if h.large && !b.large.fits(h.size) {
		return false
	}
	first := len(queue) == 0 || queue[0] == w
	return first && b.total.used+h.size <= b.open(h)
}

// open is how much of the whole budget h may fill.
func (b *Budget) open(h *Hold) int64 {
	const spare = 8
	if h.evict == nil {
		return b.total.capacity
	}
	return b.total.capacity - b.total.capacity/spare
}

// queue is where h waits.
func (b *Budget) queue(h *Hold) *[]*waiter {
	switch {
	case h.large:
		return &b.big
	case h.evict == nil:
		return &b.ready
	}
	return &b.small
}

func (b *Budget) take(h *Hold) {
	b.total.used += h.size
	if h.large {
		b.large.used += h.size
	}
	if h.evict != nil {
		h.begun = time.Now()
		b.reading[h] = struct{}{}
	}
}

func (b *Budget) enqueue(w *waiter) {
	queue := b.queue(w.hold)
	*queue = append(*queue, w)
	b.waits++
}

// grant serves whoever can go on. Small frames first: large ones are bounded by their lane, not starved by it, since small
// frames come and go in milliseconds.
func (b *Budget) grant() {
	for _, queue := range []*[]*waiter{&b.ready, &b.small, &b.big} {
		for len(*queue) > 0 && b.mayTake((*queue)[0].hold, (*queue)[0]) {
			b.take((*queue)[0].hold)
			close((*queue)[0].granted)
			*queue = (*queue)[1:]
		}
	}
}

// abandon takes back a wait that ended early. The grant may have come in between: then the bytes are given back.
func (b *Budget) abandon(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted:
		b.free(w.hold)
		return
	default:
	}
	queue := b.queue(w.hold)
	*queue = without(*queue, w)
	b.grant()
}

func without(ws []*waiter, w *waiter) []*waiter {
	for i, x := range ws {
		if x == w {
			return append(ws[:i:i], ws[i+1:]...)
		}
	}
	return ws
}

func (b *Budget) evictSlow(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for h := range b.reading {
		allowed := pressureGrace + time.Duration(h.size)*time.Second/pressureRate
		if now.Sub(h.begun) > allowed {
			h.evict()
		}
	}
}

func (b *Budget) free(h *Hold) {
	delete(b.reading, h)
	b.total.used -= h.size
	if h.large {
		b.large.used -= h.size
	}
	h.size = 0
	b.grant()
}

// capacity is the bytes of the whole budget.
func (b *Budget) capacity() int64 { return b.total.capacity }

// Used tells how many bytes are reserved now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total.used
}

// Arrived says that the frame is complete: only we can delay it now.
func (h *Hold) Arrived() {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	delete(h.b.reading, h)
}

// Shrink gives back what is held beyond n.
func (h *Hold) Shrink(n int64) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	if n >= h.size {
		return
	}
	h.b.total.used -= h.size - n
	if h.large {
		h.b.large.used -= h.size - n
	}
	h.size = n
	h.b.grant()
}

// Release gives the bytes back. Only the first call counts.
func (h *Hold) Release() {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	h.b.free(h)
}

// Package await lets requests wait until partitions reach offsets: acks=all for the high watermark, a long poll for its
// next record. A waiter costs an entry in each partition's line and no goroutine: who waits does so on its own channel.
// node/partition advances the lines; node/api waits.
package await

import (
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Waiter is woken once, when as many of its places in lines as it asked for were reached, or when any line broke.
type Waiter struct {
	left  atomic.Int32
	woken chan struct{}
}

// NewWaiter makes a Waiter that is woken when n of its places were reached.
func NewWaiter(n int) *Waiter {
	w := &Waiter{woken: make(chan struct{})}
	w.left.Store(int32(n))
	return w
}

// Woken is closed when the waiter is woken.
func (w *Waiter) Woken() <-chan struct{} { return w.woken }

// Done tells whether Woken is closed.
func (w *Waiter) Done() bool { return w.left.Load() <= 0 }

// Broken tells whether a line broke while w waited in it.
func (w *Waiter) Broken() bool { return w.left.Load() < broken/2 }

// broken is what is left of a waiter that a breaking line woke: far below what any number of places brings it to.
const broken = -1 << 30

func (w *Waiter) reached() {
	if w.left.Add(-1) == 0 {
		close(w.woken)
	}
}

// wake wakes w whatever it still waited for. Of the calls that bring left from above 0 to or below it, exactly one closes:
// the swap takes what was left, and no later decrement can find 1.
func (w *Waiter) wake() {
	if w.left.Swap(broken) > 0 {
		close(w.woken)
	}
}

// Line is the waiters of one partition for one of its offsets.
type Line struct {
	mu sync.Mutex
	// at is how far the offset came. Invariant: every place is above it.
	at     kafka.Offset
	places []place // a heap: the least offset first
	broken bool
}

type place struct {
	offset kafka.Offset
	waiter *Waiter
}

// Join takes a place for w at offset; when the line is there already, or broken, the waiter hears of it at once.
func (l *Line) Join(w *Waiter, offset kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.broken:
		w.wake()
	case offset <= l.at:
		w.reached()
	default:
		l.places = append(l.places, place{offset, w})
		l.up(len(l.places) - 1)
	}
}

// Leave gives up every place of w.
func (l *Line) Leave(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.places[:0]
	for _, p := range l.places {
		if p.waiter != w {
			kept = append(kept, p)
		}
	}
	if len(kept) == len(l.places) {
		return
	}
	clear(l.places[len(kept):])
	l.places = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		l.down(i)
	}
}

// Advance tells the line that its offset is now at; it never goes back (see Reset).
func (l *Line) Advance(at kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at <= l.at {
		return
	}
	l.at = at
	for len(l.places) > 0 && l.places[0].offset <= at {
		l.pop().waiter.reached()
	}
}

// Break wakes all who wait, and all who come: the partition is no longer led here, or failed. They find out why from it.
func (l *Line) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	for _, p := range l.places {
		p.waiter.wake()
	}
	l.places = nil
}

// Broken tells whether the line is of no use any more.
func (l *Line) Broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Reset begins the line anew at an offset.
func (l *Line) Reset(at kafka.Offset) {
	l.Break()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.broken = at, false
}

// Follow brings the line to an offset that may go back, unlike that of Advance: the line then begins anew.
func (l *Line) Follow(at kafka.Offset) {
	l.mu.Lock()
	back := at < l.at
	l.mu.Unlock()
	if back {
		l.Reset(at)
		return
	}
	l.Advance(at)
}

// Waiting tells how many places are taken.
func (l *Line) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.places)
}

func (l *Line) pop() place {
	p := l.places
	first := p[0]
	last := len(p) - 1
	p[0], p[last] = p[last], place{}
	l.places = p[:last]
	l.down(0)
	return first
}

func (l *Line) up(i int) {
	for p := l.places; i > 0; {
		parent := (i - 1) / 2
		if p[parent].offset <= p[i].offset {
			return
		}
		p[parent], p[i] = p[i], p[parent]
		i = parent
	}
}

func (l *Line) down(i int) {
	p := l.places
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(p) && p[child].offset < p[least].offset {
				least = child
			}
		}
		if least == i {
			return
		}
		p[i], p[least] = p[least], p[i]
		i = least
	}
}

package await

import (
	"sync"
	"sync/atomic"
)

// Watch tells one reader of many partitions which of them have news. To wait in a line of each, the reader would join and leave
// thousands of lines for each answer, and would not know then which of them moved; in a Watch it has a Place for each partition
// for as long as it reads it, and a partition without news costs nothing. A follower's fetch session is such a reader.
//
// What there is to read must be there before Note or Hint is called, and the reader looks at a partition after it took its
// place: so a call that finds the place noted already, or that falls into a Take, is for something that the reader sees.
type Watch struct {
	bell chan struct{}

	mu    sync.Mutex
	noted []*Place // in the order of their news
}

// NewWatch makes a Watch without places.
func NewWatch() *Watch { return &Watch{bell: make(chan struct{}, 1)} }

// Place is where one partition says that it has news. Its reader embeds it or keeps it, and finds itself by Owner.
type Place struct {
	Owner any
	watch *Watch
	// keen says that a Hint rings as a Note does.
	keen  bool
	state atomic.Uint32
}

// The bits of a Place's state.
const (
	placeNoted uint32 = 1 << iota // in the watch's list, or about to be
	placeRang                     // since it was last taken
)

// Watched makes p a place of w, before anybody may call p. keen says that hints ring the bell too.
func (p *Place) Watched(w *Watch, owner any, keen bool) { p.watch, p.Owner, p.keen = w, owner, keen }

// Note says that there is news to wake the reader for.
func (p *Place) Note() { p.note(true) }

// Hint says that there is news that can wait until the reader is awake.
func (p *Place) Hint() { p.note(p.keen) }

func (p *Place) note(ring bool) {
	add := placeNoted
	if ring {
		add |= placeRang
	}
	was := p.state.Or(add)
	if was&placeNoted == 0 {
		p.watch.mu.Lock()
		p.watch.noted = append(p.watch.noted, p)
		p.watch.mu.Unlock()
	}
	if ring && was&placeRang == 0 {
		p.watch.Ring()
	}
}

// Take gives the places with news, appended to dst, and notes them no longer.
func (w *Watch) Take(dst []*Place) []*Place {
	from := len(dst)
	w.mu.Lock()
	dst = append(dst, w.noted...)
	clear(w.noted)
	w.noted = w.noted[:0]
	w.mu.Unlock()
	for _, p := range dst[from:] {
		p.state.Store(0)
	}
	return dst
}

// Ring wakes the reader.
func (w *Watch) Ring() {
	select {
	case w.bell <- struct{}{}:
	default: // it rings already
	}
}

// Bell gives a value when the reader should Take; there may be nothing, if it took what the bell rang for.
func (w *Watch) Bell() <-chan struct{} { return w.bell }

package quorum

import "sync"

// bell wakes everyone who waits for news.
type bell struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits
}

// next is closed when the bell rings next. Who waits for a condition asks for it before looking.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}

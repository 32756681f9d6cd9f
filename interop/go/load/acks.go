package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Acks knows when the partitions were acknowledged last, and the longest times in which they were not.
type Acks struct {
	mu struct {
		sync.Mutex
		last  []time.Time // the last acknowledgement of each partition
		sent  []time.Time // when the latest record that was acknowledged had been sent
		label string
		gaps  map[string]time.Duration
		moved chan struct{} // closed and replaced with each acknowledgement that somebody waits for
	}
}

func newAcks(partitions int32) *Acks {
	a := &Acks{}
	a.mu.last, a.mu.sent = make([]time.Time, partitions), make([]time.Time, partitions)
	a.mu.gaps = map[string]time.Duration{}
	return a
}

func (a *Acks) note(partition int32, sent time.Time) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.mu.last[partition]; !last.IsZero() {
		a.mu.gaps[a.mu.label] = max(a.mu.gaps[a.mu.label], now.Sub(last))
	}
	a.mu.last[partition] = now
	if sent.After(a.mu.sent[partition]) {
		a.mu.sent[partition] = sent
	}
	if a.mu.moved != nil {
		close(a.mu.moved)
		a.mu.moved = nil
	}
}

// Label says whose the gaps that end from now on are.
func (a *Acks) Label(label string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.label = label
}

// Gaps are the longest times without an acknowledgement in any partition, by label.
func (a *Acks) Gaps() map[string]time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.gaps
}

// Await returns once every partition has acknowledged a record that was sent after the moment.
func (a *Acks) Await(ctx context.Context, since time.Time) error {
	for {
		late, moved := a.late(since)
		if len(late) == 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("partitions %v acknowledged nothing for %v", late, time.Since(since).Round(time.Millisecond))
		}
	}
}

func (a *Acks) late(since time.Time) (late []int, moved <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, sent := range a.mu.sent {
		if !sent.After(since) {
			late = append(late, p)
		}
	}
	if a.mu.moved == nil {
		a.mu.moved = make(chan struct{})
	}
	return late, a.mu.moved
}

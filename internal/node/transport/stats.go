package transport

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/base/histogram"
)

// maxKeys bounds the API keys that are counted apart; Kafka's are below it.
const maxKeys = 128

// Closed is why a connection ended.
type Closed int8

// The reasons. The first that is noticed counts.
const (
	ClosedByPeer   Closed = iota // the client hung up, or the network did
	ClosedIdle                   // no request for long
	ClosedSlow                   // half a request, or an answer that is not taken, for too long
	ClosedRefused                // what the client sent is not served
	ClosedTooMany                // beyond the limits of connections
	ClosedShutdown               // the node stops
	ClosedDefect                 // a panic
	closedReasons  int    = iota
)

// String is the reason in a word.
func (c Closed) String() string {
	return [...]string{"peer", "idle", "slow", "refused", "limit", "shutdown", "defect"}[c]
}

// counters are what a Server counts. What a request costs here is a handful of atomic additions.
type counters struct {
	accepted atomic.Uint64
	closed   [closedReasons]atomic.Uint64
	received atomic.Uint64
	sent     atomic.Uint64
	answers  [maxKeys]histogram.Histogram // by API key: from the last byte's arrival to the answer's hand-over
}

// answered counts a request that came in at arrived and is done with now.
func (c *counters) answered(key int16, arrived, now time.Time) {
	if key >= 0 && key < maxKeys {
		c.answers[key].Observe(now.Sub(arrived))
	}
}

// Stats is what a Server has counted since it was made, and how things stand.
type Stats struct {
	Accepted, Received, Sent   uint64 // connections; bytes, frames' lengths included
	Closed                     [closedReasons]uint64
	Connections                map[string]int // by listener
	Requests                   map[int16]histogram.Snapshot
	Queued                     int   // requests that were read and whose turn to be answered has not come
	Memory, MemoryLimit, Waits int64 // of the budget: bytes held, bytes there are, frames that had to wait
}

// Reasons gives how many connections ended for each reason, those that none did for included.
func (s Stats) Reasons() iter.Seq2[Closed, uint64] {
	return func(yield func(Closed, uint64) bool) {
		for why, n := range s.Closed {
			if !yield(Closed(why), n) {
				return
			}
		}
	}
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	st := Stats{
		Accepted: s.counters.accepted.Load(), Received: s.counters.received.Load(), Sent: s.counters.sent.Load(),
		Connections: map[string]int{}, Requests: map[int16]histogram.Snapshot{},
	}
	for i := range s.counters.closed {
		st.Closed[i] = s.counters.closed[i].Load()
	}
	for key := range s.counters.answers {
		if h := s.counters.answers[key].Snapshot(); h.Count() > 0 {
			st.Requests[int16(key)] = h
		}
	}
	s.mu.Lock()
	for _, name := range s.names {
		st.Connections[name] = 0
	}
	for c := range s.conns {
		st.Connections[c.client.Listener]++
		st.Queued += len(c.queue)
	}
	s.mu.Unlock()
	st.Memory, st.MemoryLimit, st.Waits = s.Budget.stats()
	return st
}

// stats tells the bytes held, the bytes there are, and how many frames had to wait for theirs.
func (b *Budget) stats() (used, capacity, waits int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total.used, b.total.capacity, b.waits
}

package transport

import (
	"testing"
	"time"
)

// What counting adds to a request: its bytes, its answer's, and its time.
func BenchmarkCountingARequest(b *testing.B) {
	var c counters
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c.received.Add(100)
		c.sent.Add(100)
		c.answered(keyBegin, now, now.Add(3*time.Millisecond))
	}
}

// Package histogram counts durations in buckets that double, without a lock. Packages that time things keep one beside the
// code they time; node/metrics reads Snapshots. It starts no goroutine and reads no clock.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// unit is the first bucket's bound; each further one is twice as far, the last at 26 s. What is longer has no bound.
	unit    = 100 * time.Microsecond
	buckets = 20
)

// Histogram counts durations. The zero value is empty, and it is safe for use by many.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts d. It costs two atomic additions.
func (h *Histogram) Observe(d time.Duration) {
	h.counts[bucket(d)].Add(1)
	h.sum.Add(int64(max(d, 0)))
}

// bucket is the first whose bound is not below d.
func bucket(d time.Duration) int {
	if d <= unit {
		return 0
	}
	return min(bits.Len64(uint64((d-1)/unit)), buckets-1)
}

// Snapshot is what a Histogram has counted. Counts are those of each bucket alone.
type Snapshot struct {
	Counts [buckets]uint64
	Sum    time.Duration
}

// Snapshot reads the counters one after the other: what is observed meanwhile may be in some and not in others.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Count is how many durations were counted.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Add adds what o has counted.
func (s *Snapshot) Add(o Snapshot) {
	for i, c := range o.Counts {
		s.Counts[i] += c
	}
	s.Sum += o.Sum
}

// Cumulative gives, by the bound of each bucket but the last in seconds, how many durations were not longer.
func (s Snapshot) Cumulative() map[float64]uint64 {
	all, n := make(map[float64]uint64, buckets-1), uint64(0)
	for i, c := range s.Counts[:buckets-1] {
		n += c
		// Divided, so that the bounds read 0.0001, 0.0002, 0.0004.
		all[float64(int64(1)<<i)/float64(time.Second/unit)] = n
	}
	return all
}

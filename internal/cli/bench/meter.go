package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in microseconds with three digits, from one to ten minutes; a longer one counts as ten minutes.
const (
	longest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

// meter counts what a load does. Its clock starts with start, and what is due before the end of the warm-up does not count.
type meter struct {
	warmup time.Duration
	mu     struct {
		sync.Mutex
		begin    time.Time // of what counts
		last     time.Time // when the last record that counts was done
		records  int64
		bytes    int64
		all      *hdrhistogram.Histogram
		sequence *hdrhistogram.Histogram // since the last tick
		ticked   time.Time
		since    int64 // records since the last tick, those of the warm-up included
		sinceB   int64
	}
}

func newMeter(warmup time.Duration) *meter {
	m := &meter{warmup: warmup}
	m.mu.all, m.mu.sequence = hdrhistogram.New(1, longest, digits), hdrhistogram.New(1, longest, digits)
	return m
}

// start starts the clock, and returns the moment from which on records count.
func (m *meter) start(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.begin, m.mu.ticked = now.Add(m.warmup), now
	return m.mu.begin
}

// done counts n records of bytes in all that were due at one moment and done at another.
func (m *meter) done(due, now time.Time, n, bytes int64) {
	latency := min(max(now.Sub(due).Microseconds(), 1), longest)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.since += n
	m.mu.sinceB += bytes
	_ = m.mu.sequence.RecordValues(latency, n) // it is within the bounds
	if due.Before(m.mu.begin) {
		return
	}
	m.mu.records += n
	m.mu.bytes += bytes
	_ = m.mu.all.RecordValues(latency, n)
	if now.After(m.mu.last) {
		m.mu.last = now
	}
}

// tick is what happened since the last tick.
type tick struct {
	recordsPerSecond, bytesPerSecond float64
	p99                              time.Duration
	warming                          bool
	started                          bool
}

func (m *meter) tick(now time.Time) tick {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.ticked.IsZero() {
		return tick{}
	}
	span := now.Sub(m.mu.ticked).Seconds()
	t := tick{
		recordsPerSecond: float64(m.mu.since) / span, bytesPerSecond: float64(m.mu.sinceB) / span,
		p99:     time.Duration(m.mu.sequence.ValueAtPercentile(99)) * time.Microsecond,
		warming: now.Before(m.mu.begin), started: true,
	}
	m.mu.sequence.Reset()
	m.mu.since, m.mu.sinceB, m.mu.ticked = 0, 0, now
	return t
}

// Package quota has the arithmetic of byte rates over a sliding window, as Kafka's replication quotas measure them (KIP-73).
// Who throttles owns a Rate and its lock; the package starts no goroutine and reads no clock.
package quota

import "time"

// Unlimited is a bound that no Rate exceeds.
const Unlimited int64 = 1<<63 - 1

// Rate measures bytes a second over the last samples, the one under way included: with 11 samples of a second, over the last 10
// to 11 seconds. As long as it has seen less, it divides by the time since its first sample began, and by one sample at least:
// what comes first may fill a whole sample at once.
type Rate struct {
	size  time.Duration // of a sample: replication.quota.window.size.seconds
	sums  []int64       // bytes in each sample, at its number modulo their count: replication.quota.window.num
	first int64         // number of the oldest sample that counts; -1 while there is none
	last  int64         // number of the newest
	total int64         // of all that count
}

// NewRate makes a Rate of so many samples of a size. Both are taken for the least that makes sense if they are less.
func NewRate(samples int, size time.Duration) *Rate {
	return &Rate{size: max(size, time.Millisecond), sums: make([]int64, max(samples, 1)), first: -1}
}

// Add counts n bytes. A time before the last one counts as that.
func (r *Rate) Add(now time.Time, n int64) {
	r.slide(now)
	r.sums[r.last%int64(len(r.sums))] += n
	r.total += n
}

// Over is how long to wait before the rate is at the bound (bytes a second), a sample at the most: then it is worth another look.
// It is 0 when the rate is not above.
func (r *Rate) Over(now time.Time, bound int64) time.Duration {
	if bound == Unlimited || r.first < 0 {
		return 0
	}
	r.slide(now)
	seconds := float64(r.total) / float64(max(bound, 1))
	if seconds > float64(len(r.sums)+1)*r.size.Seconds() { // beyond what a Duration may hold, and beyond the window
		return r.size
	}
	needed := time.Duration(seconds * float64(time.Second))
	return min(max(needed-r.passed(now), 0), r.size)
}

// PerSecond is the rate.
func (r *Rate) PerSecond(now time.Time) float64 {
	if r.first < 0 {
		return 0
	}
	r.slide(now)
	return float64(r.total) / r.passed(now).Seconds()
}

// passed is the time that the rate is divided by; there is a sample.
func (r *Rate) passed(now time.Time) time.Duration {
	return max(now.Sub(time.Unix(0, r.first*int64(r.size))), r.size)
}

// slide drops the samples that are too old.
func (r *Rate) slide(now time.Time) {
	n, count := now.UnixNano()/int64(r.size), int64(len(r.sums))
	if r.first < 0 || n-r.last >= count { // nothing counts: the window begins anew
		clear(r.sums)
		r.first, r.last, r.total = n, n, 0
		return
	}
	for r.last < n {
		r.last++
		r.total -= r.sums[r.last%count] // of the sample that goes
		r.sums[r.last%count] = 0
		r.first = max(r.first, r.last-count+1)
	}
}

package partition

import "time"

// FlushMethod says how a round makes several partitions durable.
type FlushMethod int

// FlushAuto syncs a few files each for itself, and from syncfsFrom on the whole file system at once; the others always do
// one of the two.
const (
	FlushAuto FlushMethod = iota
	FlushFdatasync
	FlushSyncfs
)

const (
	// syncfsFrom is from where on one syncfs costs less than an fdatasync a partition, in time and, by half, in CPU.
	syncfsFrom = 5
	// syncfsAlways is from where on it costs less even if others write to the file system too.
	syncfsAlways = 128
	// slowSync is how long a syncfs of few partitions may take before others' writes are suspected to be part of it.
	slowSync = 20 * time.Millisecond
	// A pause without syncfs; each one that turns out to have been needed doubles the next.
	minPause, maxPause = time.Second, 5 * time.Minute
)

// choice decides how rounds flush. A syncfs waits for all that anybody wrote to the file system: a copy of some gigabytes by
// another process would hold every producer up for seconds. After one that took suspiciously long, rounds flush their own
// files alone for a while, unless it shows that those take as long: then it is the disk that is slow. It has no lock: only
// the flusher's goroutine uses it.
type choice struct {
	method FlushMethod
	pause  time.Duration // the next one
	until  time.Time     // no syncfs before
	slow   time.Duration // what the syncfs took that began the pause
}

// whole tells whether a round of n partitions syncs the whole file system.
func (c *choice) whole(now time.Time, n int) bool {
	if c.method != FlushAuto {
		return c.method == FlushSyncfs
	}
	return n >= syncfsAlways || n >= syncfsFrom && !now.Before(c.until)
}

// took tells how long a round took that ended now.
func (c *choice) took(now time.Time, n int, whole bool, d time.Duration) {
	switch {
	case c.method != FlushAuto || n < syncfsFrom || n >= syncfsAlways:
	case whole && d > slowSync:
		c.pause = min(max(2*c.pause, minPause), maxPause)
		c.until, c.slow = now.Add(c.pause), d
	case whole && now.Sub(c.until) > c.pause:
		c.pause = 0
	case !whole && d > c.slow/2:
		c.until = now
	}
}

package partition

import "time"

const (
	// crowded is from how many partitions a second on a flush is worth waiting for company: below, there would be none.
	crowded = 500
	// rateSpan is over what the rate is counted.
	rateSpan = 100 * time.Millisecond
	// A flush waits a tenth of what its partition had nothing to flush for, within these bounds; less is not worth a timer.
	patience           = 10
	minDelay, maxDelay = 500 * time.Microsecond, 3 * time.Millisecond
)

// company decides how long a flush waits for company, when many partitions get a little each: a disk is flushed for ten of them as
// dearly as for one. What a producer loses is bounded by its own pace. One that sends when the last record is acknowledged, or
// as fast as it can, has its partition flushed again at once, and never waits; a partition that was still for 30 ms waits 3.
// Without others to wait for, nobody waits. The timer may be late, as all of a node's may (ADR 0012), but where hundreds of
// requests a second wake the process, it is not by much. It has no lock: the flusher's is held.
type company struct {
	began  time.Time // of the span that is counted
	count  int
	before int // of the span before it; 0 if nothing was counted for a whole span
}

// delay counts a partition that has something to flush, now, for the first time since it was last taken for a flush, and tells
// how long it may wait.
func (c *company) delay(now, last time.Time) time.Duration {
	switch since := now.Sub(c.began); {
	case since >= 2*rateSpan:
		*c = company{began: now}
	case since >= rateSpan:
		*c = company{began: c.began.Add(rateSpan), before: c.count}
	}
	c.count++
	if c.before < int(crowded*rateSpan/time.Second) {
		return 0
	}
	d := min(now.Sub(last)/patience, maxDelay)
	if d < minDelay {
		return 0
	}
	return d
}

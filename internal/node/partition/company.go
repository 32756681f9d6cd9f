package partition

import "time"

const (
	// crowded is from how many partitions a second on a flush is worth waiting for company: below, there would be none.
	crowded = 500
	// rateSpan is over what the rate is counted.
	rateSpan = 100 * time.Millisecond
	// A flush waits a tenth of its producer's pause, within these bounds; less is not worth a timer.
	patience           = 10
	minDelay, maxDelay = 2 * time.Millisecond, 3 * time.Millisecond
)

// company decides how long a flush waits for company, when many producers send a little each: a disk is flushed for ten of them as
// dearly as for one. What a producer loses is bounded by its own pace: where its connection was silent for 30 ms, the flush waits
// 3. One that sends as fast as it can, or when the last record is acknowledged, does not wait, to however many partitions it sends,
// where an acknowledgement takes less than 20 ms. The timer may be late by some milliseconds, as all of a node's may (ADR 0012): at
// 500 requests a second 1 ms in the mean and 4 at worst. That is why a pause below 20 ms is none.
//
// Where fewer partitions come, nobody waits. What is counted is partitions: one producer that seldom sends, but then to very many,
// is not told from a crowd, nor is one that sends to one broker after the other and so leaves each connection silent for long.
//
// It has no lock: the flusher's is held.
type company struct {
	began  time.Time // of the span that is counted
	count  int
	before int // of the span before it; 0 if nothing was counted for a whole span
}

// delay counts a partition that has something to flush, now, for the first time since it was last taken for a flush, and tells
// how long it may wait.
func (c *company) delay(now time.Time, pause time.Duration) time.Duration {
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
	return mayWait(pause)
}

// mayWait is how long the flush for a producer that had sent nothing for pause may wait.
func mayWait(pause time.Duration) time.Duration {
	d := min(pause/patience, maxDelay)
	if d < minDelay {
		return 0
	}
	return d
}

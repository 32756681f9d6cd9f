package bench

import (
	"context"
	"time"
)

// pace says when each record of one sender is due.
type pace struct {
	begin  time.Time
	phase  time.Duration // of the first record, so that several senders do not send at once
	period float64       // nanoseconds between two records; 0 is as fast as can be
}

// newPace makes the pace of the i-th of n senders that share rate.
func newPace(begin time.Time, rate float64, i, n int) pace {
	p := pace{begin: begin}
	if rate > 0 {
		p.period = float64(n) * 1e9 / rate
		p.phase = time.Duration(p.period * float64(i) / float64(n))
	}
	return p
}

// due is when the record with that number is to be sent. Without a rate every record is due now.
func (p pace) due(number int64) time.Time {
	if p.period == 0 {
		return time.Now()
	}
	return p.begin.Add(p.phase + time.Duration(float64(number)*p.period))
}

// dueBy is how many records are due at a moment.
func (p pace) dueBy(now time.Time) int64 {
	since := now.Sub(p.begin) - p.phase
	if since < 0 {
		return 0
	}
	return int64(float64(since)/p.period) + 1
}

// wait waits until the moment, and tells whether the load goes on. It returns at once for a moment that has passed: a sender that
// fell behind catches up without dropping anything.
func wait(ctx context.Context, until time.Time) bool {
	left := time.Until(until)
	if left <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package partition

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/vfs"
)

// crowd counts n partitions a second, evenly, for span, and returns when the last of them came.
func crowd(c *company, start time.Time, n int, span time.Duration) time.Time {
	every := time.Second / time.Duration(n)
	now := start
	for range int(span / every) {
		now = now.Add(every)
		c.delay(now, now)
	}
	return now
}

func TestAFlushWaitsATenthOfItsPartitionsPause(t *testing.T) {
	var c company
	now := crowd(&c, time.Unix(1000, 0), 2*crowded, time.Second)
	for _, k := range []struct{ still, want time.Duration }{
		{0, 0},
		{time.Millisecond, 0},
		{minDelay*patience - 1, 0},
		{8 * time.Millisecond, 800 * time.Microsecond},
		{30 * time.Millisecond, 3 * time.Millisecond},
		{time.Hour, maxDelay},
	} {
		if got := c.delay(now, now.Add(-k.still)); got != k.want {
			t.Errorf("a partition that was still for %v waits %v, want %v", k.still, got, k.want)
		}
	}
}

func TestAFlushDoesNotWaitForNobody(t *testing.T) {
	var c company
	begin := time.Unix(1000, 0)
	if d := c.delay(begin, time.Time{}); d != 0 {
		t.Errorf("the first of all waits %v", d)
	}
	now := crowd(&c, begin, crowded*9/10, time.Second)
	if d := c.delay(now, time.Time{}); d != 0 {
		t.Errorf("where few come, one waits %v", d)
	}
	now = crowd(&c, now, 2*crowded, time.Second)
	if d := c.delay(now, time.Time{}); d != maxDelay {
		t.Errorf("in a crowd one waits %v, want %v", d, maxDelay)
	}
	if d := c.delay(now.Add(2*rateSpan), time.Time{}); d != 0 {
		t.Errorf("after the crowd has gone one waits %v", d)
	}
}

// In a crowd of partitions that get a record each 50 ms, some rounds flush them all; who waits for each record before the next
// is not slowed down by them.
func TestPartitionsThatGetLittleShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const partitions, writes, every = 100, 40, 50 * time.Millisecond
		h := newHost(t, vfs.NewMem(), nil)
		defer h.Abandon()
		h.topic("little", partitions)
		h.topic("busy", 1)
		var wg sync.WaitGroup
		for i := range partitions {
			p := h.part("little", int32(i))
			wg.Go(func() {
				time.Sleep(every * time.Duration(i) / partitions)
				for range writes {
					at := time.Now()
					if _, err := write(t, p, AllReplicas, "x"); err != nil {
						t.Error(err)
						return
					}
					if d := time.Since(at); d > maxDelay {
						t.Errorf("%v is acknowledged after %v", p.Name(), d)
					}
					time.Sleep(every - time.Since(at))
				}
			})
		}
		time.Sleep(4 * rateSpan)
		before, _ := h.Stats()
		time.Sleep(10 * every)
		after, _ := h.Stats()
		if logs, rounds := after.FlushedLogs-before.FlushedLogs, after.Flushes.Count()-before.Flushes.Count(); rounds == 0 || logs < 4*rounds {
			t.Errorf("%d flushes of partitions in %d rounds", logs, rounds)
		}
		busy := h.part("busy", 0)
		mustWrite(t, busy, "first")
		began := time.Now()
		for range 10 {
			time.Sleep(time.Millisecond)
			mustWrite(t, busy, "x")
		}
		if d := time.Since(began); d > 10*time.Millisecond {
			t.Errorf("ten records, one each millisecond, took %v", d)
		}
		wg.Wait()
	})
}

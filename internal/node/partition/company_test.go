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
		c.delay(now, 0)
	}
	return now
}

func TestAFlushWaitsATenthOfItsProducersPause(t *testing.T) {
	var c company
	now := crowd(&c, time.Unix(1000, 0), 2*crowded, time.Second)
	for _, k := range []struct{ pause, want time.Duration }{
		{0, 0},
		{time.Millisecond, 0},
		{minDelay*patience - 1, 0},
		{25 * time.Millisecond, 2500 * time.Microsecond},
		{30 * time.Millisecond, 3 * time.Millisecond},
		{time.Hour, maxDelay},
	} {
		if got := c.delay(now, k.pause); got != k.want {
			t.Errorf("after a pause of %v one waits %v, want %v", k.pause, got, k.want)
		}
	}
}

func TestAFlushDoesNotWaitForNobody(t *testing.T) {
	var c company
	begin := time.Unix(1000, 0)
	if d := c.delay(begin, time.Hour); d != 0 {
		t.Errorf("the first of all waits %v", d)
	}
	now := crowd(&c, begin, crowded*9/10, time.Second)
	if d := c.delay(now, time.Hour); d != 0 {
		t.Errorf("where few come, one waits %v", d)
	}
	now = crowd(&c, now, 2*crowded, time.Second)
	if d := c.delay(now, time.Hour); d != maxDelay {
		t.Errorf("in a crowd one waits %v, want %v", d, maxDelay)
	}
	if d := c.delay(now.Add(2*rateSpan), time.Hour); d != 0 {
		t.Errorf("after the crowd has gone one waits %v", d)
	}
}

// Of a hundred producers that send a record each 50 ms, some rounds flush them all; one that sends a record when the last is
// acknowledged is not slowed down by them, though each goes to another partition.
func TestProducersThatSendLittleShareRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const producers, writes, every = 100, 40, 50 * time.Millisecond
		h := newHost(t, vfs.NewMem(), nil)
		defer h.Abandon()
		h.topic("little", producers)
		var wg sync.WaitGroup
		for i := range producers {
			p := h.part("little", int32(i))
			wg.Go(func() {
				time.Sleep(every * time.Duration(i) / producers)
				for range writes {
					at := time.Now()
					if _, err := writeAfter(t, p, AllReplicas, "x", every); err != nil {
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
		const pause = time.Millisecond
		began := time.Now()
		for n := range int32(20) {
			time.Sleep(pause)
			if _, err := writeAfter(t, h.part("little", 5*n), AllReplicas, "x", pause); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d > 20*pause {
			t.Errorf("twenty records, one each millisecond, took %v", d)
		}
		p := h.part("little", 3)
		wg.Go(func() {
			if _, err := writeAfter(t, p, AllReplicas, "waits", every); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		began = time.Now()
		if _, err := writeAfter(t, p, AllReplicas, "hastens", pause); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("a record took %v behind one that waits for company", d)
		}
		wg.Wait()
	})
}

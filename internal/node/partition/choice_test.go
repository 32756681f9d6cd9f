package partition

import (
	"testing"
	"time"
)

func TestRoundsAvoidSyncfsWhileOthersWrite(t *testing.T) {
	now := time.Unix(1000, 0)
	c := choice{}
	round := func(n int, d time.Duration) (whole bool) {
		whole = c.whole(now, n)
		now = now.Add(d)
		c.took(now, n, whole, d)
		return whole
	}
	want := func(when string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: syncfs is %v, want %v", when, got, want)
		}
	}
	const quick, slow = 2 * time.Millisecond, 400 * time.Millisecond
	want("few partitions", round(syncfsFrom-1, slow), false)
	want("several", round(6, quick), true)
	want("several, when others write", round(6, slow), true)
	want("after that", round(6, quick), false)
	want("very many, all the same", round(syncfsAlways, slow), true)
	now = now.Add(minPause)
	want("after the pause", round(6, slow), true)
	now = now.Add(minPause)
	want("the second pause is longer", round(6, quick), false)
	now = now.Add(minPause)
	want("and ends too", round(6, quick), true)
	now = now.Add(time.Minute)
	want("long after", round(6, slow), true)
	if c.pause != 2*minPause && c.pause != 4*minPause {
		t.Errorf("pause is %v after one that ended long ago", c.pause)
	}
	want("files are no quicker", round(6, slow), false)
	want("then it is the disk", round(6, quick), true)
}

func TestASlowSyncfsShortensNoPause(t *testing.T) {
	now := time.Unix(1000, 0)
	c := choice{}
	for range 20 {
		c.took(now, 6, true, time.Second)
		now = c.until
	}
	if c.pause != maxPause {
		t.Errorf("pause is %v, want %v", c.pause, maxPause)
	}
}

func TestAConfiguredMethodIsKept(t *testing.T) {
	for _, m := range []FlushMethod{FlushFdatasync, FlushSyncfs} {
		c := choice{method: m}
		c.took(time.Unix(1000, 0), 6, c.whole(time.Unix(1000, 0), 6), time.Minute)
		for _, n := range []int{1, 6, 1000} {
			if got := c.whole(time.Unix(1001, 0), n); got != (m == FlushSyncfs) {
				t.Errorf("method %d, %d partitions: syncfs is %v", m, n, got)
			}
		}
	}
}

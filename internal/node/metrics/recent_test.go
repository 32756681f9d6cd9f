package metrics

import (
	"testing"
	"time"
)

func TestRecentLooksBackAMinuteAtMost(t *testing.T) {
	at := time.Unix(0, 0)
	r := newRecent(at)
	for s := 1; s <= 600; s++ { // ten a second, each of 1 ms
		at = at.Add(time.Second)
		elapsed, n, sum := r.since(at, uint64(10*s), time.Duration(10*s)*time.Millisecond)
		if elapsed > window+time.Second || n != uint64(10*elapsed.Seconds()) || sum != time.Duration(n)*time.Millisecond {
			t.Fatalf("after %d s: %d in %v", s, n, elapsed)
		}
	}
	if len(r.samples) > 62 {
		t.Errorf("%d samples are kept", len(r.samples))
	}
	for range 1000 {
		r.since(at, 6000, 0)
	}
	if len(r.samples) > 62 {
		t.Errorf("%d samples after many scrapes at once", len(r.samples))
	}
}

func TestDiskBytesAreReadFromProc(t *testing.T) {
	read, written, ok := parseIO("rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n")
	if !ok || read != 4096 || written != 8192 {
		t.Errorf("%v %v %v", read, written, ok)
	}
	if _, _, ok := parseIO("rchar: 1\n"); ok {
		t.Error("half of it is enough")
	}
}

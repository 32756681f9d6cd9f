package histogram

import (
	"testing"
	"time"
)

func TestADurationIsCountedAtTheFirstBoundNotBelowIt(t *testing.T) {
	for _, c := range []struct {
		d     time.Duration
		bound float64 // the least whose count it is in; 0 for none
	}{
		{-time.Second, 0.0001}, {0, 0.0001}, {unit, 0.0001}, {unit + 1, 0.0002}, {2 * unit, 0.0002}, {2*unit + 1, 0.0004},
		{time.Millisecond, 0.0016}, {26 * time.Second, 26.2144}, {27 * time.Second, 0}, {time.Hour, 0},
	} {
		var h Histogram
		h.Observe(c.d)
		s := h.Snapshot()
		if s.Count() != 1 {
			t.Errorf("%v: counted %d times", c.d, s.Count())
		}
		for bound, n := range s.Cumulative() {
			want := uint64(0)
			if c.bound != 0 && bound >= c.bound {
				want = 1
			}
			if n != want {
				t.Errorf("%v: %d at %v, want %d", c.d, n, bound, want)
			}
		}
	}
}

func TestASnapshotSumsUp(t *testing.T) {
	var a, b Histogram
	a.Observe(time.Millisecond)
	b.Observe(time.Second)
	b.Observe(time.Second)
	s := a.Snapshot()
	s.Add(b.Snapshot())
	if s.Count() != 3 || s.Sum != 2*time.Second+time.Millisecond {
		t.Errorf("%d in %v", s.Count(), s.Sum)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for d := time.Duration(0); b.Loop(); d += time.Microsecond {
		h.Observe(d)
	}
}

package load

import (
	"testing"
	"time"
)

func TestAGapCountsWhenItEndsAndWhileItIsOpen(t *testing.T) {
	g, start := newGaps(), time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	a, b := Lane{"a", 0}, Lane{"a", 1}
	g.note(a, at(0))
	g.note(b, at(0))
	g.note(a, at(300)) // a gap of 300
	g.note(a, at(400))
	taken := g.Take(at(500))
	if taken[a] != 300*time.Millisecond || taken[b] != 500*time.Millisecond {
		t.Errorf("%v, want 300 ms that ended and 500 ms that are open", taken)
	}
	g.note(b, at(900))
	g.note(a, at(900))
	taken = g.Take(at(900))
	if taken[a] != 500*time.Millisecond || taken[b] != 900*time.Millisecond {
		t.Errorf("%v, want 500 ms, and 900 ms of which 500 were before the last look", taken)
	}
}

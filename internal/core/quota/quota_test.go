package quota

import (
	"math/rand/v2"
	"testing"
	"time"
)

const mb = 1 << 20

var begin = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }

func TestARateIsOverItsBoundUntilTheWindowHasRoom(t *testing.T) {
	type add struct{ ms, bytes int }
	for _, c := range []struct {
		name  string
		adds  []add
		ms    int
		bound int64
		want  time.Duration
	}{
		{"nothing was added", nil, 0, 1, 0},
		{"a first sample is there for the taking", []add{{0, mb}}, 0, mb, 0},
		{"and no more than that", []add{{0, mb + mb/2}}, 0, mb, 500 * time.Millisecond},
		{"a wait is a sample at the most", []add{{0, 100 * mb}}, 0, mb, time.Second},
		{"what waits is let in as time goes", []add{{0, 3 * mb}}, 2500, mb, 500 * time.Millisecond},
		{"and then has room", []add{{0, 3 * mb}}, 3000, mb, 0},
		{"a sample goes out of the window", []add{{0, 50 * mb}, {5000, 5 * mb}}, 11_000, mb, 0},
		{"before that it counts", []add{{0, 50 * mb}, {5000, 5 * mb}}, 10_999, mb, time.Second},
		{"a rest of a window forgets all", []add{{0, 1000 * mb}}, 20_000, mb, 0},
		{"no bound", []add{{0, 1000 * mb}}, 0, Unlimited, 0},
		{"a bound of nothing", []add{{0, mb}}, 5000, 0, time.Second},
		{"more than a float of seconds can be a Duration", []add{{0, 1 << 62}}, 0, 1, time.Second},
		{"a clock that goes back", []add{{5000, 2 * mb}, {1000, mb}}, 5000, mb, time.Second},
	} {
		r := NewRate(11, time.Second)
		for _, a := range c.adds {
			r.Add(at(a.ms), int64(a.bytes))
		}
		if got := r.Over(at(c.ms), c.bound); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestARateIsThatOfItsWindow(t *testing.T) {
	r := NewRate(11, time.Second)
	if got := r.PerSecond(begin); got != 0 {
		t.Errorf("%v before anything was added", got)
	}
	r.Add(begin, 30*mb)
	for _, c := range []struct {
		ms   int
		want float64
	}{{0, 30 * mb}, {1000, 30 * mb}, {2000, 15 * mb}, {10_000, 3 * mb}, {11_000, 0}, {99_000, 0}} {
		if got := r.PerSecond(at(c.ms)); got != c.want {
			t.Errorf("after %d ms: %v, want %v", c.ms, got, c.want)
		}
	}
}

// Whoever adds only when the rate is not over its bound gets what the bound gives, and a piece a sample more.
func TestWhoWaitsGetsHisRate(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		bound, piece := 1+rnd.Int64N(20*mb), 1+rnd.Int64N(mb)
		r := NewRate(1+rnd.IntN(20), time.Duration(1+rnd.IntN(3))*time.Second)
		now, end, sent := begin, begin.Add(2*time.Minute), int64(0)
		for now.Before(end) {
			if wait := r.Over(now, bound); wait > 0 {
				now = now.Add(wait)
				continue
			}
			r.Add(now, piece)
			sent += piece
			now = now.Add(time.Millisecond)
		}
		most := float64(bound)*(120+2*r.size.Seconds()) + float64(piece)*120/r.size.Seconds()
		least := min(float64(bound), float64(piece)*900) * 120 * 0.8 // a piece a millisecond is all that is offered
		if float64(sent) > most || float64(sent) < least {
			t.Errorf("seed %d: %d bytes in 2 min by %d bytes a second in pieces of %d: want %.0f to %.0f", seed, sent, bound, piece, least, most)
		}
	}
}

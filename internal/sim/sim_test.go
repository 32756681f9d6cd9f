package sim

import (
	"bytes"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var seeds = flag.Uint64("seeds", 1000, "how many seeds TestInvariantsHoldInEverySeed plays")

// TestInvariantsHoldInEverySeed plays many runs. A seed that breaks is played again by
// go run ./internal/sim/cmd/sim -seed N -trace, and what it shows becomes a test of the machine that is at fault: the seed tells
// another story as soon as the simulator changes.
func TestInvariantsHoldInEverySeed(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 100)
	}
	var next atomic.Uint64
	var mu sync.Mutex
	var sum Result
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				r, err := Run(seed, Options{})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				sum.Add(r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds: %+v", n, sum)
	// Runs in which nothing happens prove nothing.
	if sum.Acknowledged < 50*int(n) || sum.Read < 50*int(n) || sum.Crashes < int(n) || sum.Leaders < 6*int(n) || sum.Truncations == 0 {
		t.Errorf("too little happened in %d seeds: %+v", n, sum)
	}
}

func TestSameSeedPlaysTheSameRun(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		var a, b bytes.Buffer
		ra, _ := Run(seed, Options{Trace: &a, Duration: 10 * time.Second})
		rb, _ := Run(seed, Options{Trace: &b, Duration: 10 * time.Second})
		if ra != rb || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("seed %d: two runs differ: %+v and %+v", seed, ra, rb)
		}
		if a.Len() == 0 {
			t.Errorf("seed %d leaves no trace", seed)
		}
	}
}

// Command sim plays many seeds of the simulated cluster, or one of them with a trace:
//
//	go run ./internal/sim/cmd/sim -seeds 100000
//	go run ./internal/sim/cmd/sim -seed 4711 -trace
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/sim"
)

func main() {
	seeds := flag.Uint64("seeds", 1000, "how many seeds to play")
	from := flag.Uint64("from", 0, "the first of them")
	one := flag.Int64("seed", -1, "play this one alone")
	trace := flag.Bool("trace", false, "with -seed: print what happens")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "how many to play at the same time")
	flag.Parse()
	if *one >= 0 {
		os.Exit(single(uint64(*one), *trace))
	}
	os.Exit(many(*from, *seeds, *workers))
}

func single(seed uint64, trace bool) int {
	var o sim.Options
	if trace {
		o.Trace = os.Stdout
	}
	result, err := sim.Run(seed, o)
	fmt.Printf("%+v\n", result)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// many plays seeds until one breaks or all are played.
func many(from, seeds uint64, workers int) int {
	start := time.Now()
	t := tally{out: os.Stdout}
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < seeds; n = next.Add(1) - 1 {
				result, err := sim.Run(from+n, sim.Options{})
				t.add(result, err, time.Since(start))
			}
		})
	}
	wg.Wait()
	t.print(time.Since(start))
	if t.broken > 0 {
		return 1
	}
	return 0
}

// tally adds up what was played.
type tally struct {
	out io.Writer

	mu     sync.Mutex
	played int
	broken int
	sum    sim.Result
	told   time.Duration
}

func (t *tally) add(r sim.Result, err error, elapsed time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.played++
	t.sum.Add(r)
	if err != nil {
		t.broken++
		fmt.Fprintf(t.out, "BROKEN %v\n", err)
	}
	if elapsed-t.told > 10*time.Second {
		t.told = elapsed
		t.line(elapsed)
	}
}

func (t *tally) line(elapsed time.Duration) {
	fmt.Fprintf(t.out, "%d seeds, %.0f a second, %d broken\n", t.played, float64(t.played)/elapsed.Seconds(), t.broken)
}

func (t *tally) print(elapsed time.Duration) {
	t.line(elapsed)
	fmt.Fprintf(t.out, "%+v\n", t.sum)
}

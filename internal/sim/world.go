package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
)

// Options say what is played. The zero value is the usual run.
type Options struct {
	Nodes      int           // 3
	Partitions int           // 3
	Duration   time.Duration // of faults and load, before everything is healed; 20 s of simulated time
	Trace      io.Writer     // gets a line an event; nil for none
}

func (o *Options) setDefaults() {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Partitions == 0 {
		o.Partitions = 3
	}
	if o.Duration == 0 {
		o.Duration = 20 * time.Second
	}
}

// Result counts what happened in a run, so that one in which nothing did is noticed.
type Result struct {
	Events, Acknowledged, Failed, Read int
	Leaders                            int // leaderships of partitions
	Controllers                        int // leaderships of the metadata quorum
	Crashes, Cuts, Pauses              int
	Truncations                        int
}

// Add adds another run's counts.
func (r *Result) Add(o Result) {
	r.Events += o.Events
	r.Acknowledged += o.Acknowledged
	r.Failed += o.Failed
	r.Read += o.Read
	r.Leaders += o.Leaders
	r.Controllers += o.Controllers
	r.Crashes += o.Crashes
	r.Cuts += o.Cuts
	r.Pauses += o.Pauses
	r.Truncations += o.Truncations
}

// world is one run.
type world struct {
	Options
	rng    *rand.Rand
	now    time.Duration
	events agenda
	values int // given to records
	nodes  []*node
	links  links
	meta   history
	// controller decides on every node alike: it has no state.
	controller *controller.Controller
	// fetchMost is how many records a follower's fetch brings: with few, who was away is behind for long.
	fetchMost kafka.Offset
	// betrays says that leaders like to die just after their in-sync replicas became more: whoever was let in too early leads then.
	betrays bool
	check   checker
	result  Result
	// broken is the first violation; nothing goes on after it.
	broken error
}

// Run plays one seed, and returns the first invariant that broke.
func Run(seed uint64, o Options) (Result, error) {
	o.setDefaults()
	w := &world{Options: o, rng: rand.New(rand.NewPCG(seed, 0x5eed))}
	w.fetchMost, w.betrays = kafka.Offset(1+w.rng.IntN(mostRecords)), w.chance(3)
	w.check = newChecker(w)
	w.build()
	w.faults()
	w.clients()
	w.until(o.Duration, func() bool { return false })
	w.heal()
	if !w.until(o.Duration+healTime, w.settled) && w.broken == nil {
		w.breaks("the cluster did not come to rest in %v after healing: %s", healTime, w.unsettled())
	}
	if w.broken == nil {
		w.check.end()
	}
	if w.broken != nil {
		return w.result, fmt.Errorf("seed %d at %v: %w", seed, w.now, w.broken)
	}
	return w.result, nil
}

// healTime is how long a healed cluster has to come to rest.
const healTime = time.Minute

// after plans do.
func (w *world) after(d time.Duration, do func()) {
	w.events.add(w.now+d, do)
}

// every plans do again and again, about an interval apart.
func (w *world) every(interval time.Duration, do func()) {
	w.after(w.around(interval), func() {
		do()
		w.every(interval, do)
	})
}

// lookTime is between two looks whether a run is done.
const lookTime = 50 * time.Millisecond

// until plays events up to a time, or until done says so, which it tells.
func (w *world) until(end time.Duration, done func() bool) bool {
	next := w.now
	for w.broken == nil && !w.events.empty() && w.events.next() <= end {
		var do func()
		w.now, do = w.events.pop()
		w.result.Events++
		do()
		if w.now >= next {
			next = w.now + lookTime
			if done() {
				return true
			}
		}
	}
	return false
}

// breaks notes the first violation.
func (w *world) breaks(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
		w.tracef("BROKEN %v", w.broken)
	}
}

func (w *world) tracef(format string, args ...any) {
	if w.Trace != nil {
		fmt.Fprintf(w.Trace, "%12v "+format+"\n", append([]any{w.now}, args...)...)
	}
}

// chance is true in one of n cases.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

// around is a duration between half of d and one and a half of it.
func (w *world) around(d time.Duration) time.Duration {
	return d/2 + time.Duration(w.rng.Int64N(int64(d)+1))
}

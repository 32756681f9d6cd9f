package faults

import (
	"math/rand/v2"
	"testing"
	"time"
)

const shortKills = 12

func TestKillsLoseNothingAcknowledgedAndRepeatNothing(t *testing.T) {
	n := newNode(t, t.TempDir())
	n.start()
	createTopic(t, n.addr)
	l := startLoad(t, n.addr)
	rnd := schedule(t)
	count := faultsToMake(shortKills)
	for range count {
		l.progress(1 + rnd.IntN(3000))
		wait(rnd, 20*time.Millisecond)
		n.kill()
		n.start()
	}
	l.finish()
	l.check(n.addr)
	t.Logf("%d kills", count)
}

func faultsToMake(short int) int {
	if *cycles > 0 {
		return *cycles
	}
	return short
}

// schedule is the source of the moments at which faults strike; its seed makes a run repeatable as far as a real
// process lets it.
func schedule(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("fault schedule: -seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// wait lets the load run for a random moment, so that faults strike at any point of the node's work: it waits for no
// condition.
func wait(rnd *rand.Rand, upTo time.Duration) {
	<-time.After(time.Duration(rnd.Int64N(int64(upTo))))
}

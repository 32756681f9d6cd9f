package load

import (
	"maps"
	"sync"
	"time"
)

// Lane is one sequence of events that should not stop: the acknowledgements of a producer in a partition, or what consumers that share
// the partitions are given of one.
type Lane struct {
	Who       string
	Partition int32
}

// Gaps knows the longest time between two events of each lane.
type Gaps struct {
	mu struct {
		sync.Mutex
		last    map[Lane]time.Time
		longest map[Lane]time.Duration // since the last Take
	}
}

func newGaps() *Gaps {
	g := &Gaps{}
	g.mu.last, g.mu.longest = map[Lane]time.Time{}, map[Lane]time.Duration{}
	return g
}

func (g *Gaps) note(lane Lane, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.mu.last[lane]; ok {
		g.mu.longest[lane] = max(g.mu.longest[lane], now.Sub(last))
	}
	g.mu.last[lane] = now
}

// Take gives the longest gap of each lane that ended since the last Take, or is still open: then it is as long as it is by now.
func (g *Gaps) Take(now time.Time) map[Lane]time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := maps.Clone(g.mu.longest)
	for lane, last := range g.mu.last {
		taken[lane] = max(taken[lane], now.Sub(last))
	}
	clear(g.mu.longest)
	return taken
}

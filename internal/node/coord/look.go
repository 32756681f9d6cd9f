package coord

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/headrace/headrace/internal/core/machine"
)

// Look has see look at every machine, one after the other, by partition. A shard shows its machine between two batches of requests, on
// its own goroutine: see must not keep it. It tells how many partitions are still
// being loaded, which are left out.
func (r *Runtime) Look(ctx context.Context, see func(machine.Machine)) (n int, err error) {
	shards := r.snapshot()
	for _, p := range slices.Sorted(maps.Keys(shards)) {
		if shards[p].is(loading) {
			n++
			continue
		}
		l := &look{see: see, seen: make(chan struct{})}
		if !shards[p].show(l) {
			continue
		}
		select {
		case <-l.seen:
		case <-ctx.Done():
			l.giveUp()
			return n, ctx.Err()
		}
	}
	return n, nil
}

// look is a turn in the inbox that is no event of the machine's: nothing is stepped on.
type look struct {
	seen chan struct{} // closed when it was its turn

	mu  sync.Mutex // held while see looks, so that after giveUp it does not
	see func(machine.Machine)
}

func (l *look) at(m machine.Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.see != nil {
		l.see(m)
	}
	close(l.seen)
}

func (l *look) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see = nil
}

// show puts l into the inbox of a shard that runs; it tells whether it did.
func (s *shard) show(l *look) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != active {
		return false
	}
	s.mu.inbox = append(s.mu.inbox, l)
	s.pokeLocked()
	return true
}

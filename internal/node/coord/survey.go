package coord

import (
	"context"
	"maps"
	"slices"

	"github.com/headrace/headrace/internal/core/group"
)

// Survey is all groups coordinated here, as those who watch them want them.
type Survey struct {
	Groups []group.Summary // by partition of __consumer_offsets, then by id
	// Left counts groups without their offsets, because there are too many; Loading the partitions still being loaded, whose
	// groups are not known yet.
	Left, Loading int
}

// Survey looks at every shard, one after the other, and takes at most so many offsets from all of them together. A shard
// answers between two batches of requests.
func (r *Runtime) Survey(ctx context.Context, most int) (Survey, error) {
	r.mu.Lock()
	shards := maps.Clone(r.mu.shards)
	r.mu.Unlock()
	var s Survey
	for _, p := range slices.Sorted(maps.Keys(shards)) {
		if shards[p].is(loading) {
			s.Loading++
			continue
		}
		l := look{most: most, seen: make(chan seen, 1)}
		if !shards[p].show(l) {
			continue
		}
		select {
		case got := <-l.seen:
			s.Groups, s.Left = append(s.Groups, got.groups...), s.Left+got.left
			for _, g := range got.groups {
				most -= len(g.Offsets)
			}
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
	return s, nil
}

// look is a survey's turn in the inbox. It is no event of the machine's: nothing is stepped on.
type look struct {
	group.Loaded
	most int
	seen chan seen // room for the one answer
}

type seen struct {
	groups []group.Summary
	left   int
}

// show puts l into the inbox of a shard that runs; it tells whether it did.
func (s *shard) show(l look) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != active {
		return false
	}
	s.mu.inbox = append(s.mu.inbox, l)
	s.pokeLocked()
	return true
}

package group

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Summary is a group as those who watch it want it: what is committed, and its state of now.
type Summary struct {
	ID      string
	State   string
	Members int
	Offsets []Position // sorted; nil where Summaries left them out
}

// Position is how far a group has come in a partition.
type Position struct {
	Partition kafka.TopicPartition
	Offset    kafka.Offset
}

// Summaries lists the groups sorted by id, with most offsets at most: a group whose offsets would go beyond that has none,
// and left counts such groups.
func (s *Shard) Summaries(most int) (all []Summary, left int) {
	ids := make([]string, 0, s.saved.Len())
	for id := range s.saved.AllCommitted() {
		ids = append(ids, id)
	}
	for id := range s.consumers.AllCommitted() {
		ids = append(ids, id)
	}
	for id := range s.shares.AllCommitted() {
		ids = append(ids, id)
	}
	for id := range s.streams.AllCommitted() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		sum := s.summary(id)
		switch offsets := s.offsets[id]; {
		case offsets == nil:
		case offsets.Len() > most:
			left++
		default:
			sum.Offsets = positions(offsets)
			most -= len(sum.Offsets)
		}
		all = append(all, sum)
	}
	return all, left
}

// summary looks at a group without making anything live of it.
func (s *Shard) summary(id string) Summary {
	if g, ok := s.live[id]; ok {
		return Summary{ID: id, State: g.state.String(), Members: len(g.members)}
	}
	if c, ok := s.consumers.Committed(id); ok {
		return Summary{ID: id, State: c.State(), Members: c.CommittedMembers()}
	}
	if g, ok := s.shares.Committed(id); ok {
		return Summary{ID: id, State: g.State(), Members: g.CommittedMembers()}
	}
	if g, ok := s.streams.Committed(id); ok {
		return Summary{ID: id, State: g.State(), Members: g.CommittedMembers()}
	}
	saved, _ := s.saved.Committed(id)
	if n := len(saved.members); n > 0 {
		return Summary{ID: id, State: stable.String(), Members: n}
	}
	return Summary{ID: id, State: empty.String()}
}

func positions(offsets *groupOffsets) []Position {
	ps := make([]Position, 0, offsets.Len())
	for tp, o := range offsets.AllCommitted() {
		ps = append(ps, Position{tp, kafka.Offset(o.Offset)})
	}
	slices.SortFunc(ps, func(a, b Position) int { return comparePartitions(a.Partition, b.Partition) })
	return ps
}

package state

import (
	"cmp"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// snapshotCold writes snapshots of partitions whose last one is old and has so much of the log after it that it holds up
// pruning: they are not written to often enough to get one by their updates.
func (t *turn) snapshotCold() {
	for _, k := range t.s.keys() {
		v, _ := t.s.saved.Get(k)
		if t.millis()-v.written >= t.s.cfg.ColdSnapshotInterval.Milliseconds() &&
			t.s.applied-v.snapshot > kafka.Offset(t.s.cfg.UpdatesPerSnapshot) {
			t.snapshot(k, v)
		}
	}
}

// prune asks for the removal of what lies before the snapshots of all partitions, where that is committed.
func (t *turn) prune() {
	below := t.s.history.Committed()
	for _, v := range t.s.saved.AllCommitted() {
		below = min(below, v.snapshot)
	}
	if below > t.s.pruned {
		t.s.pruned = below
		t.out.Tasks = append(t.out.Tasks, Prune{Below: below})
	}
}

func (t *turn) topicsDeleted(topics []kafka.TopicID) {
	for _, k := range t.s.keys() {
		if slices.Contains(topics, k.Topic) {
			t.record(k.record(snapshotKind), nil)
		}
	}
}

// keys lists what is kept, in an order that does not depend on chance.
func (s *Shard) keys() []Key {
	keys := make([]Key, 0, s.saved.Len())
	for k := range s.saved.All() {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), slices.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
	})
	return keys
}

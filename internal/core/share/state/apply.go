package state

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Apply takes in the record at off. A record that is not one of Kafka's is an error; of a later kind, it is skipped.
func (s *Shard) Apply(off kafka.Offset, key, value []byte, _ int64) error {
	s.applied = off + 1
	kind, k, err := readKey(key)
	if err == nil {
		switch kind {
		case snapshotKind:
			err = s.applySnapshot(off, k, value)
		case updateKind:
			err = s.applyUpdate(off, k, value)
		}
	}
	if err != nil {
		return fmt.Errorf("record %d of %s: %w", off, kafka.ShareTopic, err)
	}
	return nil
}

func (s *Shard) applySnapshot(off kafka.Offset, k Key, value []byte) error {
	if value == nil {
		s.saved.Delete(off, k)
		return nil
	}
	v, err := readSnapshot(value)
	if err != nil {
		return err
	}
	v.snapshot = off
	if old, ok := s.saved.Get(k); ok {
		// What older leaders write stays refused, whoever wrote the snapshot.
		v.leaderEpoch, v.stateEpoch = max(v.leaderEpoch, old.leaderEpoch), max(v.stateEpoch, old.stateEpoch)
	} else {
		k.Group = strings.Clone(k.Group)
	}
	s.saved.Set(off, k, v)
	return nil
}

// applyUpdate changes what a snapshot says. An update without one belongs to a partition that was deleted since.
func (s *Shard) applyUpdate(off kafka.Offset, k Key, value []byte) error {
	old, ok := s.saved.Get(k)
	if !ok || value == nil {
		return nil
	}
	u, err := readUpdate(value)
	if err != nil {
		return err
	}
	k.Group = strings.Clone(k.Group)
	s.saved.Set(off, k, old.merge(u))
	return nil
}

// merge is v after an update.
func (v *saved) merge(u update) *saved {
	merged := *v
	merged.leaderEpoch = max(v.leaderEpoch, u.leaderEpoch)
	if u.start != kafka.NoOffset {
		merged.start = u.start
	}
	merged.complete = u.complete
	merged.batches = combine(v.batches, u.batches, merged.start)
	merged.updates++
	return &merged
}

// ApplyTransactional does nothing: no share coordinator writes in a transaction.
func (s *Shard) ApplyTransactional(off kafka.Offset, _ kafka.ProducerID, _, _ []byte) error {
	s.applied = off + 1
	return nil
}

// EndTransaction does nothing.
func (s *Shard) EndTransaction(off kafka.Offset, _ kafka.ProducerID, _ bool) { s.applied = off + 1 }

// Commit says that everything below upto is committed.
func (s *Shard) Commit(upto kafka.Offset) { s.history.Commit(upto) }

// Revert undoes what was applied at from and above.
func (s *Shard) Revert(from kafka.Offset) { s.history.Revert(from) }

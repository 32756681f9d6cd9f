package txn

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Apply takes in the record at off. Keys of versions that this release does not know are skipped.
func (s *Shard) Apply(off kafka.Offset, key, value []byte, _ int64) error {
	r := kbin.Reader{Src: key}
	version := r.Int16()
	if r.Ok() && version != 0 {
		return nil
	}
	id := r.String()
	if err := r.Complete(); err != nil {
		return fmt.Errorf("record %d of %s: key of %d bytes: %w", off, kafka.TxnTopic, len(key), err)
	}
	if value == nil {
		s.saved.Delete(off, id)
		s.lastEpochs.Delete(off, id)
		return nil
	}
	x, err := readValue(value)
	if err != nil {
		return fmt.Errorf("record %d of %s: %w", off, kafka.TxnTopic, err)
	}
	s.saved.Set(off, id, x)
	switch last, ok := s.noted[id]; {
	case !ok:
	case last == kafka.NoProducerEpoch:
		s.lastEpochs.Delete(off, id)
	default:
		s.lastEpochs.Set(off, id, last)
	}
	delete(s.noted, id)
	return nil
}

// ApplyTransactional refuses: nobody writes to the partition in transactions.
func (s *Shard) ApplyTransactional(off kafka.Offset, producer kafka.ProducerID, _, _ []byte) error {
	return fmt.Errorf("record %d of %s is part of a transaction of producer %d", off, kafka.TxnTopic, producer)
}

// EndTransaction ends none.
func (s *Shard) EndTransaction(kafka.Offset, kafka.ProducerID, bool) {}

// Commit says that everything below upto is committed.
func (s *Shard) Commit(upto kafka.Offset) { s.history.Commit(upto) }

// Revert undoes what was applied at from and above.
func (s *Shard) Revert(from kafka.Offset) { s.history.Revert(from) }

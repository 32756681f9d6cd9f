package coord

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// write puts a step's records into the open batch and applies them. A batch that is full is appended first, so the records of one
// step may come to lie in several; after an error those of this step that were not appended are not applied. What is open is not
// the producer's, if the step has one: that is appended first, too.
func (s *shard) write(now time.Time, records []machine.Record, of *machine.Producer) error {
	if of != nil && s.builder != nil && len(records) > 0 {
		if err := s.flush(now); err != nil {
			return err
		}
	}
	ts := now.UnixMilli()
	for _, rec := range records {
		if s.builder != nil && s.builder.SizeWith(ts, rec.Key, rec.Value, nil) > s.rt.cfg.MaxBatch {
			if err := s.flush(now); err != nil {
				return err
			}
		}
		if s.builder == nil {
			s.builder = batch.NewBuilder(builderConfig(of))
		}
		if size := s.builder.SizeWith(ts, rec.Key, rec.Value, nil); size > s.rt.cfg.MaxBatch {
			s.builder = nil // it is empty: the batch before was flushed for this record
			return fmt.Errorf("record in a batch of %d bytes, more than %d: %w", size, s.rt.cfg.MaxBatch, kerr.MessageTooLarge)
		}
		if err := s.apply(rec, ts, of); err != nil {
			panic(fmt.Sprintf("coord: the machine cannot read its own record: %v", err))
		}
		s.builder.Append(ts, rec.Key, rec.Value, nil)
		s.next++
	}
	return nil
}

func builderConfig(of *machine.Producer) batch.BuilderConfig {
	if of == nil {
		return batch.BuilderConfig{}
	}
	return batch.BuilderConfig{ProducerID: of.ID, Epoch: of.Epoch, BaseSequence: kafka.NoSequence, Transactional: true}
}

func (s *shard) apply(rec machine.Record, ts int64, of *machine.Producer) error {
	if of == nil {
		return s.machine.Apply(s.next, rec.Key, rec.Value, ts)
	}
	return s.machine.ApplyTransactional(s.next, of.ID, rec.Key, rec.Value)
}

// flush appends the open batch and parks its steps. When that fails, the machine forgets the batch and the steps fail;
// what the machine does then may open the next batch.
func (s *shard) flush(now time.Time) error {
	v, steps := s.builder.Finish(), s.open
	count := s.builder.Count()
	base := s.next - offsets(count)
	first, err := s.log.Append(now, s.place.Epoch, v)
	switch {
	case err == nil && first == base:
		s.builder, s.open = nil, nil
		s.parked = append(s.parked, steps...)
		return nil
	case err == nil:
		err = s.notAlone(first, base)
		s.revert(count)
		defer s.rt.reload(s)
	default:
		s.rt.cfg.Log.Warn("coordinator cannot append", "partition", s.rt.name(s.place.Partition), "error", err)
		s.revert(count)
	}
	for _, st := range steps {
		s.fail(now, st, err)
	}
	return err
}

// notAlone is the error of an append after one of somebody else's. What the machine holds is not what is there: the shard is to be
// loaded again.
func (s *shard) notAlone(first, want kafka.Offset) error {
	err := fmt.Errorf("batch appended at %d, not at %d: %w", first, want, kerr.NotCoordinator)
	s.rt.cfg.Log.Error("coordinator is not alone on its partition", "partition", s.rt.name(s.place.Partition), "error", err)
	return err
}

// revert takes the last count records back out of the machine, with the open batch they are in.
func (s *shard) revert(count int) {
	s.next -= offsets(count)
	s.machine.Revert(s.next)
	s.builder, s.open = nil, nil
}

var errEnded = errors.New("coordination has ended")

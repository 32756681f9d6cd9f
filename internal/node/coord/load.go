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

// loadChunk is how much of the log is read at a time.
const loadChunk = 1 << 20

// load replays the log into the machine and opens the shard for requests.
func (s *shard) load() {
	began := time.Now()
	err := s.replay()
	log := s.rt.cfg.Log.With("partition", s.rt.name(s.place.Partition), "epoch", s.place.Epoch)
	switch {
	case errors.Is(err, errEnded):
		return
	case errors.Is(err, kerr.NotLeaderForPartition):
		// The partition is led elsewhere, or in another epoch, before the metadata said so here; when it does this shard ends.
		log.Info("coordinator not loaded: its partition is not led here", "error", err)
		s.machine = nil
		s.become(failed)
		return
	case err != nil:
		log.Error("coordinator cannot load", "error", err)
		s.machine = nil
		s.become(failed)
		return
	}
	now := time.Now()
	if s.next > 0 { // a new one has nothing to tell
		log.Info("coordinator loaded", "records_to", s.next, "took", now.Sub(began))
	}
	s.step(now, machine.Loaded{})
	s.become(active)
}

// become changes the state unless the shard has ended meanwhile.
func (s *shard) become(st state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != ended {
		s.mu.state = st
	}
}

func (s *shard) replay() error {
	if s.after != nil {
		<-s.after
		s.after = nil
	}
	off, hw := s.log.Offsets()
	s.machine.Commit(hw) // so that the machine keeps nothing to revert
	var (
		buf    []byte
		reader batch.Reader
	)
	for !s.is(ended) {
		chunk, err := s.log.Read(buf[:0], off, loadChunk)
		if err != nil {
			return fmt.Errorf("read at %d: %w", off, err)
		}
		if len(chunk) == 0 {
			_, hw = s.log.Offsets()
			s.next, s.committed = off, min(hw, off)
			s.machine.Commit(s.committed)
			return nil
		}
		for one, err := range batch.Split(chunk) {
			if err != nil {
				return fmt.Errorf("batch at %d: %w", off, err)
			}
			if off, err = s.replayBatch(&reader, one, off); err != nil {
				return err
			}
		}
		buf = chunk
	}
	return errEnded
}

// replayBatch applies the records at off and above, and returns the offset after the batch.
func (s *shard) replayBatch(r *batch.Reader, one []byte, off kafka.Offset) (kafka.Offset, error) {
	if err := r.Reset(one, batch.DefaultMaxDecompressed); err != nil {
		return off, fmt.Errorf("batch at %d: %w", off, err)
	}
	h := r.Header()
	var rec batch.Record
	for {
		more, err := r.Next(&rec)
		if err != nil {
			return off, fmt.Errorf("batch at %d: %w", off, err)
		}
		if !more {
			return max(off, h.NextOffset()), nil
		}
		if rec.Offset < off {
			continue
		}
		if err := s.replayRecord(h, rec); err != nil {
			return off, err
		}
	}
}

func (s *shard) replayRecord(h batch.Header, rec batch.Record) error {
	switch {
	case h.Attributes.IsControl():
		kind, err := batch.ControlRecordType(rec.Key)
		if err != nil {
			return fmt.Errorf("record at %d: %w", rec.Offset, err)
		}
		if kind == batch.ControlCommit || kind == batch.ControlAbort {
			s.machine.EndTransaction(rec.Offset, h.ProducerID, kind == batch.ControlCommit)
		}
		return nil
	case h.Attributes.IsTransactional():
		return s.machine.ApplyTransactional(rec.Offset, h.ProducerID, rec.Key, rec.Value)
	}
	return s.machine.Apply(rec.Offset, rec.Key, rec.Value, rec.Timestamp)
}

func offsets(n int) kafka.Offset { return kafka.Offset(n) }

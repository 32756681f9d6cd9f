package commitlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/producers"
	"github.com/headrace/headrace/internal/storage/segment"
)

// The producers' state is kept in Kafka's snapshot files: one at the base of each segment, written by the roll; one at
// the end, written by Close; and, as replaying a whole segment after a crash would take long, one each snapshotBytes of
// log, written after a flush. These last are not synced: should a power cut take one, its checksum tells, and the one
// before it serves. Recovery takes the newest that is valid and not beyond the recovery point and replays the headers of
// the batches after it: after a kill at most snapshotBytes, and what was not flushed.
//
// A snapshot knows only the last batch of each producer, while five must be recognised when a client sends them again.
// Those that were replayed are known; the rest are looked for only when it matters: when a batch arrives that does not fit
// and whose producer came from a snapshot, the headers of the last windowBytes of log are read once, and complete the
// windows of all producers. A repetition is of a batch that was in flight when the node stopped, so it is near the end.
const (
	snapshotBytes = 4 << 20
	windowBytes   = 64 << 20
	// snapshotShare keeps the snapshots of very many producers to a small part of what is written.
	snapshotShare = 64
	// looseSnapshots is how many snapshots are kept that are not at a segment's base.
	looseSnapshots = 4
)

// snapshots are the producer snapshots in the folder.
type snapshots struct {
	offsets  []kafka.Offset // sorted
	unsynced []string       // written by rolls since the last flush
	grown    int64          // bytes appended since the newest
}

func (l *Log) snapshotDue() bool {
	return l.mu.snapshots.grown >= max(snapshotBytes, snapshotShare*int64(l.mu.producers.SnapshotSize()))
}

func (l *Log) snapshotPath(o kafka.Offset) string {
	return filepath.Join(l.dir, segment.FileName(o, segment.SnapshotSuffix))
}

// writeSnapshot writes the state at the base of a new segment; the next flush syncs it. Without room there is none: a
// recovery then replays more.
func (l *Log) writeSnapshot(o kafka.Offset) error {
	b := l.takeSnapshot(o)
	if b == nil {
		return nil
	}
	err := writeUnsynced(l.fs, l.snapshotPath(o), b)
	if vfs.Refused(err) {
		return l.leaveOut(o)
	}
	if err != nil {
		return err
	}
	l.mu.snapshots.unsynced = append(l.mu.snapshots.unsynced, l.snapshotPath(o))
	l.addSnapshot(o)
	return nil
}

// leaveOut removes what there is of a snapshot for which there was no room.
func (l *Log) leaveOut(o kafka.Offset) error {
	if err := l.fs.Remove(l.snapshotPath(o)); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// takeSnapshot encodes the state, or returns nil when there is a snapshot at o.
func (l *Log) takeSnapshot(o kafka.Offset) []byte {
	if _, ok := slices.BinarySearch(l.mu.snapshots.offsets, o); ok {
		return nil
	}
	l.mu.snapshots.grown = 0
	return l.mu.producers.AppendSnapshot(nil)
}

// addSnapshot notes a snapshot that is in the folder and removes those that it makes needless. One that cannot be removed
// does no harm: it is still right, and the next Open tries again.
func (l *Log) addSnapshot(o kafka.Offset) {
	s := &l.mu.snapshots
	if i, ok := slices.BinarySearch(s.offsets, o); !ok {
		s.offsets = slices.Insert(s.offsets, i, o)
	}
	l.pruneSnapshots()
}

func (l *Log) pruneSnapshots() {
	s := &l.mu.snapshots
	loose := 0
	for i := len(s.offsets) - 1; i >= 0; i-- {
		o := s.offsets[i]
		if l.mu.segments[l.floor(o)].Base() == o {
			continue
		}
		if loose++; loose > looseSnapshots || o < l.mu.segments[0].Base() {
			_ = l.fs.Remove(l.snapshotPath(o))
			s.offsets = slices.Delete(s.offsets, i, i+1)
		}
	}
}

// dropSnapshots removes the snapshots at or beyond o. They must not come back: the log there will be another.
func (l *Log) dropSnapshots(o kafka.Offset) error {
	s := &l.mu.snapshots
	for len(s.offsets) > 0 && s.offsets[len(s.offsets)-1] >= o {
		last := s.offsets[len(s.offsets)-1]
		if err := l.fs.Remove(l.snapshotPath(last)); err != nil && !isNotExist(err) {
			return err
		}
		s.offsets = s.offsets[:len(s.offsets)-1]
		l.dirChanged()
	}
	return nil
}

// loadProducers makes the producers' state at the log's end: from the newest valid snapshot at or below point, and the
// batches after it. Without any, a log that was stopped cleanly is one of a version that had no producers' state.
func (l *Log) loadProducers(now time.Time, point kafka.Offset, clean bool) error {
	l.mu.producers.Clear()
	from, found := l.loadSnapshot(now, point)
	if !found {
		if clean && len(l.mu.snapshots.offsets) == 0 {
			return nil
		}
		from = l.mu.segments[0].Base()
	}
	if from >= l.End() && clean {
		return nil
	}
	// What the transaction indexes say of the records below point is durable, and must stay so: it is not written again.
	point = min(point, l.End())
	for _, s := range l.mu.segments[l.floor(point):] {
		if err := s.TruncateTxns(point); err != nil {
			return err
		}
	}
	err := l.walk(from, func(s *segment.Segment, h batch.Header, whole func() ([]byte, error)) error {
		l.mu.snapshots.grown += int64(h.Size())
		if h.BaseOffset < point {
			s = nil
		}
		return l.replay(s, h, whole)
	})
	l.mu.producers.Expire(now, l.mu.config.ProducerExpiration)
	return err
}

// loadSnapshot tries the snapshots from the newest on. One that is damaged is removed.
func (l *Log) loadSnapshot(now time.Time, point kafka.Offset) (kafka.Offset, bool) {
	s := &l.mu.snapshots
	point = max(point, l.mu.segments[0].Base()) // what retention deleted was flushed
	for i := len(s.offsets) - 1; i >= 0; i-- {
		o := s.offsets[i]
		if o > point {
			continue
		}
		b, err := vfs.ReadFile(l.fs, l.snapshotPath(o), maxSmallFile)
		var states []producers.State
		if err == nil {
			states, err = producers.DecodeSnapshot(b)
		}
		if err != nil {
			l.log.Warn("producer snapshot is not usable", "path", l.snapshotPath(o), "err", err)
			_ = l.fs.Remove(l.snapshotPath(o))
			s.offsets = slices.Delete(s.offsets, i, i+1)
			continue
		}
		for _, st := range states {
			l.mu.producers.Load(st)
		}
		l.mu.producers.Expire(now, l.mu.config.ProducerExpiration)
		return o, true
	}
	return 0, false
}

// replay makes a batch known to the producers; an aborted transaction goes to the index of s, if that is given.
func (l *Log) replay(s *segment.Segment, h batch.Header, whole func() ([]byte, error)) error {
	entry, aborted, err := l.learn(h, whole)
	if err != nil || !aborted || s == nil {
		return err
	}
	return l.addAborted(s, entry)
}

// walk shows the headers of the batches that begin at or after from.
func (l *Log) walk(from kafka.Offset, fn func(s *segment.Segment, h batch.Header, whole func() ([]byte, error)) error) error {
	if l.mu.unmade {
		return nil
	}
	for _, s := range l.mu.segments[l.floor(from):] {
		v, err := s.View()
		if err != nil {
			return err
		}
		err = v.Walk(from, func(h batch.Header, whole func() ([]byte, error)) error {
			if h.BaseOffset < from {
				return nil
			}
			return fn(s, h, whole)
		})
		v.Release()
		if s != l.active() {
			l.used(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// completeWindows fills the producers' windows from the end of the log, once.
func (l *Log) completeWindows() error {
	from, err := l.offsetBack(windowBytes)
	if err != nil {
		return err
	}
	var seen producers.Table
	err = l.walk(from, func(_ *segment.Segment, h batch.Header, _ func() ([]byte, error)) error {
		if h.HasProducer() && !h.Attributes.IsControl() {
			seen.Appended(h)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("complete the windows of producers: %w", err)
	}
	l.mu.producers.Complete(&seen)
	return nil
}

// offsetBack is an offset about n bytes before the end.
func (l *Log) offsetBack(n int64) (kafka.Offset, error) {
	for i := len(l.mu.segments) - 1; i >= 0; i-- {
		s := l.mu.segments[i]
		if s.Size() < n {
			n -= s.Size()
			continue
		}
		v, err := s.View()
		if err != nil {
			return 0, err
		}
		defer v.Release()
		return v.OffsetAt(s.Size() - n)
	}
	return l.mu.segments[0].Base(), nil
}

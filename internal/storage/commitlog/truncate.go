package commitlog

import (
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// TruncateTo drops the batches that reach offset o or beyond, and the epochs that began there, durably. A batch that
// holds o goes as a whole. Beyond the end only the epochs are looked at. The caller must checkpoint the recovery point
// before it appends again: one that is still beyond the new end would have recovery trust records that were never flushed.
func (l *Log) TruncateTo(o kafka.Offset) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	if o >= l.End() {
		if l.mu.epochs.TruncateFromEnd(l.End()) {
			l.epochsChanged()
		}
		return nil
	}
	if o < l.mu.segments[0].Base() {
		return l.restartAt(o)
	}
	if err := l.truncateTo(o); err != nil {
		return l.fail(fmt.Errorf("truncate to offset %d: %w", o, err))
	}
	return nil
}

func (l *Log) truncateTo(o kafka.Offset) error {
	l.log.Info("log truncated", "dir", l.dir, "to", o, "end", l.End())
	l.mu.changed = true
	l.mu.cleaning.cuts++
	l.mu.gaps = true // nobody knows
	if keep := l.floor(o) + 1; keep < len(l.mu.segments) {
		if err := l.removeSegments(keep, len(l.mu.segments), time.Time{}); err != nil {
			return err
		}
	}
	s := l.active()
	end, err := s.TruncateTo(o, l.mu.config.IndexIntervalBytes)
	if err != nil {
		return err
	}
	end = min(end, o)
	if s.Size() == 0 {
		end = s.Base()
	}
	l.mu.writtenBack = min(l.mu.writtenBack, s.Size())
	l.mu.unflushed = dropSegment(l.mu.unflushed, s)
	l.mu.recent = dropSegment(l.mu.recent, s)
	l.setEnd(end)
	l.mu.markLimit = min(l.mu.markLimit, end)
	if l.mu.epochs.TruncateFromEnd(end) {
		l.epochsChanged()
	}
	if err := l.dropSnapshots(end + 1); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	return l.loadProducers(time.UnixMilli(0), end, false)
}

func dropSegment(from []*segment.Segment, s *segment.Segment) []*segment.Segment {
	kept := from[:0]
	for _, x := range from {
		if x != s {
			kept = append(kept, x)
		}
	}
	return kept
}

// TruncateFullyAndStartAt drops everything and makes o the start and the end: a follower does so when its leader no longer
// has what it would need next.
func (l *Log) TruncateFullyAndStartAt(o kafka.Offset) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	return l.restartAt(o)
}

func (l *Log) restartAt(o kafka.Offset) error {
	if err := l.restart(o); err != nil {
		return l.fail(fmt.Errorf("begin anew at offset %d: %w", o, err))
	}
	return nil
}

// restart removes the segments from the last to the first, so that what a crash leaves is a log, and only then makes the
// new one.
func (l *Log) restart(o kafka.Offset) error {
	l.log.Info("log begun anew", "dir", l.dir, "at", o, "start", l.Start(), "end", l.End())
	l.mu.cleaning.cuts++
	l.mu.cleaning.upTo = 0
	now := time.UnixMilli(0)
	if l.mu.unmade {
		if err := l.makeDurably(); err != nil {
			return err
		}
	}
	if err := l.dropSnapshots(0); err != nil {
		return err
	}
	gone := slices.Clone(l.mu.segments)
	slices.Reverse(gone)
	if err := l.putAwayAll(gone, time.Time{}); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	s, err := segment.Create(l.fs, l.dir, o, now, l.jitter())
	if err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.mu.segments, l.mu.recent, l.mu.unflushed = []*segment.Segment{s}, nil, nil
	l.mu.producers.Clear()
	l.mu.epochs.Clear()
	l.epochsChanged()
	l.dirChanged()
	l.mu.writtenBack, l.mu.snapshots.grown, l.mu.gaps = 0, 0, false
	l.start.Store(int64(o))
	l.end.Store(int64(o))
	l.flushed.Store(int64(o))
	l.mu.markLimit = min(l.mu.markLimit, o)
	return nil
}

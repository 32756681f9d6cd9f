package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// maxOffsetDelta is how far from a segment's base its offsets may be.
const maxOffsetDelta = math.MaxInt32

func (l *Log) shouldRoll(now time.Time, h batch.Header, bytes int64) (bool, error) {
	c := &l.mu.config
	roll, err := l.active().ShouldRoll(segment.Roll{Now: now, MaxTimestamp: h.MaxTimestamp, LastOffset: h.LastOffset(), Bytes: bytes,
		SegmentBytes: c.SegmentBytes, SegmentAge: c.SegmentAge, IndexBytes: c.IndexBytes})
	if err != nil {
		return false, l.readError(err)
	}
	return roll, nil
}

// rollFor begins a new segment at base if the batch does not belong into the active one.
func (l *Log) rollFor(now time.Time, h batch.Header, bytes int64, base kafka.Offset) error {
	roll, err := l.shouldRoll(now, h, bytes)
	if err != nil || !roll {
		return err
	}
	return l.roll(now, base)
}

// RollIfDue begins a new segment if the active one holds records older than segment.ms by the clock; appends do the same
// by the timestamps of records. Without it a partition that is no longer written to would never lose its last records.
func (l *Log) RollIfDue(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil || l.active().Size() == 0 {
		return l.mu.failed
	}
	roll, err := l.shouldRoll(now, batch.Header{BaseOffset: l.End(), MaxTimestamp: now.UnixMilli()}, 0)
	if err != nil || !roll {
		return err
	}
	return l.roll(now, l.End())
}

// roll seals the active segment and begins one at base. The old one and the new entries of the folder are durable after
// the next flush, and not before that does Flushed pass them.
func (l *Log) roll(now time.Time, base kafka.Offset) error {
	old := l.active()
	if old.Size() == 0 && old.Base() == base {
		return nil // nothing in it could be a reason to leave it
	}
	if err := l.rollFiles(now, old, base); err != nil {
		return l.trouble(fmt.Errorf("roll a segment at offset %d: %w", base, err))
	}
	return nil
}

func (l *Log) rollFiles(now time.Time, old *segment.Segment, base kafka.Offset) error {
	if err := l.nameFirst(); err != nil { // a second segment without the first would be a log whose beginning was deleted
		return err
	}
	if err := old.Seal(); err != nil {
		return err
	}
	gaps := l.mu.gaps || base != l.End()
	if gaps {
		if err := settle(old); err != nil {
			return err
		}
	}
	s, err := segment.Create(l.fs, l.dir, base, now, l.jitter())
	if err != nil {
		// The old segment may grow beyond base yet: nothing may be left there.
		l.dirChanged()
		if rerr := segment.RemoveFiles(l.fs, l.dir, base); rerr != nil {
			return l.fail(errors.Join(err, rerr))
		}
		return err
	}
	old.SetNext(base)
	l.dirChanged()
	l.mu.unflushed = append(l.mu.unflushed, old)
	l.mu.segments = append(l.mu.segments, s)
	l.mu.writtenBack, l.mu.gaps = 0, false
	if gaps {
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	return l.writeSnapshot(base)
}

// settle makes a segment durable before the one after it is there. A follower of a compacted log appends batches with gaps
// between them, and recovery takes a segment with gaps that does not reach the next for one that compaction has shortened: it
// must not be one whose end a power cut took. Nor may the next one's name be lost, and not that of the one after it.
func settle(old *segment.Segment) error {
	u, err := old.Unsynced(true)
	if err != nil {
		return err
	}
	defer u.Release()
	err = u.Sync()
	if err != nil {
		u.GiveBack()
	}
	return err
}

// jitter makes segments of many partitions, begun at one time, roll at different times.
func (l *Log) jitter() time.Duration {
	c := &l.mu.config
	most := min(c.SegmentJitter, c.SegmentAge)
	if most <= 0 || l.mu.rand == nil {
		return 0
	}
	return time.Duration(l.mu.rand.Int64N(int64(most)))
}

package commitlog

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// deletedFile is a file that was renamed to be removed later, so that readers may finish.
type deletedFile struct {
	name string
	due  time.Time // zero: not set yet; FileDeleteDelay after the next DeleteExpiredFiles
}

// AdvanceStart makes o the first offset that may be read, if it is beyond the present one (DeleteRecords). Segments that
// lie before it go with the next Retain. The caller keeps o at or below the high watermark.
func (l *Log) AdvanceStart(o kafka.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	if o > l.End() {
		return fmt.Errorf("start %d is beyond the end %d of %s: %w", o, l.End(), l.partition, kerr.OffsetOutOfRange)
	}
	l.advanceStart(o)
	return nil
}

func (l *Log) advanceStart(o kafka.Offset) {
	if o <= l.Start() {
		return
	}
	l.start.Store(int64(o))
	if l.mu.epochs.TruncateFromStart(o) {
		l.epochsChanged()
	}
}

// Retain deletes whole segments from the start on: those before the log's start, and, by cleanup.policy delete, those
// without which the log is not smaller than retention.bytes and those whose largest timestamp is older than retention.ms.
// Segments with records at or above limit, the high watermark, stay. If all may go, a new active segment is begun. Appends
// and reads go on between the segments.
func (l *Log) Retain(now time.Time, limit kafka.Offset) (deletedSegments int, err error) {
	for {
		n, err := l.retainSome(now, limit)
		deletedSegments += n
		if n == 0 || err != nil {
			return deletedSegments, err
		}
	}
}

// retainAtOnce is how many segments are deleted before others get the lock. Each waits for a sync of the folder: one for all
// of them would do with fewer, but a power cut that undid some of the renames would leave a gap, see removeSegments.
const retainAtOnce = 4

func (l *Log) retainSome(now time.Time, limit kafka.Offset) (deletedSegments int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return 0, l.mu.failed
	}
	l.mu.producers.Expire(now, l.mu.config.ProducerExpiration)
	l.idleRecent()
	if l.mu.cleaning.swapping {
		return 0, nil
	}
	for _, rule := range l.rules(now) {
		n, err := l.deletable(limit, rule)
		if err == nil {
			n, err = l.deleteSegments(now, min(n, retainAtOnce-deletedSegments))
		}
		deletedSegments += n
		if err != nil || deletedSegments == retainAtOnce {
			return deletedSegments, err
		}
	}
	return deletedSegments, nil
}

// idleRecent closes the files that nobody uses: who wants them next opens them again.
func (l *Log) idleRecent() {
	for _, s := range l.mu.recent {
		if !slices.Contains(l.mu.unflushed, s) {
			s.Idle()
		}
	}
	l.mu.recent = nil
	if l.Flushed() == l.End() && len(l.mu.unflushed) == 0 {
		l.active().Idle()
	}
}

// rule tells whether a segment may be deleted; next is the segment after it, or nil.
type rule func(s, next *segment.Segment) (bool, error)

func (l *Log) rules(now time.Time) []rule {
	c := &l.mu.config
	rules := []rule{func(_, next *segment.Segment) (bool, error) { return next != nil && next.Base() <= l.Start(), nil }}
	if !c.Delete {
		return rules
	}
	if c.RetentionBytes >= 0 {
		over, begun := int64(0), false
		rules = append(rules, func(s, _ *segment.Segment) (bool, error) {
			if !begun {
				over, begun = l.size()-c.RetentionBytes, true
			}
			over -= s.Size()
			return over >= 0, nil
		})
	}
	if c.RetentionAge >= 0 {
		rules = append(rules, func(s, _ *segment.Segment) (bool, error) {
			ts, err := s.LargestTimestamp()
			return err == nil && now.UnixMilli()-ts > c.RetentionAge.Milliseconds(), err
		})
	}
	return rules
}

// deletable counts the segments, from the first on, that the rule gives up. An empty active segment is none of them.
func (l *Log) deletable(limit kafka.Offset, r rule) (int, error) {
	for i, s := range l.mu.segments {
		var next *segment.Segment
		upper := l.End()
		if i+1 < len(l.mu.segments) {
			next = l.mu.segments[i+1]
			upper = next.Base()
		}
		if limit < upper || next == nil && s.Size() == 0 {
			return i, nil
		}
		ok, err := r(s, next)
		if err != nil {
			return 0, l.readError(err)
		}
		if !ok {
			return i, nil
		}
	}
	return len(l.mu.segments), nil
}

func (l *Log) deleteSegments(now time.Time, n int) (int, error) {
	if n == 0 {
		return 0, nil
	}
	if n == len(l.mu.segments) {
		if err := l.roll(now, l.End()); err != nil {
			return 0, err
		}
	}
	l.log.Debug("segments deleted", "dir", l.dir, "count", n, "from", l.mu.segments[0].Base(), "to", l.mu.segments[n].Base())
	l.advanceStart(l.mu.segments[n].Base())
	return n, l.removeSegments(0, n, now.Add(l.mu.config.FileDeleteDelay))
}

// removeSegments takes segments out of the log and their files out of the way, the last first if it is the end that goes,
// and each durably before the next: a power cut may not leave a gap, as recovery would take the log to end there.
func (l *Log) removeSegments(from, to int, due time.Time) error {
	gone := slices.Clone(l.mu.segments[from:to])
	l.mu.segments = slices.Delete(l.mu.segments, from, to)
	isGone := func(s *segment.Segment) bool { return slices.Contains(gone, s) }
	l.mu.recent = slices.DeleteFunc(l.mu.recent, isGone)
	l.mu.unflushed = slices.DeleteFunc(l.mu.unflushed, isGone)
	if from > 0 {
		slices.Reverse(gone)
	}
	l.dirChanged()
	if err := l.putAwayAll(gone, due); err != nil {
		return l.fail(fmt.Errorf("delete segments: %w", err))
	}
	return nil
}

func (l *Log) putAwayAll(gone []*segment.Segment, due time.Time) error {
	for _, s := range gone {
		if err := l.putAway(s, due); err != nil {
			return err
		}
	}
	return nil
}

// putAway renames a segment's files, its snapshot among them.
func (l *Log) putAway(s *segment.Segment, due time.Time) error {
	l.mu.snapshots.offsets = slices.DeleteFunc(l.mu.snapshots.offsets, func(o kafka.Offset) bool { return o == s.Base() })
	names, err := s.MarkDeleted()
	for _, name := range names {
		l.mu.deleted = append(l.mu.deleted, deletedFile{name: name, due: due})
	}
	return err
}

// DeleteExpiredFiles removes what was put out of the way at least FileDeleteDelay ago.
func (l *Log) DeleteExpiredFiles(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return
	}
	for i := range l.mu.deleted {
		if d := &l.mu.deleted[i]; d.due.IsZero() {
			d.due = now.Add(l.mu.config.FileDeleteDelay)
		}
	}
	l.mu.deleted = slices.DeleteFunc(l.mu.deleted, func(d deletedFile) bool {
		if d.due.After(now) {
			return false
		}
		if err := l.fs.Remove(d.name); err != nil && !isNotExist(err) {
			l.log.Warn("deleted segment file stays", "path", d.name, "err", err)
		}
		return true
	})
}

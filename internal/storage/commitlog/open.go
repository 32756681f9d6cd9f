package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/epochs"
	"github.com/headrace/headrace/internal/storage/segment"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Open opens the log in a partition's folder and makes the folder when it is missing, now or later (OpenOptions.Lazy). After a clean stop only the ends of
// the last segment and its indexes are read. Otherwise what lies beyond the recovery point is checked batch by batch, and
// the log ends before the first that is not right; below the recovery point such a thing is an error, as those bytes were
// flushed. Folders with batches of formats 0 or 1, which Kafka 3 and before may have left, are refused.
func Open(o OpenOptions) (*Log, error) {
	l, err := open(o)
	if err != nil {
		if l != nil {
			l.letGo()
		}
		return nil, fmt.Errorf("open log %s: %w", o.Dir, err)
	}
	return l, nil
}

func open(o OpenOptions) (*Log, error) {
	if o.Salvage {
		o.RecoveryPoint, o.Clean, o.Known = 0, false, 0
	}
	if err := o.Config.validate(); err != nil {
		return nil, err
	}
	l := &Log{fs: o.FS, dir: o.Dir, partition: o.Partition, log: o.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.mu.config, l.mu.rand = o.Config, o.Rand
	l.mu.markLimit = maxOffset
	l.topicID = o.TopicID
	if _, err := l.fs.Stat(l.dir); isNotExist(err) {
		return l, l.begin(o)
	} else if err != nil {
		return nil, err
	}
	return l, l.openFolder(o)
}

func (l *Log) openFolder(o OpenOptions) error {
	id, err := checkTopicID(o.FS, o.Dir, o.TopicID)
	half := errors.Is(err, errHalfMade) && o.begunAnew()
	if err != nil && !half {
		return err
	}
	l.topicID = id
	if err := l.list(o.Now); err != nil {
		return err
	}
	if half {
		if err := l.removeUnacknowledged(); err != nil {
			return err
		}
	}
	if len(l.mu.segments) == 0 {
		if err := l.dropSnapshots(0); err != nil {
			return err
		}
		return l.begin(o)
	}
	return l.load(o)
}

// list finds the segments and snapshots, after it has finished or undone what was going on with other files.
func (l *Log) list(now time.Time) error {
	if err := l.finishSwaps(); err != nil {
		return err
	}
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	bases := map[kafka.Offset]bool{}
	for _, e := range entries {
		base, suffix, ok := segment.ParseFileName(e.Name())
		if !ok || suffix != segment.LogSuffix {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		bases[base] = true
		l.mu.segments = append(l.mu.segments, segment.Existing(l.fs, l.dir, base, info.Size(), maxOffset, now, l.jitter()))
	}
	slices.SortFunc(l.mu.segments, func(a, b *segment.Segment) int { return compareOffsets(a.Base(), b.Base()) })
	for i := 1; i < len(l.mu.segments); i++ {
		l.mu.segments[i-1].SetNext(l.mu.segments[i].Base())
	}
	return l.listOthers(entries, bases)
}

func compareOffsets(a, b kafka.Offset) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// listOthers notes the snapshots and removes index files without a log, files that were to be deleted and half-written epochs.
func (l *Log) listOthers(entries []fs.DirEntry, bases map[kafka.Offset]bool) error {
	txns := map[kafka.Offset]bool{}
	for _, e := range entries {
		base, suffix, ok := segment.ParseFileName(e.Name())
		if !ok && e.Name() != epochs.FileName+tmpSuffix {
			continue
		}
		remove := !ok || strings.HasSuffix(suffix, segment.DeletedSuffix)
		switch suffix {
		case segment.SnapshotSuffix:
			l.mu.snapshots.offsets = append(l.mu.snapshots.offsets, base)
		case segment.IndexSuffix, segment.TimeIndexSuffix:
			remove = !bases[base]
		case segment.TxnIndexSuffix:
			remove = !bases[base]
			txns[base] = true
		case segment.TxnIndexSuffix + tmpSuffix:
			remove = true
		}
		if remove {
			if err := l.fs.Remove(filepath.Join(l.dir, e.Name())); err != nil && !isNotExist(err) {
				return err
			}
		}
	}
	slices.Sort(l.mu.snapshots.offsets)
	for _, s := range l.mu.segments {
		if !txns[s.Base()] {
			s.WithoutTxnIndex()
		}
	}
	return nil
}

func (l *Log) load(o OpenOptions) error {
	if err := l.refuseOldFormats(); err != nil {
		return err
	}
	needEpochs, err := l.readEpochs()
	if err != nil {
		return err
	}
	onDisk := l.mu.epochs.Entries()
	point := o.RecoveryPoint
	l.mu.newborn = !o.Clean && point == 0 // it may have been made a moment before the crash
	if o.Clean {
		err = l.loadTail(o.Known)
		point = maxOffset
	} else {
		err = l.recover(o)
	}
	if err != nil {
		return err
	}
	end := l.active().Next()
	if err := reaches(end, o.Known); err != nil {
		return err
	}
	if o.LogStart > end {
		l.log.Warn("log ends before its start: nothing of it is kept", "dir", l.dir, "end", end, "start", o.LogStart)
		return l.restart(o.LogStart)
	}
	l.end.Store(int64(end))
	l.start.Store(int64(max(o.LogStart, l.mu.segments[0].Base())))
	if l.mu.cleaning.upTo = o.Cleaned; o.Cleaned > end {
		l.log.Warn("log is compacted as a whole again: it ends before its last compaction", "dir", l.dir, "end", end, "cleaned", o.Cleaned)
		l.mu.cleaning.upTo = 0
	}
	l.flushed.Store(int64(min(point, end)))
	l.mu.writtenBack = l.active().Size()
	if err := l.loadEpochs(needEpochs); err != nil {
		return err
	}
	if !needEpochs && slices.Equal(onDisk, l.mu.epochs.Entries()) {
		l.mu.epochsDirty = false // though recovery took what lies beyond the recovery point from the records
	}
	if err := l.dropSnapshots(end + 1); err != nil {
		return err
	}
	if err := l.mendTxns(o.Now, min(point, end)); err != nil {
		return err
	}
	if err := l.loadProducers(o.Now, min(point, end), o.Clean); err != nil {
		return err
	}
	l.pruneSnapshots()
	l.idleRecent()
	l.active().Idle()
	return nil
}

// refuseOldFormats looks at the oldest batch: formats only ever went up.
func (l *Log) refuseOldFormats() error {
	s := l.mu.segments[0]
	if s.Size() < batch.HeaderSize {
		return nil
	}
	if _, err := s.First(); errors.Is(err, batch.ErrOldMagic) {
		return fmt.Errorf("%w: let Kafka 3 rewrite or expire the records first", err)
	}
	return nil
}

// reaches refuses an end before what the log once reached. It is asked before anything is cut off.
func reaches(end, known kafka.Offset) error {
	if end < known {
		return fmt.Errorf("it ends at offset %d, and reached %d before: %w", end, known, ErrShort)
	}
	return nil
}

func (l *Log) loadTail(known kafka.Offset) error {
	found, err := l.active().Tail(l.mu.config.IndexIntervalBytes)
	if err != nil {
		return err
	}
	if found.Beyond == 0 {
		return nil
	}
	if err := reaches(l.active().Next(), known); err != nil {
		return fmt.Errorf("%w: %w", err, found.Reason)
	}
	l.mu.changed = true
	l.log.Warn("log does not end with a whole batch, though it was stopped cleanly", "dir", l.dir, "cut", found.Beyond, "err", found.Reason)
	return l.active().Trim()
}

// recover checks the segments from the one that holds the recovery point on. Where one was cut short, or does not reach
// the next, the log ends: what follows was written later, so it was not flushed either. Compaction keeps the end of each
// segment that it writes, but Apache Kafka's does not: the gaps that it left are kept, as are jumps too far for one segment.
// Where a follower has either, settle sees to it that no end is lost.
func (l *Log) recover(o OpenOptions) error {
	l.dirChanged()
	l.mu.epochs.TruncateFromEnd(o.RecoveryPoint) // what began later is learned from the records again
	for i := l.floor(o.RecoveryPoint); i < len(l.mu.segments); i++ {
		s := l.mu.segments[i]
		next := s.Next()
		if o.Renew {
			if err := s.Renew(); err != nil {
				return err
			}
		}
		traces := compactionTraces{next: kafka.NoOffset}
		found, err := s.Recover(o.RecoveryPoint, l.mu.config.IndexIntervalBytes, func(h batch.Header, _ []byte) error {
			traces.look(h)
			return l.recovered(h, nil)
		})
		if err != nil {
			return err
		}
		l.mu.gaps = traces.found
		last := i+1 == len(l.mu.segments)
		jump := next-1-s.Base() > maxOffsetDelta
		if found.Beyond > 0 || !last && s.Next() != next && next > o.Cleaned && !traces.found && !jump {
			if err := reaches(s.Next(), o.Known); err != nil {
				return errors.Join(err, found.Reason)
			}
			l.log.Warn("log cut off after its last right batch", "dir", l.dir, "end", s.Next(), "cut", found.Beyond,
				"point", o.RecoveryPoint, "err", found.Reason)
			return l.cutAfter(i, o.RecoveryPoint)
		}
		if last {
			if s.Next() < o.RecoveryPoint {
				l.log.Error("flushed records are missing", "dir", l.dir, "end", s.Next(), "point", o.RecoveryPoint)
			}
			return nil
		}
		s.SetNext(next)
		if err := s.Seal(); err != nil {
			return err
		}
		l.mu.unflushed = append(l.mu.unflushed, s)
	}
	return nil
}

// compactionTraces looks for what appends never leave: offsets missing between batches, or records within one.
type compactionTraces struct {
	next  kafka.Offset // after the batch before, or NoOffset
	found bool
}

func (c *compactionTraces) look(h batch.Header) {
	c.found = c.found || c.next >= 0 && h.BaseOffset != c.next || sparse(h)
	c.next = h.NextOffset()
}

// sparse tells whether the batch has fewer records than offsets.
func sparse(h batch.Header) bool { return h.Count != h.LastOffsetDelta+1 }

// recovered sees each batch that recovery checked: its epoch may be missing in the checkpoint.
func (l *Log) recovered(h batch.Header, _ []byte) error {
	if h.LeaderEpoch != l.mu.epochs.LatestEpoch() {
		l.assignEpoch(h.LeaderEpoch, h.BaseOffset)
	}
	return nil
}

// cutAfter ends the log with the right batches of the i-th segment. Later segments go first, each durably before the one
// before it, so that a crash meanwhile leaves no gap that looks like compaction's.
func (l *Log) cutAfter(i int, point kafka.Offset) error {
	if end := l.mu.segments[i].Next(); end < point {
		l.log.Error("flushed records are missing", "dir", l.dir, "end", end, "point", point)
	}
	for len(l.mu.segments) > i+1 {
		s := l.active()
		l.log.Warn("segment beyond the recovered end removed", "dir", l.dir, "base", s.Base(), "bytes", s.Size())
		if err := s.Remove(); err != nil {
			return err
		}
		l.mu.snapshots.offsets = slices.DeleteFunc(l.mu.snapshots.offsets, func(o kafka.Offset) bool { return o == s.Base() })
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
		l.mu.segments = l.mu.segments[:len(l.mu.segments)-1]
	}
	return l.active().Trim()
}

// readEpochs reads the checkpoint. missing says that there is none that can be used.
func (l *Log) readEpochs() (missing bool, err error) {
	name := filepath.Join(l.dir, epochs.FileName)
	b, err := vfs.ReadFile(l.fs, name, maxSmallFile)
	if err == nil {
		l.mu.epochs, err = epochs.Decode(b)
	}
	switch {
	case isNotExist(err):
		return true, nil
	case errors.Is(err, epochs.ErrCorrupt):
		l.log.Warn("epochs are taken from the records again", "path", name, "err", err)
		return true, nil
	}
	return false, err
}

// loadEpochs fits the epochs to the log's range, after it took them from the records if there was no checkpoint.
func (l *Log) loadEpochs(missing bool) error {
	if missing && l.End() > l.mu.segments[0].Base() {
		l.mu.epochs.Clear()
		err := l.walk(l.mu.segments[0].Base(), func(_ *segment.Segment, h batch.Header, _ func() ([]byte, error)) error {
			return l.recovered(h, nil)
		})
		if err != nil {
			return err
		}
	}
	fromEnd, fromStart := l.mu.epochs.TruncateFromEnd(l.End()), l.mu.epochs.TruncateFromStart(l.Start())
	if missing || fromEnd || fromStart {
		l.epochsChanged()
	}
	return nil
}

package commitlog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/segment"
)

// ErrCleaningEnded is the error of a Clean under which the log was truncated, or lost segments to retention. What it had
// replaced until then stays so; the rest is for the next.
var ErrCleaningEnded = errors.New("the log changed while it was cleaned")

// cleaning is what a log knows of its compaction.
type cleaning struct {
	upTo     kafka.Offset // what lies below was cleaned
	cuts     int          // truncations so far: none may come between a look at a segment and its replacement
	running  bool
	swapping bool // segments are being replaced: no others may go
	// left are unfinished segments that could not be removed. Beside their files those of a later one would, after a crash,
	// count as unfinished too, when what they replace may be gone: no other is made before.
	left []*segment.Segment
}

// Cleaned is the offset up to which the log is clean.
func (l *Log) Cleaned() kafka.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.cleaning.upTo
}

// Cleanable tells what compaction has to do below limit, the last stable offset.
func (l *Log) Cleanable(now time.Time, limit kafka.Offset) (cleaner.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return cleaner.State{}, l.mu.failed
	}
	return l.survey(now, limit)
}

func (l *Log) survey(now time.Time, limit kafka.Offset) (cleaner.State, error) {
	c := &l.mu.config.Compaction
	parts := make([]cleaner.Part, len(l.mu.segments))
	dirty := l.floor(max(l.mu.cleaning.upTo, l.Start()))
	for i, s := range l.mu.segments {
		parts[i] = cleaner.Part{Base: s.Base(), Bytes: s.Size(), First: kafka.NoTimestamp, Largest: kafka.NoTimestamp}
		if i < dirty || s == l.active() || !c.NeedsTimes() {
			continue
		}
		var err error
		if parts[i].First, err = s.FirstTimestamp(); err == nil {
			parts[i].Largest, err = s.LargestTimestamp()
		}
		if err != nil {
			return cleaner.State{}, err
		}
		l.used(s)
	}
	b := cleaner.Bounds{Start: l.Start(), End: l.End(), Cleaned: l.mu.cleaning.upTo, Limit: limit}
	return cleaner.Survey(parts, b, *c, now), nil
}

// Clean removes, from all sealed segments below limit, the records that a later one with the same key makes needless.
// Appends and reads go on meanwhile. Segments are replaced run by run, each in a way that a crash leaves the old or the new
// one; after an error the log is as the runs before it left it. ErrOffline alone means that the log is offline.
func (l *Log) Clean(now time.Time, limit kafka.Offset, res cleaner.Resources) (cleaner.Counts, error) {
	job, err := l.beginClean(now, limit)
	if err != nil {
		return cleaner.Counts{}, err
	}
	defer l.endClean()
	// What makes older records needless must outlast them: the later records, and the markers that commit those.
	if _, err := l.Flush(); err != nil {
		return cleaner.Counts{}, err
	}
	job.round = cleaner.NewRound(now, job.state, job.config.Compaction.DeleteRetention, res, job.aborted)
	err = job.run()
	return job.round.Counts, err
}

// cleanJob is one Clean.
type cleanJob struct {
	log      *Log
	config   Config
	state    cleaner.State
	cuts     int
	segments []*segment.Segment // sealed ones, up to the first that may not be cleaned
	nexts    []kafka.Offset     // where the one after each begins
	aborted  []segment.AbortedTxn
	round    *cleaner.Round
}

func (l *Log) beginClean(now time.Time, limit kafka.Offset) (*cleanJob, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return nil, l.mu.failed
	}
	if l.mu.cleaning.running {
		return nil, fmt.Errorf("%s is being cleaned already", l.partition)
	}
	if err := l.discardLeft(); err != nil {
		return nil, fmt.Errorf("remove what an earlier compaction left: %w", err)
	}
	s, err := l.survey(now, limit)
	if err != nil {
		return nil, err
	}
	j := &cleanJob{log: l, config: l.mu.config, state: s, cuts: l.mu.cleaning.cuts}
	for i, x := range l.mu.segments {
		if x.Base() >= s.Uncleanable {
			break
		}
		j.segments = append(j.segments, x)
		j.nexts = append(j.nexts, l.mu.segments[i+1].Base())
	}
	if j.aborted, err = l.abortedBelow(s.Uncleanable); err != nil {
		return nil, fmt.Errorf("%w: %w", cleaner.ErrCorrupt, err)
	}
	l.mu.cleaning.running = true
	return j, nil
}

func (l *Log) discardLeft() error {
	c := &l.mu.cleaning
	for ; len(c.left) > 0; c.left = c.left[1:] {
		if err := c.left[0].Discard(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) endClean() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.cleaning.running = false
}

// abortedBelow lists, by their beginnings, the aborted transactions with records below o. Their markers may lie beyond.
func (l *Log) abortedBelow(o kafka.Offset) (found []segment.AbortedTxn, err error) {
	for _, s := range l.mu.segments {
		txns, err := s.Aborted()
		if err != nil {
			return nil, err
		}
		for _, t := range txns {
			if t.First < o {
				found = append(found, t)
			}
		}
		if n := len(txns); n > 0 && txns[n-1].Stable >= o {
			break // all that come later began at or after o
		}
	}
	slices.SortStableFunc(found, func(a, b segment.AbortedTxn) int { return compareOffsets(a.First, b.First) })
	return found, nil
}

func (j *cleanJob) run() error {
	if err := j.index(); err != nil {
		return err
	}
	pieces, err := j.pieces()
	if err != nil {
		return err
	}
	j.round.Counts.SegmentsBefore = len(pieces)
	at := 0
	for _, n := range cleaner.Groups(pieces, cleaner.Limits{SegmentBytes: j.config.SegmentBytes, IndexBytes: j.config.IndexBytes}) {
		if err := j.rewrite(at, at+n); err != nil {
			return err
		}
		j.round.Counts.SegmentsAfter++
		at += n
	}
	j.log.mu.Lock()
	defer j.log.mu.Unlock()
	if j.log.mu.cleaning.cuts != j.cuts {
		return ErrCleaningEnded
	}
	j.log.mu.cleaning.upTo, j.log.mu.changed = j.round.End(), true
	return nil
}

// index learns the keys of the dirty segments.
func (j *cleanJob) index() error {
	for i, s := range j.segments {
		if j.nexts[i] <= j.state.FirstDirty {
			continue
		}
		v, err := j.view(s)
		if err != nil {
			return err
		}
		more, err := j.round.Index(v, j.nexts[i])
		v.Release()
		if err != nil || !more {
			return j.changed(err)
		}
	}
	return nil
}

func (j *cleanJob) view(s *segment.Segment) (segment.View, error) {
	j.log.mu.Lock()
	defer j.log.mu.Unlock()
	if err := j.gone(); err != nil {
		return segment.View{}, err
	}
	if !slices.Contains(j.log.mu.segments, s) {
		return segment.View{}, ErrCleaningEnded
	}
	v, err := s.View()
	if !slices.Contains(j.log.mu.recent, s) && !slices.Contains(j.log.mu.unflushed, s) {
		s.Idle() // the view holds the files
	}
	return v, err
}

// gone tells why the segments that the job looked at are not those of the log any more; mu is held.
func (j *cleanJob) gone() error {
	switch {
	case j.log.mu.failed != nil:
		return j.log.mu.failed
	case j.log.mu.cleaning.cuts != j.cuts:
		return ErrCleaningEnded
	}
	return nil
}

// changed tells an error of reading that a truncation explains from others.
func (j *cleanJob) changed(err error) error {
	if err == nil {
		return nil
	}
	j.log.mu.Lock()
	defer j.log.mu.Unlock()
	if gone := j.gone(); gone != nil {
		return gone
	}
	return err
}

func (j *cleanJob) pieces() (pieces []cleaner.Piece, err error) {
	j.log.mu.Lock()
	defer j.log.mu.Unlock()
	if err := j.gone(); err != nil {
		return nil, err
	}
	for i, s := range j.segments {
		if s.Base() >= j.round.End() {
			break
		}
		if !slices.Contains(j.log.mu.segments, s) {
			return nil, ErrCleaningEnded
		}
		p := cleaner.Piece{Base: s.Base(), Next: j.nexts[i], Bytes: s.Size()}
		if p.IndexBytes, err = s.IndexBytes(); err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// rewrite puts one segment in the place of a run of them.
func (j *cleanJob) rewrite(from, to int) error {
	l, old := j.log, j.segments[from:to]
	out, err := segment.CreateCleaned(l.fs, l.dir, old[0].Base(), j.round.Now())
	if err == nil {
		err = j.fill(out, old, j.nexts[to-1])
	}
	if err == nil {
		err = j.swap(out, old, j.nexts[to-1])
	}
	if err != nil && !errors.Is(err, ErrOffline) {
		if derr := out.Discard(); derr != nil {
			l.log.Warn("files of an unfinished compaction stay until the next one", "dir", l.dir, "base", old[0].Base(), "err", derr)
			l.mu.Lock()
			l.mu.cleaning.left = append(l.mu.cleaning.left, out)
			l.mu.Unlock()
		}
	}
	return err
}

// fill writes what stays of old into out, durably; next is the base of the segment after them.
func (j *cleanJob) fill(out *segment.Segment, old []*segment.Segment, next kafka.Offset) error {
	last := j.log.lastOfProducers()
	for i, s := range old {
		v, err := j.view(s)
		if err != nil {
			return err
		}
		err = j.round.Rewrite(out, v, last, j.config.IndexIntervalBytes, i+1 == len(old))
		v.Release()
		if err != nil {
			return j.changed(err)
		}
	}
	if err := j.log.forgetSnapshots(next); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return j.log.syncNames()
}

// syncNames makes the names of a finished segment durable. A sync of the folder that fails is final, as it may have been told
// of what others changed there, and the next says nothing of it any more.
func (l *Log) syncNames() error {
	err := l.fs.SyncDir(l.dir)
	if vfs.Unsynced(err) {
		l.Fail(fmt.Errorf("compact: %w", err))
		return l.Failed()
	}
	return err
}

// forgetSnapshots removes the producer snapshots before o: they may tell of open transactions whose markers are about to
// go. The batches that stay tell all that matters.
func (l *Log) forgetSnapshots(o kafka.Offset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.mu.snapshots
	for len(s.offsets) > 0 && s.offsets[0] < o {
		if err := l.fs.Remove(l.snapshotPath(s.offsets[0])); err != nil && !isNotExist(err) {
			return err
		}
		s.offsets = s.offsets[1:]
	}
	return nil
}

// lastOfProducers is where the sequences of the producers stand that are not expired.
func (l *Log) lastOfProducers() map[kafka.ProducerID]cleaner.LastOf {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := map[kafka.ProducerID]cleaner.LastOf{}
	for _, s := range l.mu.producers.States() {
		last[s.ProducerID] = cleaner.LastOf{Offset: s.LastOffset, Epoch: s.Epoch}
	}
	return last
}

// swap makes the finished segment that of the log. flushMu keeps truncation and close away, and swapping keeps retention
// away, from the moment on when the disk says that the new one counts. next is the base of the segment after it.
func (j *cleanJob) swap(out *segment.Segment, old []*segment.Segment, next kafka.Offset) error {
	l := j.log
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := j.beginSwap(old); err != nil {
		return err
	}
	undone, err := out.Prepare()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.cleaning.swapping = false
	if err != nil && undone {
		return err
	}
	if err == nil {
		err = l.replace(out, old, next)
	}
	if err != nil {
		return l.fail(fmt.Errorf("replace segments from offset %d on: %w", old[0].Base(), err))
	}
	return nil
}

func (j *cleanJob) beginSwap(old []*segment.Segment) error {
	l := j.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := j.gone(); err != nil {
		return err
	}
	if slices.Index(l.mu.segments, old[0]) < 0 {
		return ErrCleaningEnded // retention takes the first ones first
	}
	l.mu.cleaning.swapping = true
	return nil
}

// replace does, under the lock, what finishSwaps would do after a crash.
func (l *Log) replace(out *segment.Segment, old []*segment.Segment, next kafka.Offset) error {
	for _, s := range old {
		names, err := s.Retire()
		for _, name := range names {
			l.mu.deleted = append(l.mu.deleted, deletedFile{name: name})
		}
		if err != nil {
			return err
		}
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	s, err := out.PutInPlace(next)
	if err != nil {
		return err
	}
	i := slices.Index(l.mu.segments, old[0])
	l.mu.segments = slices.Replace(l.mu.segments, i, i+len(old), s)
	isOld := func(s *segment.Segment) bool { return slices.Contains(old, s) }
	l.mu.recent = slices.DeleteFunc(l.mu.recent, isOld)
	l.mu.unflushed = slices.DeleteFunc(l.mu.unflushed, isOld)
	l.dirChanged()
	l.pruneSnapshots()
	return nil
}

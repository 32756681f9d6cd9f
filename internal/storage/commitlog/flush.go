package commitlog

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/epochs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// Flush makes durable what was appended before the call and returns the new Flushed. Appends and reads go on meanwhile; a
// second Flush waits for the first. An error is final: the log is offline, as nobody can know which of the written pages
// the system has dropped. ErrNoRoom alone is not: nothing is lost, and the next Flush tries all of it again.
func (l *Log) Flush() (kafka.Offset, error) {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	j, err := l.beginFlush()
	if err == nil && j.any {
		err = j.run()
		err = l.endFlush(j, err)
	}
	return l.Flushed(), err
}

// job is all that one flush makes durable, gathered under the lock and done without.
type job struct {
	log      *Log
	any      bool
	closing  bool
	sealed   []*segment.Segment
	end      kafka.Offset
	files    []segment.Unsynced
	dir      bool
	newborn  bool
	epochs   []byte   // the new leader-epoch-checkpoint, or nil
	written  []string // producer snapshots that rolls wrote
	snapshot []byte   // a producer snapshot at end, or nil
}

func (l *Log) beginFlush() (job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return job{}, l.mu.failed
	}
	return l.job(false)
}

// job gathers the work; at the close the indexes of the active segment and a snapshot at the end belong to it.
func (l *Log) job(closing bool) (job, error) {
	j := job{log: l, closing: closing, end: l.End(), dir: l.mu.dirDirty, newborn: l.mu.newborn, written: l.mu.snapshots.unsynced}
	if l.mu.unmade {
		return j, nil
	}
	j.any = closing || j.end > l.Flushed() || j.dir || l.mu.epochsDirty || len(l.mu.unflushed) > 0
	if !j.any {
		return j, nil
	}
	for _, s := range l.mu.unflushed {
		if err := j.add(s, true); err != nil {
			return j, l.trouble(err)
		}
	}
	if j.end > l.Flushed() || closing {
		if err := j.add(l.active(), closing); err != nil {
			return j, l.trouble(err)
		}
	}
	if l.mu.epochsDirty {
		j.epochs = l.mu.epochs.Append(nil)
	}
	if closing || l.snapshotDue() {
		j.snapshot = l.takeSnapshot(j.end)
	}
	j.sealed = l.mu.unflushed
	l.mu.unflushed, l.mu.dirDirty, l.mu.epochsDirty, l.mu.snapshots.unsynced = nil, false, false, nil
	return j, nil
}

func (j *job) add(s *segment.Segment, sealed bool) error {
	u, err := s.Unsynced(sealed)
	if err != nil {
		for _, u := range j.files {
			u.GiveBack()
		}
		j.release()
		return err
	}
	j.files = append(j.files, u)
	return nil
}

func (j *job) release() {
	for _, u := range j.files {
		u.Release()
	}
}

// run syncs the data before anything that speaks of it.
func (j *job) run() error {
	defer j.release()
	if j.newborn {
		if err := j.log.syncBirth(); err != nil {
			return err
		}
	}
	for _, u := range j.files {
		if err := u.Sync(); err != nil {
			return err
		}
	}
	for _, name := range j.written {
		if err := segment.SyncFile(j.log.fs, name); err != nil {
			return err
		}
	}
	if j.snapshot != nil {
		write := writeUnsynced
		if j.closing {
			write = writeFile
		}
		err := write(j.log.fs, j.log.snapshotPath(j.end), j.snapshot)
		if vfs.Refused(err) && !j.closing {
			j.snapshot = nil
			err = j.log.leaveOut(j.end)
		}
		if err != nil {
			return err
		}
	}
	if j.epochs != nil {
		if err := replaceFile(j.log.fs, filepath.Join(j.log.dir, epochs.FileName), j.epochs); err != nil {
			return err
		}
	}
	if j.dir || j.epochs != nil || j.closing {
		return j.log.fs.SyncDir(j.log.dir)
	}
	return nil
}

func (l *Log) endFlush(j job, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if vfs.Refused(err) {
			l.giveBack(&j)
		}
		return l.trouble(err)
	}
	if j.end > l.Flushed() {
		l.flushed.Store(int64(j.end))
	}
	l.mu.newborn = l.mu.newborn && !j.newborn
	l.idle(j.sealed)
	if j.snapshot != nil {
		l.addSnapshot(j.end)
	}
	return nil
}

// idle closes the files of sealed segments that needed them for their flush only.
func (l *Log) idle(sealed []*segment.Segment) {
	for _, s := range sealed {
		if !slices.Contains(l.mu.recent, s) {
			s.Idle()
		}
	}
}

// Dirty tells up to where the log must be made durable, for a caller that is about to SyncFS the whole file system and
// then calls MarkFlushed with it. What a Flush would write besides, Dirty writes: after an error, which is final unless it
// is ErrNoRoom, the SyncFS makes nothing of this log count as durable.
func (l *Log) Dirty() (end kafka.Offset, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.markLimit = maxOffset
	if l.mu.failed != nil {
		return l.Flushed(), l.mu.failed
	}
	if l.mu.unmade {
		return l.End(), nil
	}
	if l.mu.epochsDirty && !l.mu.epochsMarked {
		if err := l.writeEpochs(); err != nil {
			return l.Flushed(), l.trouble(err)
		}
		l.mu.epochsMarked = true
		l.dirChanged()
	}
	end = l.End()
	if l.snapshotDue() {
		if err := l.writeSnapshot(end); err != nil {
			return l.Flushed(), l.fail(err)
		}
	}
	if err := l.complete(); err != nil {
		return l.Flushed(), l.trouble(err)
	}
	l.mu.dirMarked = true
	return end, nil
}

// writeEpochs leaves the sync to the SyncFS that follows. A power cut before it may tear the file, which then is made again from the
// records; those that compaction left do not tell where each epoch began.
func (l *Log) writeEpochs() error {
	replace := replaceUnsynced
	if l.mu.cleaning.upTo > 0 {
		replace = replaceFile
	}
	return replace(l.fs, filepath.Join(l.dir, epochs.FileName), l.mu.epochs.Append(nil))
}

// complete writes what the segments that are to be flushed keep back in memory.
func (l *Log) complete() error {
	for _, s := range l.mu.unflushed {
		if err := s.Complete(true); err != nil {
			return err
		}
	}
	return l.active().Complete(false)
}

const maxOffset kafka.Offset = 1<<63 - 1

// MarkFlushed tells the log that all below off, an end that Dirty gave, is durable. What was truncated since is not.
func (l *Log) MarkFlushed(off kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	off = min(off, l.mu.markLimit, l.End())
	if l.mu.failed != nil || off < l.Flushed() {
		return
	}
	l.flushed.Store(int64(off))
	n := 0
	for n < len(l.mu.unflushed) && l.mu.unflushed[n].Next() <= off {
		n++
	}
	l.idle(l.mu.unflushed[:n])
	l.mu.unflushed = l.mu.unflushed[n:]
	if l.mu.dirMarked {
		l.mu.dirDirty, l.mu.newborn, l.mu.snapshots.unsynced = false, false, nil
	}
	if l.mu.epochsMarked {
		l.mu.epochsDirty, l.mu.epochsMarked = false, false
	}
}

// Close makes the log durable as it is, with complete indexes and a producer snapshot at its end, so that the next Open
// need not scan, and lets go of all files.
func (l *Log) Close(now time.Time) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	j, err := l.beginClose(now)
	if err == nil && j.any {
		err = j.run()
		err = l.endFlush(j, err)
	}
	l.letGo()
	return err
}

func (l *Log) beginClose(now time.Time) (job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil || !l.mu.changed || l.mu.unmade {
		return job{}, l.mu.failed
	}
	l.mu.producers.Expire(now, l.mu.config.ProducerExpiration)
	if err := l.active().Seal(); err != nil {
		return job{}, l.trouble(err)
	}
	return l.job(true)
}

// letGo closes the files and makes every later call fail.
func (l *Log) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.mu.segments {
		s.Idle()
	}
	l.mu.recent, l.mu.unflushed = nil, nil
	if l.mu.failed == nil {
		l.mu.failed = ErrClosed
	}
}

// CloseAbrupt lets go of all files and writes nothing more, as the end of the process would.
func (l *Log) CloseAbrupt() {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.letGo()
}

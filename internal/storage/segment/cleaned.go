package segment

import (
	"path/filepath"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// CreateCleaned makes the files of an empty segment that compaction is to write, under names that end in CleanedSuffix: the
// next Open drops them, until Prepare gives them other names.
func CreateCleaned(fsys vfs.FS, dir string, base kafka.Offset, now time.Time) (*Segment, error) {
	s := Existing(fsys, dir, base, 0, base, now, 0)
	s.suffix = CleanedSuffix
	return s, s.Make()
}

// cleanedFiles are the files that a cleaned segment brings. The log comes last into SwapSuffix and first out of it: where
// there is one in CleanedSuffix the rest does not count, and where there is none in SwapSuffix the old ones are gone.
func cleanedFiles() []string {
	return []string{TxnIndexSuffix, IndexSuffix, TimeIndexSuffix, LogSuffix}
}

// Finish makes a cleaned segment durable, and closes its files. A SyncDir must follow before Prepare.
func (s *Segment) Finish() error {
	if err := s.Seal(); err != nil {
		return err
	}
	u, err := s.Unsynced(true)
	if err != nil {
		return err
	}
	err = u.Sync()
	u.Release()
	s.Idle()
	return err
}

// Discard removes the files of a cleaned segment that is not to be, the log last: see cleanedFiles.
func (s *Segment) Discard() error {
	s.Idle()
	for _, suffix := range cleanedFiles() {
		if err := RemoveIfThere(s.fs, s.path(suffix)); err != nil {
			return err
		}
	}
	return nil
}

// Prepare gives the files of a finished segment SwapSuffix, durably: from then on it takes the place of what it covers,
// whatever happens. After an error with undone the files have their old names; without it nobody knows.
func (s *Segment) Prepare() (undone bool, err error) {
	names := cleanedFiles()
	for i, suffix := range names {
		if err := s.renameTo(suffix, SwapSuffix); err != nil {
			return s.unprepare(names[:i]), err
		}
	}
	s.suffix = SwapSuffix
	return false, s.fs.SyncDir(s.dir)
}

// unprepare takes names back, before the log's was changed.
func (s *Segment) unprepare(names []string) bool {
	for _, suffix := range names {
		err := s.fs.Rename(s.named(suffix, SwapSuffix), s.named(suffix, CleanedSuffix))
		if err != nil && !isNotExist(err) {
			return false
		}
	}
	return s.fs.SyncDir(s.dir) == nil
}

// renameTo gives a file another suffix; only the transaction index may be missing.
func (s *Segment) renameTo(suffix, to string) error {
	err := s.fs.Rename(s.path(suffix), s.named(suffix, to))
	if suffix == TxnIndexSuffix && isNotExist(err) {
		return nil
	}
	return err
}

func (s *Segment) named(suffix, last string) string {
	return filepath.Join(s.dir, FileName(s.base, suffix)+last)
}

// Retire renames the files of a segment that a prepared one covers out of the way, and returns the new names. Its producer
// snapshot stays. A SyncDir must follow before the prepared segment is put in place.
func (s *Segment) Retire() (names []string, err error) {
	for _, suffix := range cleanedFiles() {
		err := s.fs.Rename(s.path(suffix), s.path(suffix)+DeletedSuffix)
		if vfs.Refused(err) { // for the longer name
			err = s.fs.Remove(s.path(suffix))
			if err == nil {
				continue
			}
		}
		if isNotExist(err) {
			continue
		}
		if err != nil {
			return names, err
		}
		names = append(names, s.path(suffix)+DeletedSuffix)
	}
	s.Idle()
	return names, nil
}

// PutInPlace gives the files of a prepared segment their last names. The log's is durable before the others change, so that
// none of them is taken for one of those before. The segment that is returned is that of the log; next is the base of the
// one after it.
func (s *Segment) PutInPlace(next kafka.Offset) (*Segment, error) {
	if err := s.renameTo(LogSuffix, ""); err != nil {
		return nil, err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return nil, err
	}
	for _, suffix := range cleanedFiles()[:3] {
		if err := s.renameTo(suffix, ""); err != nil {
			return nil, err
		}
	}
	return Existing(s.fs, s.dir, s.base, s.size, next, s.created, 0), nil
}

// IndexBytes is the length of the larger of the two indexes.
func (s *Segment) IndexBytes() (int, error) {
	err := s.load()
	return max(s.offsets.count*offsetWidth, s.times.count*timeWidth), err
}

// FirstTimestamp is the largest of the first batch, or NoTimestamp of an empty segment.
func (s *Segment) FirstTimestamp() (int64, error) {
	if s.size == 0 {
		return kafka.NoTimestamp, nil
	}
	if err := s.learnFirst(); err != nil {
		return 0, err
	}
	return s.firstTimestamp, nil
}

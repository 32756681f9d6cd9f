package segment

import (
	"os"

	"github.com/headrace/headrace/internal/base/vfs"
)

// syncEntries is how many entries of an index may be in its file unsynced: as many as 8 MiB of log have at most. A power
// cut makes recovery follow the headers of that much log again.
const syncEntries = 2048

// Unsynced is what a segment must make durable: taken under the owner's lock, synced without it.
type Unsynced struct {
	segment *Segment
	files   *Files
	fs      vfs.FS
	indexes []string
	txns    bool
}

// Unsynced lists the files with bytes that no Unsynced before had. The indexes of a sealed segment are among them; those
// of the active one only now and then. The caller must Release it.
func (s *Segment) Unsynced(sealed bool) (Unsynced, error) {
	files := s.Hold()
	if files == nil { // as after a recovery: only the flush needs them
		var err error
		if files, err = openFiles(s.fs, s.dir, s.base, s.suffix, os.O_RDWR); err != nil {
			return Unsynced{}, err
		}
	}
	if err := s.Complete(sealed); err != nil {
		files.Release()
		return Unsynced{}, err
	}
	u := Unsynced{segment: s, files: files, fs: s.fs}
	for _, x := range []struct {
		t      *table
		suffix string
	}{{&s.offsets, IndexSuffix}, {&s.times, TimeIndexSuffix}} {
		if n := x.t.written - x.t.synced; sealed && n > 0 || n >= syncEntries {
			x.t.synced = x.t.written
			u.indexes = append(u.indexes, s.path(x.suffix))
		}
	}
	if s.txnDirty {
		s.txnDirty, u.txns = false, true
		u.indexes = append(u.indexes, s.path(TxnIndexSuffix))
	}
	return u, nil
}

// GiveBack says, under the owner's lock, that the files were not synced after all: the next Unsynced has them again.
func (u Unsynced) GiveBack() {
	u.segment.offsets.synced, u.segment.times.synced = 0, 0
	u.segment.txnDirty = u.segment.txnDirty || u.txns
}

// Release lets go of the files.
func (u Unsynced) Release() { u.files.Release() }

// Sync makes the files durable.
func (u Unsynced) Sync() error {
	if err := u.files.Log.Sync(); err != nil {
		return err
	}
	for _, name := range u.indexes {
		if err := SyncFile(u.fs, name); err != nil {
			return err
		}
	}
	return nil
}

// SyncFile syncs a file by name; one that is gone was deleted with its segment.
func SyncFile(fsys vfs.FS, name string) error {
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		if isNotExist(err) {
			return nil
		}
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

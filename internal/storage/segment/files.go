package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// ErrStale says that a View's files changed under it, by truncation or deletion: take a new View and look again.
var ErrStale = fmt.Errorf("segment changed while it was read: %w", kerr.KafkaStorageError)

// walkBytes is the size of the buffer that looks for one batch.
const walkBytes = 8 << 10

// Files are the open files of a segment, shared by the segment itself, its Views and the read plans made of them; the last
// to let go closes them. A segment that was renamed or removed stays readable while they are held.
type Files struct {
	Log vfs.File

	fs   vfs.FS
	dir  string
	base kafka.Offset
	refs atomic.Int32

	mu struct {
		sync.Mutex
		index [2]vfs.File // opened by the first lookup that needs it: offsets, times
		buf   []byte      // lent to one walk at a time
	}
}

func openFiles(fsys vfs.FS, dir string, base kafka.Offset, suffix string, flag int) (*Files, error) {
	log, err := fsys.OpenFile(filepath.Join(dir, FileName(base, LogSuffix)+suffix), flag, 0o644)
	if err != nil {
		return nil, err
	}
	f := &Files{Log: log, fs: fsys, dir: dir, base: base}
	f.refs.Store(1)
	return f, nil
}

// Retain must be called by one that holds the files already.
func (f *Files) Retain() { f.refs.Add(1) }

// Release lets go. Closing a file that was only read, or that was synced if it mattered, has no error worth having.
func (f *Files) Release() {
	if f.refs.Add(-1) > 0 {
		return
	}
	f.Log.Close()
	for _, x := range f.mu.index {
		if x != nil {
			x.Close()
		}
	}
}

// index opens the offset (0) or time (1) index for lookups.
func (f *Files) index(which int) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.index[which] != nil {
		return f.mu.index[which], nil
	}
	suffix := [2]string{IndexSuffix, TimeIndexSuffix}[which]
	x, err := f.fs.OpenFile(filepath.Join(f.dir, FileName(f.base, suffix)), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrStale, err)
	}
	f.mu.index[which] = x
	return x, err
}

func (f *Files) borrow() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.mu.buf
	f.mu.buf = nil
	if b == nil {
		b = make([]byte, walkBytes)
	}
	return b
}

func (f *Files) giveBack(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.buf = b
}

package logdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/vfs"
)

// maxFileSize bounds the small files read whole: a checkpoint of a million partitions is far below it.
const maxFileSize = 256 << 20

// readSmall reads a whole file. It is content with no file: found tells.
func readSmall(fsys vfs.FS, name string) (b []byte, found bool, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	size, err := f.Size()
	if err != nil {
		return nil, false, err
	}
	if size > maxFileSize {
		return nil, false, fmt.Errorf("%s has %d bytes, more than %d", name, size, maxFileSize)
	}
	b = make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return b[:n], true, nil
}

// replace makes content the durable content of name in one step: after a power cut the file holds the old bytes or the
// new ones, never a mixture.
func replace(fsys vfs.FS, name string, content []byte) error {
	tmp := name + ".tmp"
	if err := writeSynced(fsys, tmp, content); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func writeSynced(fsys vfs.FS, name string, content []byte) (err error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := f.WriteAt(content, 0); err != nil {
		return err
	}
	return f.Sync()
}

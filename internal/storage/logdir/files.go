package logdir

import (
	"errors"
	"io/fs"

	"github.com/headrace/headrace/internal/base/vfs"
)

// maxFileSize bounds the small files read whole: a checkpoint of a million partitions is far below it.
const maxFileSize = 256 << 20

// readSmall reads a whole file. It is content with no file: found tells.
func readSmall(fsys vfs.FS, name string) (b []byte, found bool, err error) {
	b, err = vfs.ReadFile(fsys, name, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return b, err == nil, err
}

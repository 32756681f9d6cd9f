package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/vfs"
)

// failedFile is there from a failure of the dir to the next clean stop. After a failed sync the system may hold, as if it were
// on the disk, what is not; a node that is started again on the same system would recover that, and a sync would say that all
// is well. So the next start writes again what it recovers (commitlog.OpenOptions.Renew).
const failedFile = ".headrace-failed"

// noteFailure leaves the file, if the disk still takes it.
func noteFailure(d *Dir, cause error) {
	err := vfs.Replace(d.fs, filepath.Join(d.path, failedFile), fmt.Appendln(nil, cause))
	if err != nil {
		d.log.Error("the failure cannot be noted in the log dir: restart the machine, not only the node, before the dir is used again",
			"path", filepath.Join(d.path, failedFile), "err", err)
	}
}

func failedBefore(fsys vfs.FS, dir string) (bool, error) {
	_, err := fsys.Stat(filepath.Join(dir, failedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// forgetFailure is for a clean stop, when all that was recovered is on the disk.
func forgetFailure(d *Dir) error {
	if !d.failedBefore {
		return nil
	}
	if err := d.fs.Remove(filepath.Join(d.path, failedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.fs.SyncDir(d.path)
}

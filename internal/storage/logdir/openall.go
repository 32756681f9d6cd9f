package logdir

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// OpenAll opens all dirs of log.dirs, in their order, as dirs of one cluster: a dir that is new joins the cluster of those
// that are not, wherever it is in the list. If one cannot be opened, none is, but for those that the node can do without and whose
// disk is to blame: such a dir is there, and offline.
func OpenAll(fsys vfs.FS, paths []string, needed func(path string) bool, want Meta, rnd *rand.Rand, log *slog.Logger) (dirs []*Dir, err error) {
	if len(paths) == 0 {
		return nil, errors.New("log.dirs is empty")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, CloseAll(dirs))
			dirs = nil
		}
	}()
	if want.ClusterID == "" {
		want.ClusterID = ClusterOf(fsys, paths)
	}
	owners := map[kafka.TopicID]string{}
	for _, path := range paths {
		d, err := Open(fsys, path, want, rnd, log)
		if vfs.Broken(err) && !needed(path) {
			dirs = append(dirs, unopened(fsys, path, err, log))
			continue
		}
		if err != nil {
			return dirs, err
		}
		dirs = append(dirs, d)
		want.ClusterID = d.meta.ClusterID
		if other, taken := owners[d.meta.DirectoryID]; taken {
			return dirs, fmt.Errorf("log dirs %s and %s have the same directory id %s: one is a copy of the other, remove it from log.dirs",
				other, path, d.meta.DirectoryID)
		}
		owners[d.meta.DirectoryID] = path
	}
	return dirs, nil
}

// unopened is a dir that is offline from the start. Nothing is known of what is in it, not even its id, and nothing is done in it.
func unopened(fsys vfs.FS, path string, cause error, log *slog.Logger) *Dir {
	d := &Dir{fs: fsys, path: path, log: log.With("dir", path)}
	d.failed.Store(&offline{cause})
	d.log.Error("log dir is offline: it cannot be opened, and the node starts without its partitions; repair it and restart the node", "err", cause)
	return d
}

// ClusterOf is the id of the cluster that the first of the dirs that belongs to one names, or empty. What is wrong with a dir is
// for Open to tell.
func ClusterOf(fsys vfs.FS, paths []string) string {
	for _, path := range paths {
		if m, found, err := readMeta(fsys, path); err == nil && found {
			return m.ClusterID
		}
	}
	return ""
}

// CloseAll lets go of the locks of dirs without markers.
func CloseAll(dirs []*Dir) error {
	var errs []error
	for _, d := range dirs {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

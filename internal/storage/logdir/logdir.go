// Package logdir keeps one log dir: its lock, meta.properties, clean-shutdown marker and checkpoints, the partition
// folders in it, and whether it is still online. node/partition and app call it; it starts no goroutine, and a Dir may
// be used by several at once.
package logdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// lockFile is locked while a process uses the dir. Apache Kafka locks the same file.
const lockFile = ".lock"

// Dir is one log dir, open. Lock order: write, then mu.
type Dir struct {
	fs       vfs.FS
	path     string
	meta     Meta
	log      *slog.Logger
	lock     io.Closer // nil for a dir that could not be opened
	wasClean bool
	// failedBefore says that the dir failed in an earlier run and was not stopped cleanly since.
	failedBefore bool
	brokerEpoch  int64
	failed       atomic.Pointer[offline]

	write sync.Mutex        // held while checkpoints are written: the latest content wins
	last  map[string][]byte // what each checkpoint file holds durably; guarded by write

	mu struct {
		sync.Mutex
		offsets map[string]offsets                      // what is known, by checkpoint file
		stale   map[kafka.TopicPartition]bool           // may have entries in the files and not in offsets
		open    map[kafka.TopicPartition]*commitlog.Log // nil while it is being opened
		// untouched are the partitions found at the start and not opened since: the marker of the last stop tells of
		// them still, and after a crash they have not been recovered.
		untouched map[kafka.TopicPartition]bool
		// suspect are partitions whose log failed to open or to close: while there are any, no stop is a clean one.
		suspect map[kafka.TopicPartition]bool
		closed  bool
	}
}

// Open locks the log dir at path, making it when it is missing, and checks that it belongs to want. A want without a
// ClusterID, a NodeID of NoNode and a zero DirectoryID accept what is there. A new dir gets want, and random ids from
// rnd where want has none. The marker of a clean stop is taken away before anything else is written.
func Open(fsys vfs.FS, path string, want Meta, rnd *rand.Rand, log *slog.Logger) (*Dir, error) {
	d := &Dir{fs: fsys, path: path, log: log.With("dir", path), last: map[string][]byte{}}
	if err := makeDir(fsys, path); err != nil {
		return nil, explain(path, err)
	}
	var err error
	if d.lock, err = fsys.Lock(filepath.Join(path, lockFile)); err != nil {
		return nil, explain(path, err)
	}
	if err := d.load(want, rnd); err != nil {
		_ = d.lock.Close() // the error that counts is the first
		return nil, explain(path, err)
	}
	return d, nil
}

// load first only reads: a dir of another node keeps its marker.
func (d *Dir) load(want Meta, rnd *rand.Rand) error {
	m, found, err := readMeta(d.fs, d.path)
	if err != nil {
		return err
	}
	if found {
		err = m.check(d.path, want)
	} else {
		m, err = want, refuseUnknownLogs(d.fs, d.path)
	}
	if err != nil {
		return err
	}
	if d.wasClean, d.brokerEpoch, err = takeMarker(d.fs, d.path); err != nil {
		return err
	}
	if d.failedBefore, err = failedBefore(d.fs, d.path); err != nil {
		return err
	}
	if d.failedBefore {
		d.wasClean = false
		d.log.Warn("the log dir failed when it was last in use: what is recovered is written again")
	}
	if d.meta, err = complete(d.fs, d.path, m, found, rnd); err != nil {
		return err
	}
	if err := d.loadCheckpoints(); err != nil {
		return err
	}
	d.mu.open, d.mu.suspect = map[kafka.TopicPartition]*commitlog.Log{}, map[kafka.TopicPartition]bool{}
	return d.scan()
}

func (d *Dir) loadCheckpoints() error {
	d.mu.offsets = map[string]offsets{}
	for _, file := range checkpointFiles() {
		o, err := d.loadCheckpoint(file)
		if errors.Is(err, ErrCorrupt) {
			d.log.Warn("a checkpoint cannot be read and is ignored; every partition is recovered", "err", err)
			d.wasClean = false // whatever broke this file may have broken more
			o, err = offsets{}, nil
			d.last[file] = []byte{} // it is to be written again
		}
		if err != nil {
			return err
		}
		d.mu.offsets[file] = o
	}
	d.doubtStarts()
	return nil
}

// doubtStarts drops starts that lie beyond the end, which after a clean stop is the recovery point: such a start would
// empty the log. After a crash Apache Kafka's recovery points may lie below its starts.
func (d *Dir) doubtStarts() {
	if !d.wasClean {
		return
	}
	for tp, start := range d.mu.offsets[logStartFile] {
		if end, ok := d.mu.offsets[recoveryFile][tp]; ok && start > end {
			d.log.Warn("a log start beyond the log's end is ignored", "partition", tp.String(), "start", start, "end", end)
			delete(d.mu.offsets[logStartFile], tp)
		}
	}
}

func (d *Dir) loadCheckpoint(file string) (offsets, error) {
	name := filepath.Join(d.path, file)
	b, found, err := readSmall(d.fs, name)
	if err != nil || !found {
		return offsets{}, err
	}
	o, err := parseOffsets(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.last[file] = b
	return o, nil
}

// makeDir makes path and makes it durable, folder by folder.
func makeDir(fsys vfs.FS, path string) error {
	fi, err := fsys.Stat(path)
	if err == nil && !fi.IsDir() {
		return fmt.Errorf("%s: %w", path, vfs.ErrNotDir)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

// complete writes meta.properties where there was none, and adds the directory id that Apache Kafka before 3.7 did not
// write.
func complete(fsys vfs.FS, path string, m Meta, found bool, rnd *rand.Rand) (Meta, error) {
	switch {
	case !found:
		return Format(fsys, path, m, rnd)
	case m.DirectoryID.IsZero():
		m.DirectoryID = NewID(rnd)
		return m, vfs.Replace(fsys, filepath.Join(path, metaFile), appendMeta(nil, m))
	}
	return m, nil
}

// Format writes meta.properties into the dir at path, which must not have one, and returns it with the ids that were
// missing in m drawn from rnd. A NodeID must be given. Open formats a dir that is empty by itself; Format is for one that
// holds partitions to be adopted.
func Format(fsys vfs.FS, path string, m Meta, rnd *rand.Rand) (Meta, error) {
	name := filepath.Join(path, metaFile)
	if _, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s is there already", name)
		}
		return Meta{}, err
	}
	if m.NodeID < 0 {
		return Meta{}, fmt.Errorf("log dir %s is new and needs a node.id", path)
	}
	if err := validClusterID(m.ClusterID); err != nil {
		return Meta{}, err
	}
	if m.ClusterID == "" {
		m.ClusterID = NewID(rnd).String()
	}
	if m.DirectoryID.IsZero() {
		m.DirectoryID = NewID(rnd)
	}
	return m, vfs.Replace(fsys, name, appendMeta(nil, m))
}

func refuseUnknownLogs(fsys vfs.FS, path string) error {
	entries, err := fsys.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if kindOf(e) == kindLog {
			return fmt.Errorf("log dir %s holds partition folders (%s) but no %s: run `headrace adopt %s`, or choose another directory in log.dirs",
				path, e.Name(), metaFile, path)
		}
	}
	return nil
}

// explain turns the errors of the system that an operator can mend into one line that says how.
func explain(path string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, vfs.ErrLocked):
		hint = "is in use by another process: stop it, or choose another directory in log.dirs"
	case errors.Is(err, vfs.ErrNotDir):
		hint = "is not a directory: choose another path in log.dirs"
	case errors.Is(err, vfs.ErrReadOnly):
		hint = "is on a read-only file system: mount it writable, or choose another directory in log.dirs"
	case errors.Is(err, fs.ErrPermission):
		hint = "cannot be read and written by this user: change its owner or mode, or choose another directory in log.dirs"
	case errors.Is(err, vfs.ErrNoSpace), errors.Is(err, vfs.ErrQuota):
		hint = "is on a full disk: free some space, or choose another directory in log.dirs"
	case strings.Contains(err.Error(), path):
		return err
	default:
		return fmt.Errorf("log dir %s: %w", path, err)
	}
	return fmt.Errorf("log dir %s %s (%w)", path, hint, err)
}

// Meta is the content of meta.properties.
func (d *Dir) Meta() Meta { return d.meta }

// Path is the dir's path as it was opened.
func (d *Dir) Path() string { return d.path }

// WasClean tells whether the last stop was clean and its recovery points could be read.
func (d *Dir) WasClean() bool { return d.wasClean }

// PreviousBrokerEpoch is the broker epoch in the marker of a clean stop, or -1 (KIP-966: registration names it).
func (d *Dir) PreviousBrokerEpoch() int64 {
	if !d.wasClean {
		return noBrokerEpoch
	}
	return d.brokerEpoch
}

// Usage tells the size and the free bytes of the file system below the dir.
func (d *Dir) Usage() (total, free int64, err error) { return d.fs.Usage(d.path) }

// HighWatermark is the checkpointed one, or 0 when there is none: the caller holds it against the log's start and end.
func (d *Dir) HighWatermark(tp kafka.TopicPartition) kafka.Offset {
	return d.offset(highWatermarkFile, tp)
}

// Close lets go of the lock without a marker: the next start recovers. Logs stay open; see CloseClean.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed || d.lock == nil {
		return nil
	}
	d.mu.closed = true
	return d.lock.Close()
}

// untouchedNames lists some of what was never opened, for a log line.
func (d *Dir) untouchedNames() []string {
	var names []string
	for tp := range d.mu.untouched {
		names = append(names, tp.String())
	}
	slices.Sort(names)
	return names[:min(len(names), 5)]
}

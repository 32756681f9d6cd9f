package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// OpenLog opens or makes the log of tp with its checkpointed recovery point and start. Different logs may be opened in
// parallel. A zero id takes the one in the folder.
func (d *Dir) OpenLog(tp kafka.TopicPartition, id kafka.TopicID, cfg commitlog.Config, now time.Time, rnd *rand.Rand) (*commitlog.Log, error) {
	return d.open(TakeAnyEnd, commitlog.OpenOptions{Partition: tp, TopicID: id, Config: cfg, Now: now, Rand: rnd})
}

// Trust says what is done about a log that is not what it was.
type Trust int8

const (
	// TakeAnyEnd ends a log where its right batches do, and refuses one that is damaged in what was flushed.
	TakeAnyEnd Trust = iota
	// TakeWhole refuses, too, a log that ends before what the checkpoints tell of it: commitlog.ErrShort.
	TakeWhole
	// Salvage checks all of the log, and ends it before the first batch that is damaged.
	Salvage
	// BeginAnew sets aside the folder that is there, of which nobody can tell whose it is, and begins an empty log.
	BeginAnew
)

// OpenReplica is OpenLog for one of a thousand replicas, of which many are never written to: it makes no folder before the first append.
func (d *Dir) OpenReplica(t Trust, tp kafka.TopicPartition, id kafka.TopicID, cfg commitlog.Config, now time.Time, rnd *rand.Rand) (*commitlog.Log, error) {
	if t == BeginAnew {
		// One that an earlier try has set aside is gone.
		_, err := d.fs.Stat(filepath.Join(d.path, tp.String()))
		if err == nil {
			err = d.SetAside(tp)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return d.open(t, commitlog.OpenOptions{Partition: tp, TopicID: id, Config: cfg, Now: now, Rand: rnd, Lazy: true})
}

func (d *Dir) open(t Trust, o commitlog.OpenOptions) (*commitlog.Log, error) {
	return d.openIn(o.Partition.String(), t, false, o)
}

// openIn opens the log in one of the dir's folders. closed says that this process has closed it.
func (d *Dir) openIn(folder string, t Trust, closed bool, o commitlog.OpenOptions) (*commitlog.Log, error) {
	o.FS, o.Dir, o.Log = d.fs, filepath.Join(d.path, folder), d.log.With("partition", o.Partition.String())
	var err error
	if o.Clean, err = d.reserve(o.Partition); err != nil {
		return nil, fmt.Errorf("open log %s: %w", o.Dir, err)
	}
	o.Clean = o.Clean || closed
	l, err := d.openReserved(o, t)
	d.settle(o.Partition, l, err)
	return l, err
}

func (d *Dir) openReserved(o commitlog.OpenOptions, t Trust) (*commitlog.Log, error) {
	if err := d.forgetFormer(o.Partition, o.Dir); err != nil {
		return nil, fmt.Errorf("open log %s: %w", o.Dir, err)
	}
	o.RecoveryPoint, o.LogStart = d.offset(recoveryFile, o.Partition), d.offset(logStartFile, o.Partition)
	o.Cleaned = d.offset(cleanerFile, o.Partition)
	o.Salvage = t == Salvage
	if t == TakeWhole {
		o.Known = max(o.RecoveryPoint, d.HighWatermark(o.Partition))
	}
	o.Renew = d.failedBefore
	return commitlog.Open(o)
}

// reserve makes tp ours, so that no other call opens it at the same time.
func (d *Dir) reserve(tp kafka.TopicPartition) (clean bool, err error) {
	if err := d.Offline(); err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.closed {
		return false, fs.ErrClosed
	}
	if _, taken := d.mu.open[tp]; taken {
		return false, fmt.Errorf("it is open already: %w", fs.ErrExist)
	}
	d.mu.open[tp] = nil
	_, known := d.mu.offsets[recoveryFile][tp] // see Leave
	return d.wasClean && d.mu.untouched[tp] && known, nil
}

// settle ends what reserve began.
func (d *Dir) settle(tp kafka.TopicPartition, l *commitlog.Log, err error) {
	d.mu.Lock()
	if err == nil {
		d.mu.open[tp] = l
		delete(d.mu.untouched, tp)
		delete(d.mu.suspect, tp)
	} else {
		delete(d.mu.open, tp)
		d.mu.suspect[tp] = true // what a half-done recovery left must not be called clean
	}
	d.mu.Unlock()
	if final(err) || vfs.Broken(err) {
		d.Fail(err)
	}
	if offline := d.Offline(); err == nil && offline != nil {
		l.Fail(offline) // the dir failed meanwhile, when the log was not yet among those that Fail sees
	}
}

// final tells whether an error is one that its log does not recover from.
func final(err error) bool {
	return errors.Is(err, kerr.KafkaStorageError) && !errors.Is(err, commitlog.ErrNoRoom)
}

// Abandon lets go of a log that was opened and is not used: the next OpenLog recovers it again.
func (d *Dir) Abandon(l *commitlog.Log) {
	l.CloseAbrupt()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.open, l.Partition())
	d.mu.suspect[l.Partition()] = true
}

// forgetFormer makes durable that nothing is known of a partition whose folder is not there: offsets of a former
// partition of that name would let records of the new one pass for flushed.
func (d *Dir) forgetFormer(tp kafka.TopicPartition, folder string) error {
	_, err := d.fs.Stat(folder)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.write.Lock()
	defer d.write.Unlock()
	d.mu.Lock()
	known := d.mu.stale[tp]
	d.mu.Unlock()
	if !known {
		return nil
	}
	return d.writeCheckpoints()
}

func (d *Dir) offset(file string, tp kafka.TopicPartition) kafka.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.offsets[file][tp]
}

// Delete closes the log of tp, if l is not nil, and removes its folder: it is renamed durably first, so that a crash
// leaves all of the partition or none of it, but on a disk too full for that. Read plans that are not released may fail. After
// ErrNoRoom it may be called again.
func (d *Dir) Delete(tp kafka.TopicPartition, l *commitlog.Log) error {
	return d.deleteFolder(tp.String(), tp, l)
}

func (d *Dir) deleteFolder(name string, tp kafka.TopicPartition, l *commitlog.Log) error {
	if err := d.Offline(); err != nil {
		return fmt.Errorf("delete %v: %w", tp, err)
	}
	folder := filepath.Join(d.path, name)
	id := kafka.TopicID{}
	if l != nil {
		id = l.TopicID()
		l.CloseAbrupt()
	} else {
		id, _ = readTopicID(d.fs, folder) // a broken file must not keep a partition from being deleted
	}
	d.forgetFolder(tp)
	if err := d.remove(folder, filepath.Join(d.path, nameAside(tp, id, deleteSuffix))); err != nil {
		return d.refusedOrFailed(fmt.Errorf("delete %v: %w", tp, err))
	}
	return nil
}

func (d *Dir) forgetFolder(tp kafka.TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mu.open, tp)
	delete(d.mu.untouched, tp)
	delete(d.mu.suspect, tp)
	d.forget(tp)
}

func (d *Dir) refusedOrFailed(err error) error {
	if vfs.Refused(err) {
		return fmt.Errorf("%w: %w", commitlog.ErrNoRoom, err)
	}
	d.Fail(err)
	return d.Offline()
}

// SetAside renames, durably, the folder of a partition that is in the way of another of its name. Nothing of it is deleted:
// that the metadata does not know its topic may be the metadata's loss. No log of it may be open. After ErrNoRoom it may be
// called again.
func (d *Dir) SetAside(tp kafka.TopicPartition) error {
	if err := d.Offline(); err != nil {
		return fmt.Errorf("set %v aside: %w", tp, err)
	}
	folder := filepath.Join(d.path, tp.String())
	d.forgetFolder(tp)
	aside, err := d.freeAside(tp, folder)
	if err == nil {
		err = d.fs.Rename(folder, aside)
	}
	if err == nil {
		err = d.fs.SyncDir(d.path)
	} else if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("set %v aside: %s is there already, move it away: %w", tp, aside, err)
	}
	if err != nil {
		return d.refusedOrFailed(fmt.Errorf("set %v aside: %w", tp, err))
	}
	d.log.Warn("a folder that is not this topic's, or not known to be, is set aside: remove it when its records are not needed", "folder", aside)
	return nil
}

func (d *Dir) remove(folder, deleted string) error {
	if err := d.fs.RemoveAll(deleted); err != nil { // left by an earlier deletion that was cut short
		return err
	}
	switch err := d.fs.Rename(folder, deleted); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, vfs.ErrNoSpace), errors.Is(err, vfs.ErrQuota): // for the longer name: what is deleted makes room
		deleted = folder
	case err != nil:
		return err
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return err
	}
	return d.fs.RemoveAll(deleted)
}

// forget drops what is known of tp in memory; its entries in the files are stale until they are next written. d.mu is
// held.
func (d *Dir) forget(tp kafka.TopicPartition) {
	for _, o := range d.mu.offsets {
		delete(o, tp)
	}
	d.mu.stale[tp] = true
}

// offline is why a dir failed.
type offline struct{ cause error }

// Fail takes the dir and all its open logs offline, for the rest of the process. The first cause is logged.
func (d *Dir) Fail(cause error) {
	if cause == nil || !d.failed.CompareAndSwap(nil, &offline{cause}) {
		return
	}
	d.log.Error("log dir is offline: its partitions are unavailable until it is repaired and the node restarted", "err", cause)
	for _, l := range d.openLogs() {
		l.Fail(cause)
	}
	noteFailure(d, cause)
}

// Offline is nil while the dir works; its error wraps kerr.KafkaStorageError.
func (d *Dir) Offline() error {
	f := d.failed.Load()
	if f == nil {
		return nil
	}
	return fmt.Errorf("log dir %s is offline: %w: %w", d.path, f.cause, kerr.KafkaStorageError)
}

func (d *Dir) openLogs() []*commitlog.Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	logs := make([]*commitlog.Log, 0, len(d.mu.open))
	for _, l := range d.mu.open {
		if l != nil {
			logs = append(logs, l)
		}
	}
	return logs
}

// asideTries bounds how many folders of unknown topics are kept of one partition.
const asideTries = 100

// freeAside is the name for a folder that is set aside. A folder whose topic id cannot be read gets one of zeros, or the next number
// that is free: a partition may be damaged twice.
func (d *Dir) freeAside(tp kafka.TopicPartition, folder string) (aside string, err error) {
	id, err := readTopicID(d.fs, folder)
	known := err == nil && !id.IsZero()
	for n := range byte(asideTries) {
		if !known {
			id[len(id)-1] = n
		}
		aside = filepath.Join(d.path, nameAside(tp, id, straySuffix))
		if _, err = d.fs.Stat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, nil
		}
		if err != nil || known {
			break
		}
	}
	if err == nil {
		err = fs.ErrExist
	}
	return aside, err
}

package partition

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// dir is one log dir with its flusher and the number of partitions placed in it, by which new ones are spread.
type dir struct {
	*logdir.Dir
	set        *Set
	flusher    *flusher
	recoveries recoveries
	mover      *mover
	placed     int         // guarded by Set.mu
	told       atomic.Bool // of its failure: those who wait, and DirFailed
	short      atomic.Bool // of room: the last write that needed some was refused
}

func (d *dir) offline() error { return d.Offline() }

// countIn counts the partition in a dir, or in none where that is nil, and no longer where it was; Set.mu is locked.
func (p *Partition) countIn(d *dir) {
	if p.counted != nil {
		p.counted.placed--
	}
	if p.counted = d; d != nil {
		d.placed++
	}
}

// fail takes the dir offline: nothing in it is written or flushed again, and whoever waits for that hears of it. What was
// flushed can still be read.
func (d *dir) fail(err error) {
	d.Fail(err)
	if d.told.Swap(true) {
		return
	}
	for _, p := range d.set.in(d) {
		p.breakLines()
	}
	if f := d.set.DirFailed; f != nil {
		f(d.Path(), err)
	}
}

// delete removes a partition's folder; a disk that fails meanwhile takes the dir offline for all who wait, too.
func (d *dir) delete(tp kafka.TopicPartition, log *commitlog.Log) error {
	err := d.Dir.Delete(tp, log)
	if offline := d.offline(); offline != nil {
		d.fail(offline)
	}
	return err
}

// setAside is delete for a folder that may still be wanted.
func (d *dir) setAside(tp kafka.TopicPartition) error {
	err := d.SetAside(tp)
	if offline := d.offline(); offline != nil {
		d.fail(offline)
	}
	return err
}

// full says once that there is no room: that writes are refused until there is. Nothing else changes.
func (d *dir) full(err error) {
	if d.short.Swap(true) {
		return
	}
	total, free, _ := d.Usage() // it may not be known, and then says 0
	d.set.Log.Error("no room in a log dir: what needs some is refused until there is; reads go on", "dir", d.Path(),
		"free", free, "total", total, "err", err)
}

// roomy says once that there is room again, which a flush that succeeded shows.
func (d *dir) roomy() {
	if d.short.Load() && d.short.Swap(false) {
		d.set.Log.Info("there is room again in a log dir", "dir", d.Path())
	}
}

// storageError takes the log dir offline for an error that its disk gave. Errors of the protocol, such as a folder that
// belongs to another topic id, are not the disk's.
func (s *Set) storageError(d *dir, err error) error {
	var k *kerr.Error
	if errors.As(err, &k) && k != kerr.KafkaStorageError {
		return err
	}
	d.fail(err)
	return fmt.Errorf("%w: %w", err, kerr.KafkaStorageError)
}

// place chooses the dir for a new partition: where it was found on disk, perhaps by a crash without its topic id, or with another one
// that may be damage, or else where the metadata has it, where an admin wants it, or the emptiest that is online; s.mu is locked.
func (s *Set) place(tp kafka.TopicPartition, id kafka.TopicID, shared bool, assigned kafka.TopicID) *dir {
	if f, ok := s.found[tp]; ok && (f.id == id || f.id.IsZero() || shared) {
		return f.dir
	}
	if d := s.assigned(assigned); d != nil {
		return d
	}
	if d := s.preferred[tp]; d != nil && d.offline() == nil {
		return d
	}
	var best *dir
	for _, d := range s.dirs {
		if d.offline() == nil && (best == nil || d.placed < best.placed) {
			best = d
		}
	}
	if best == nil {
		return s.dirs[0] // every dir is offline: opening says so
	}
	return best
}

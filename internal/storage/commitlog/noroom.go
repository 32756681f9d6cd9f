package commitlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
)

// ErrNoRoom is the error of a call for which the system had no room: a full disk, a quota, or no more file descriptors. The
// call has changed nothing and may be made again; the log goes on.
//
// What may fail so: an append whose write was refused, of which the part that was written is cut off again, or for whose first
// files there was no room; a roll, whose new files are removed again; a flush that could not write the leader epochs, or open a file that it has to sync. Indexes,
// transaction indexes and the producer snapshots of rolls wait in memory, or are left out. An error of a sync is final
// always: a system that finds no room only when it writes back has dropped what it was to write.
var ErrNoRoom = fmt.Errorf("no room: %w", kerr.KafkaStorageError)

// trouble takes the log offline for err, unless there merely was no room.
func (l *Log) trouble(err error) error {
	if l.mu.failed == nil && vfs.Refused(err) {
		return fmt.Errorf("%s: %w: %w", l.partition, ErrNoRoom, err)
	}
	return l.fail(err)
}

// cutBack takes a refused append back: what was written of it would otherwise lie beyond the next one, if that is shorter.
func (l *Log) cutBack(err error) error {
	if vfs.Refused(err) {
		if cerr := l.active().CutBack(); cerr != nil {
			return l.fail(errors.Join(err, cerr))
		}
	}
	return l.trouble(err)
}

// giveBack makes the work of a flush that was refused part of the next. What retention took away meanwhile is not.
func (l *Log) giveBack(j *job) {
	for _, u := range j.files {
		u.GiveBack()
	}
	for i, s := range j.sealed {
		if slices.Contains(l.mu.segments, s) {
			l.mu.unflushed = slices.Insert(l.mu.unflushed, min(i, len(l.mu.unflushed)), s)
		}
	}
	if j.dir {
		l.dirChanged()
	}
	if j.epochs != nil {
		l.epochsChanged()
	}
	l.mu.snapshots.unsynced = append(j.written, l.mu.snapshots.unsynced...)
}

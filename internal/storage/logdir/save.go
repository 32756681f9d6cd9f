package logdir

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// Checkpoint writes the checkpoint files for logs, or for all open ones when logs is nil; entries of others stay
// as they are. hw tells high watermarks, and must not call the Dir; where it is nil or below 0 the known one stays. A
// failure takes the dir offline, unless it is commitlog.ErrNoRoom: then the files are as they were.
//
// After a truncation, Checkpoint must return before the log is appended to: the recovery point on disk may lie beyond the
// truncated end, and unflushed records below it would pass for flushed.
func (d *Dir) Checkpoint(logs []*commitlog.Log, hw func(kafka.TopicPartition) kafka.Offset) error {
	if err := d.Offline(); err != nil {
		return err
	}
	if logs == nil {
		logs = d.openLogs()
	}
	d.write.Lock()
	defer d.write.Unlock()
	for _, l := range logs {
		d.note(l, watermark(hw, l.Partition()))
	}
	return d.writeCheckpoints()
}

func watermark(hw func(kafka.TopicPartition) kafka.Offset, tp kafka.TopicPartition) kafka.Offset {
	if hw == nil {
		return kafka.NoOffset
	}
	return hw(tp)
}

// note takes over what l knows, unless it was deleted or closed meanwhile. Of a log without a folder there is nothing to know, and the
// next start would forget it.
func (d *Dir) note(l *commitlog.Log, hw kafka.Offset) {
	if !l.Made() {
		return
	}
	tp, flushed, start, cleaned := l.Partition(), l.Flushed(), l.Start(), l.Cleaned()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.open[tp] != l {
		return
	}
	d.mu.offsets[recoveryFile][tp] = flushed
	if start > 0 {
		d.mu.offsets[logStartFile][tp] = start
	} else {
		delete(d.mu.offsets[logStartFile], tp)
	}
	if hw >= 0 {
		d.mu.offsets[highWatermarkFile][tp] = hw
	}
	if cleaned > 0 {
		d.mu.offsets[cleanerFile][tp] = cleaned
	} else {
		delete(d.mu.offsets[cleanerFile], tp)
	}
}

// writeCheckpoints writes the files whose content changed; a failure takes the dir offline, unless there merely was no room.
// d.write is held.
func (d *Dir) writeCheckpoints() error {
	d.mu.Lock()
	content := map[string][]byte{}
	for _, file := range checkpointFiles() {
		if file != cleanerFile || len(d.mu.offsets[file]) > 0 || d.last[file] != nil { // none where nothing was ever compacted
			content[file] = appendOffsets(nil, d.mu.offsets[file])
		}
	}
	stale := d.mu.stale
	d.mu.stale = map[kafka.TopicPartition]bool{}
	d.mu.Unlock()
	for _, file := range checkpointFiles() {
		if bytes.Equal(content[file], d.last[file]) {
			continue
		}
		err := vfs.Replace(d.fs, filepath.Join(d.path, file), content[file])
		if vfs.Refused(err) {
			d.mu.Lock()
			maps.Copy(d.mu.stale, stale)
			d.mu.Unlock()
			return fmt.Errorf("write checkpoint: %w: %w", commitlog.ErrNoRoom, err)
		}
		if err != nil {
			d.Fail(fmt.Errorf("write checkpoint: %w", err))
			return d.Offline()
		}
		d.last[file] = content[file]
	}
	return nil
}

// CloseLog closes one log, flushed, and keeps what it knew for the checkpoints. Logs may be closed in parallel. A log whose
// owner closed it some other way counts as failed here.
func (d *Dir) CloseLog(now time.Time, l *commitlog.Log, hw kafka.Offset) error {
	tp := l.Partition()
	err := l.Close(now) // also tells of a log that failed before
	d.note(l, hw)
	d.mu.Lock()
	if d.mu.open[tp] == l {
		delete(d.mu.open, tp)
	}
	if err != nil {
		d.mu.suspect[tp] = true
	}
	d.mu.Unlock()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("close log %v: %w", tp, err)
	if final(err) {
		d.Fail(err)
	}
	return err
}

// Leave says that nobody will open tp before the dir is closed, as its topic is not known: its folder then does not keep the
// stop from being a clean one. If it was not recovered since a crash its recovery point is dropped, by which the one who opens
// it after all learns that the marker does not speak for it.
func (d *Dir) Leave(tp kafka.TopicPartition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wasClean && d.mu.untouched[tp] {
		delete(d.mu.untouched, tp)
		delete(d.mu.offsets[recoveryFile], tp)
	}
}

// CloseClean closes the logs that are still open, writes the checkpoints and then, if nothing failed since the start, the
// marker of a clean stop with brokerEpoch. It lets go of the lock in any case.
func (d *Dir) CloseClean(now time.Time, brokerEpoch int64, hw func(kafka.TopicPartition) kafka.Offset) error {
	err := d.closeClean(now, brokerEpoch, hw)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close log dir %s: %w", d.path, err)
	}
	return nil
}

func (d *Dir) closeClean(now time.Time, brokerEpoch int64, hw func(kafka.TopicPartition) kafka.Offset) error {
	var failed error
	for _, l := range d.openLogs() {
		if err := d.CloseLog(now, l, watermark(hw, l.Partition())); err != nil && failed == nil {
			failed = err
		}
	}
	if err := d.Checkpoint(nil, nil); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if !d.mayMark() {
		return nil
	}
	if err := forgetFailure(d); err != nil {
		return err
	}
	return writeMarker(d.fs, d.path, brokerEpoch)
}

// mayMark tells whether every partition is as a clean stop leaves it.
func (d *Dir) mayMark() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	// A node opens the metadata log at its start, or not at all because it is another cluster's.
	delete(d.mu.untouched, kafka.TopicPartition{Topic: kafka.MetadataTopic})
	switch {
	case d.mu.closed || len(d.mu.suspect) > 0 || len(d.mu.open) > 0:
		d.log.Warn("no clean-shutdown marker is written: a log failed to open or to close")
		return false
	case !d.wasClean && len(d.mu.untouched) > 0:
		d.log.Warn("no clean-shutdown marker is written: partitions were not opened, so not recovered, since the last crash",
			"count", len(d.mu.untouched), "some", d.untouchedNames())
		return false
	}
	return true
}

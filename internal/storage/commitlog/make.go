package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// A log of which nothing was ever written may be unmade (OpenOptions.Lazy): it begins and ends at offset 0, in memory alone, and
// has no files and perhaps no folder. All that reads, flushes, closes or deletes a log finds one that is empty. Its first append
// makes the folder and the files, unsynced; the flush that covers the append syncs these too, the folder's own name among them,
// before anything of it is acknowledged. So whatever a power cut leaves of a folder whose partition.metadata was not yet synced,
// nothing that it holds was acknowledged: see begunAnew.
//
// A crash forgets what an unmade log knew of leader epochs. That is at most one entry, the epoch of the newest leadership here,
// which begins at 0: each that begins where the one before did takes its place (epochs.Cache.Assign). It is not missed (KIP-101):
//
//   - A log without records cannot part from another: offset 0 lies in the history of all. A follower that names no epoch with it is
//     sent records from there; one that names the epoch is told the same, or to cut off from 0 on, which changes nothing.
//   - A leader needs an entry to tell followers with records of older leaders that all of theirs goes. It has one: a leadership
//     begins with noting its epoch, in this process, whatever was known before.
//   - Who becomes the leader does not go by what logs know, but by who is in sync. The controller counts epochs, so that none comes
//     twice because a log forgot it.
//
// A log that begins elsewhere than at 0 has files always: its offsets would begin again at 0 if a crash forgot where.

// Made tells whether the log has a folder with files. One that has none is empty, and no checkpoint needs to speak of it.
func (l *Log) Made() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.mu.unmade
}

// begin is for a log without segments.
func (l *Log) begin(o OpenOptions) error {
	l.mu.unmade = true
	l.mu.epochs.Clear()
	l.mu.segments = []*segment.Segment{segment.Unmade(l.fs, l.dir, o.LogStart, o.Now, l.jitter())}
	for _, x := range []interface{ Store(int64) }{&l.start, &l.end, &l.flushed} {
		x.Store(int64(o.LogStart))
	}
	if o.Lazy && o.LogStart == 0 {
		return nil
	}
	if err := l.makeDurably(); err != nil {
		return err
	}
	l.active().Idle()
	return nil
}

// ensureMade gives the log its folder and files if it has none. Without room, or where the folder cannot be made for a reason of its
// own (a name that is too long, rights), it stays unmade, and the next append tries again: what was made is made anew then. Nothing is
// lost by it, so that the log goes offline only where the disk itself is broken.
func (l *Log) ensureMade() error {
	if !l.mu.unmade {
		return nil
	}
	err := l.makeFiles()
	switch {
	case err == nil:
		return nil
	case vfs.Broken(err) || vfs.Refused(err):
		return l.trouble(fmt.Errorf("make the log's folder: %w", err))
	}
	return fmt.Errorf("%s: make the log's folder: %w: %w", l.partition, kerr.KafkaStorageError, err)
}

func (l *Log) makeFiles() error {
	if err := l.fs.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	if !l.topicID.IsZero() {
		if err := writeUnsynced(l.fs, filepath.Join(l.dir, metadataName), metadataText(l.topicID)); err != nil {
			return err
		}
	}
	if err := l.active().Make(); err != nil {
		return err
	}
	l.mu.unmade, l.mu.newborn = false, true
	l.dirChanged()
	l.epochsChanged()
	return nil
}

// makeDurably is ensureMade for who cannot wait for a flush.
func (l *Log) makeDurably() error {
	if err := l.makeFiles(); err != nil {
		return err
	}
	return l.nameFirst()
}

// nameFirst makes the names of a log's first files durable, if they may not be. From then on the folder always has its first segment:
// what is missing before it was deleted, not lost.
func (l *Log) nameFirst() error {
	if !l.mu.newborn {
		return nil
	}
	if err := l.syncBirth(); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.mu.newborn = false
	return nil
}

// syncBirth makes durable what is written once only: whose the folder is, and its name.
func (l *Log) syncBirth() error {
	if err := segment.SyncFile(l.fs, filepath.Join(l.dir, metadataName)); err != nil {
		return err
	}
	return l.fs.SyncDir(filepath.Dir(l.dir))
}

// errHalfMade is the error of a partition.metadata that a crash kept from being written whole.
var errHalfMade = errors.New("partition.metadata was not written whole")

// halfMade tells whether b is what may be left of a partition.metadata that was never synced: nothing, zeros, or its beginning.
func halfMade(b []byte, id kafka.TopicID) bool {
	text := metadataText(id)
	left := bytes.TrimRight(b, "\x00")
	return !id.IsZero() && len(b) <= len(text) && len(left) < len(text) && bytes.HasPrefix(text, left)
}

// begunAnew tells whether the log in a folder with half a partition.metadata may be begun anew, whatever else is there. That file
// is durable before anything of the log counts as flushed, so where nothing is known to have been flushed nothing was. What is there
// all the same is nobody's: it may be of another topic of the name, deleted since. Where more is known the file is damaged.
func (o *OpenOptions) begunAnew() bool {
	return !o.Clean && o.RecoveryPoint == 0 && o.LogStart == 0 && o.Known == 0
}

// removeUnacknowledged takes the files away that a power cut left of a log of which nothing was flushed, the last first.
func (l *Log) removeUnacknowledged() error {
	l.log.Warn("a crash left the folder of a new partition half made: it is begun anew", "dir", l.dir, "segments", len(l.mu.segments))
	for n := len(l.mu.segments); n > 0; n-- {
		if err := l.mu.segments[n-1].Remove(); err != nil {
			return err
		}
		l.mu.segments = l.mu.segments[:n-1]
	}
	return nil
}

func metadataText(id kafka.TopicID) []byte { return fmt.Appendf(nil, "version: 0\ntopic_id: %s", id) }

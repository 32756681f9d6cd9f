package quorum

import (
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// publish gives the Image out when it changed, and then answers those who waited for it. Until this node has caught up
// nothing is given out; then the whole Image is. Changes that a Delta does not tell (the offset, the next producer id)
// are given out silently.
func (l *loop) publish(was *metadata.Image, delta *metadata.Delta) {
	first := !l.published && l.caughtUp()
	if !first && !l.published {
		return
	}
	if !first && l.image == was {
		l.answer() // who waited for a read
		return
	}
	if first {
		was, delta = metadata.New(l.cfg.ClusterID), nil
	}
	if delta == nil {
		delta = l.image.Since(was)
	}
	delta.ControllerChanged = l.image.ControllerID() != was.ControllerID()
	l.q.image.Store(l.image)
	if first || !delta.Empty() {
		l.cfg.Publish(delta, l.image)
	}
	l.q.published.Store(int64(l.image.Offset()))
	l.answer()
	if first {
		l.published = true
		close(l.q.ready)
	}
}

// caughtUp tells whether all that was committed before this node started is applied: a leader knows once its own first
// entry and what it bootstraps with are, another node once all is applied that a leader has told it is committed.
func (l *loop) caughtUp() bool {
	if l.leading {
		return l.lead.active && l.applied >= l.lead.proposed
	}
	return l.leader != kafka.NoNode && l.told.known && l.told.term == l.term && l.applied > 0 && l.applied >= l.told.commit
}

// snapshotForNewcomer makes a snapshot that names a new member. It is sent the newest one, and could not take one that does
// not know it.
func (l *loop) snapshotForNewcomer() error {
	if !l.newcomer {
		return nil
	}
	l.newcomer = false
	return l.roomFor(l.takeSnapshot)
}

func (l *loop) takeSnapshot() error {
	return l.store.takeSnapshot(l.image, l.applied, l.conf, l.notes, l.lastAppend)
}

func (l *loop) snapshotIfDue() error {
	if l.store.sinceSnapshot < l.cfg.SnapshotBytes || l.applied <= l.store.state.Raft.Snapshot.Index {
		return nil
	}
	err := l.takeSnapshot()
	if vfs.Refused(err) {
		l.log.Warn("no room for a snapshot of the metadata: the log stays as long as it is", "error", err)
		return nil
	}
	return err
}

package quorum

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// retryAfter is how long the loop waits before it does again what there was no room for.
const retryAfter = 250 * time.Millisecond

// errStopped ends the loop when it is to stop while there is no room.
var errStopped = errors.New("stopped while the disk has no room for the metadata log")

// roomFor does what must be durable before anything else goes on, and does it again while there is no room for it. Raft
// cannot go on meanwhile; whoever waits or asks is refused. What was proposed before may be committed yet.
func (l *loop) roomFor(do func() error) error {
	err := do()
	if !mayPass(err) {
		return err
	}
	l.log.Error("no room for the metadata log: changes of metadata are refused until there is", "error", err)
	for ; mayPass(err); err = do() {
		if !l.refuseAll(fmt.Errorf("no room for the metadata log: %w: %w", err, kerr.KafkaStorageError)) {
			return errStopped
		}
	}
	if err == nil {
		l.log.Info("there is room for the metadata log again")
	}
	return err
}

// mayPass tells whether err is one of room that is not final: a log that failed for want of room stays so.
func mayPass(err error) bool { return vfs.Refused(err) && !errors.Is(err, commitlog.ErrOffline) }

// refuseAll refuses, for a while, all who wait for a change, and those who come. It returns false when the loop is to stop.
func (l *loop) refuseAll(why error) bool {
	for _, t := range l.lead.waiting {
		t.to.reply <- outcome{err: why}
	}
	l.lead.waiting = nil
	wait := time.NewTimer(retryAfter)
	defer wait.Stop()
	for {
		select {
		case s := <-l.q.inbox:
			s.reply <- outcome{err: why}
		case <-l.q.messages: // a lost message is sent again
		case <-wait.C:
			return true
		case <-l.q.stop:
			return false
		}
	}
}

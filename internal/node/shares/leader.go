package shares

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/node/partition"
)

// leader is one partition of one share group, for as long as this node leads the partition in one epoch.
type leader struct {
	s     *Shares
	key   key
	part  *partition.Partition
	epoch kafka.LeaderEpoch

	read sync.Mutex // held while the log is read for members, one after the other; taken before mu
	mu   struct {
		sync.Mutex
		machine *share.Partition // nil until it is loaded
		err     error            // why it is of no use
		timer   *time.Timer      // of the first lock that ends
		waits   []settling
		hear    map[chan struct{}]struct{} // who waits for records to be available
	}
}

// settling is who waits for a change to be kept.
type settling struct {
	change share.Change
	done   chan error
}

func newLeader(s *Shares, k key, part *partition.Partition, epoch kafka.LeaderEpoch) *leader {
	l := &leader{s: s, key: k, part: part, epoch: epoch}
	l.mu.hear = make(map[chan struct{}]struct{})
	return l
}

// listen has news be told on c, which has room for one.
func (l *leader) listen(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.hear[c] = struct{}{}
}

func (l *leader) unlisten(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.hear, c)
}

// tell wakes who waits for records. l.mu is held.
func (l *leader) tell() {
	for c := range l.mu.hear {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// fence makes l useless: who waits, and who comes, is told err. The first error stays.
func (l *leader) fence(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fenceLocked(err)
}

func (l *leader) fenceLocked(err error) {
	if l.mu.err != nil {
		return
	}
	l.mu.err = err
	for _, w := range l.mu.waits {
		w.done <- err
	}
	l.mu.waits = nil
	if l.mu.timer != nil {
		l.mu.timer.Stop()
	}
	l.tell()
}

// acknowledge takes in what a member says, and returns when it is kept.
func (l *leader) acknowledge(ctx context.Context, member string, acks []share.Acknowledgement) error {
	l.mu.Lock()
	if l.mu.err != nil || l.mu.machine == nil {
		defer l.mu.Unlock()
		if l.mu.err != nil {
			return l.mu.err
		}
		return kerr.InvalidRecordState // nothing is acquired of what is loading
	}
	l.mu.machine.Configure(l.s.cfg.Group(l.key.group).Settings)
	change, err := l.mu.machine.Acknowledge(time.Now(), member, acks)
	if err != nil || change == 0 {
		l.arm()
		l.mu.Unlock()
		return err
	}
	w := settling{change, make(chan error, 1)}
	l.mu.waits = append(l.mu.waits, w)
	l.keep()
	l.arm()
	l.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return kerr.RequestTimedOut
	}
}

// release gives back what a member has acquired.
func (l *leader) release(member string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err == nil && l.mu.machine != nil {
		l.mu.machine.Release(member)
		l.keep()
	}
}

// arm sets the timer for the first lock that ends. l.mu is held.
func (l *leader) arm() {
	at := l.mu.machine.NextExpiry()
	switch {
	case l.mu.err != nil:
	case at.IsZero():
		if l.mu.timer != nil {
			l.mu.timer.Stop()
		}
	case l.mu.timer == nil:
		l.mu.timer = time.AfterFunc(time.Until(at), l.expire)
	default:
		l.mu.timer.Reset(time.Until(at))
	}
}

func (l *leader) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return
	}
	if l.mu.machine.Expire(time.Now()) {
		l.keep()
		l.tell()
	}
	l.arm()
}

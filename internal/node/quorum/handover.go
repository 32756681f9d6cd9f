package quorum

import (
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// handOverTime bounds how long a stop waits for another leader.
const handOverTime = 500 * time.Millisecond

// transfer begins to hand the leadership to the voter that is furthest, and tells whether there is one. Until it is done, or
// has failed within an election timeout, nothing can be proposed.
func (l *loop) transfer(now time.Time) bool {
	best, match := kafka.NoNode, uint64(0)
	for _, id := range l.others(l.cfg.NodeID) {
		if p, ok := l.progress(id); ok && l.answers(now, id) && slices.Contains(l.conf.GetVoters(), lookup(l.conf, id)) && p.Match > match {
			best, match = id, p.Match
		}
	}
	if best == kafka.NoNode {
		return false
	}
	l.node.TransferLeader(lookup(l.conf, best))
	return true
}

// handOver is what a leader does before it stops: so that there is another at once, and not when the others miss it.
func (l *loop) handOver(ticks <-chan time.Time) error {
	if !l.leading || !l.transfer(time.Now()) {
		return nil
	}
	enough := time.NewTimer(handOverTime)
	defer enough.Stop()
	for {
		if err := l.settle(); err != nil {
			return err
		}
		if !l.leading {
			return nil
		}
		select {
		case s := <-l.q.inbox:
			l.take(s)
		case m := <-l.q.messages:
			l.stepMessage(time.Now(), m)
		case <-ticks:
			l.node.Tick()
		case <-enough.C:
			return nil
		}
	}
}

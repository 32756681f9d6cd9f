package replica

import (
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// noBrokerEpoch stands for a registration that is not known.
const noBrokerEpoch int64 = -1

// follower is what the leader knows of another replica, from its fetches in this leadership.
type follower struct {
	id kafka.NodeID
	// safe is the offset of the last fetch: all below is safe there. NoOffset before the first.
	safe     kafka.Offset
	logStart kafka.Offset
	// brokerEpoch is the registration that the last fetch came from.
	brokerEpoch int64
	// fetchedAt and endThen are when the last fetch came, and the leader's log end then.
	fetchedAt time.Time
	endThen   kafka.Offset
	sent      bool // the last fetch was answered with records
	// caughtUp is the last time at which it had all that the leader had then.
	caughtUp time.Time
}

// Fetch is what a follower's fetch says of it.
type Fetch struct {
	Replica     kafka.NodeID
	BrokerEpoch int64        // of the registration of the node that fetches
	Offset      kafka.Offset // all below is safe on the follower
	LogStart    kafka.Offset
	Sent        bool // it is answered with records
}

// Fetched takes note of a fetch for which records were found, or the end: a caller that finds that the follower's log diverges from
// the leader's must not call it, since what the follower has is then not what the leader has. end is the leader's log end.
// moved tells that the high watermark did, ready that the follower may join the ISR: somebody should call Propose.
//
// What is safe may sink: a follower whose topic is not flushed comes back from a crash with less. The high watermark stays where
// it is, and does not rise before the follower is there again or out of the ISR.
func (l *Leader) Fetched(now time.Time, got Fetch, end kafka.Offset) (moved, ready bool, err error) {
	f := l.follower(got.Replica)
	if f == nil {
		return false, false, l.Unknown(got.Replica)
	}
	if known := max(f.brokerEpoch, l.brokerEpoch(f.id)); got.BrokerEpoch < known {
		return false, false, fmt.Errorf("fetch of node %d is of its registration %d, %d is current: %w",
			f.id, got.BrokerEpoch, known, kerr.NotLeaderForPartition)
	}
	if got.Offset > end {
		return false, false, fmt.Errorf("node %d has %d offsets, its leader %d: %w", f.id, got.Offset, end, kerr.OffsetOutOfRange)
	}
	// Who asks for what the leader had at the fetch before was caught up then, though the leader has more by now.
	switch {
	case got.Offset >= end:
		f.caughtUp = now
	case f.endThen != kafka.NoOffset && got.Offset >= f.endThen && f.fetchedAt.After(f.caughtUp):
		f.caughtUp = f.fetchedAt
	}
	f.safe, f.logStart, f.brokerEpoch = got.Offset, got.LogStart, got.BrokerEpoch
	f.fetchedAt, f.endThen, f.sent = now, end, got.Sent
	moved = l.advance(now)
	return moved, l.pending == nil && l.mayJoin(f), nil
}

// Unknown is the error for a fetch of a node that is not one of the replicas, as far as this node knows. Who fetches knows the
// leader epoch, so it may know of a newer assignment: it shall ask again.
func (l *Leader) Unknown(n kafka.NodeID) error {
	return fmt.Errorf("node %d is not a replica in leader epoch %d, partition epoch %d: %w",
		n, l.given.Epoch, l.given.PartitionEpoch, kerr.UnknownLeaderEpoch)
}

// Replica tells whether n is one of the other replicas.
func (l *Leader) Replica(n kafka.NodeID) bool { return l.follower(n) != nil }

// Repeats tells whether n was sent records from offset on already, and asks for them again: it may not have got them, or could not
// take them.
func (l *Leader) Repeats(n kafka.NodeID, offset kafka.Offset) bool {
	f := l.follower(n)
	return f != nil && f.sent && f.safe == offset
}

// LowWatermark is the least log start of the replicas whose nodes are active, the leader's own being start: all of them have deleted
// what lies below. It is NoOffset while one of them was not heard of in this leadership.
func (l *Leader) LowWatermark(start kafka.Offset) kafka.Offset {
	for i := range l.followers {
		f := &l.followers[i]
		if _, active := l.given.Active[f.id]; active {
			start = min(start, f.logStart)
		}
	}
	return start
}

func (l *Leader) follower(n kafka.NodeID) *follower {
	for i := range l.followers {
		if l.followers[i].id == n {
			return &l.followers[i]
		}
	}
	return nil
}

// brokerEpoch is the current registration of an active node.
func (l *Leader) brokerEpoch(n kafka.NodeID) int64 {
	if e, ok := l.given.Active[n]; ok {
		return e
	}
	return noBrokerEpoch
}

// eligible tells whether a follower may be in the ISR: its node is active, and what is known of it is of the node's present
// registration. One of an earlier registration may have been lost since in a crash.
func (l *Leader) eligible(f *follower) bool {
	e, active := l.given.Active[f.id]
	return active && e == f.brokerEpoch
}

// mayJoin tells whether a follower may be proposed for the ISR. It must have all that is committed, and all of the epochs before
// this one: below the epoch's start may lie records that an earlier leader had committed, above the high watermark as this
// node knew it when it took over.
func (l *Leader) mayJoin(f *follower) bool {
	return !slices.Contains(l.given.ISR, f.id) && l.eligible(f) && f.safe >= l.highWatermark && f.safe >= l.epochStart
}

// joining tells whether a follower outside of the ISR is waited for since it is about to join.
func (l *Leader) joining(f *follower, now time.Time) bool {
	return l.eligible(f) && now.Sub(f.caughtUp) <= l.given.MaxLag
}

// lags tells whether a follower has not had all of the leader's log for longer than maxLag. One that has all there is does not
// lag, however long nothing was heard of it: that its node is gone is the controller's to notice.
func (f *follower) lags(now time.Time, maxLag time.Duration, end kafka.Offset) bool {
	return f.safe < end && now.Sub(f.caughtUp) > maxLag
}

package replica

import (
	"errors"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Proposal is an ISR that a leader asks the controller for.
type Proposal struct {
	LeaderEpoch    kafka.LeaderEpoch
	PartitionEpoch int32 // of the partition that the leader knows: the controller refuses if there is a newer one
	ISR            []Member
}

// Member is one replica of a Proposal, with the registration by which the leader knows it: -1 where nothing was heard of it in
// this leadership, which claims nothing.
type Member struct {
	ID          kafka.NodeID
	BrokerEpoch int64
}

// pending is a proposal that the metadata has not decided.
type pending struct {
	proposal Proposal
	// again says that nobody knows whether the controller heard of it.
	again bool
}

// Propose gives the ISR as it should be, if it differs from what it is: without who lags behind end, the leader's log end, for
// longer than maxLag, and with who may join. There is one proposal at a time; until it is settled and the metadata shows what came
// of it, its members count for the high watermark as the ISR's do.
func (l *Leader) Propose(now time.Time, maxLag time.Duration, end kafka.Offset) (Proposal, bool) {
	if l.pending != nil {
		if !l.pending.again {
			return Proposal{}, false
		}
		l.pending.again = false
		return l.pending.proposal, true
	}
	p := Proposal{LeaderEpoch: l.given.Epoch, PartitionEpoch: l.given.PartitionEpoch}
	changed := false
	for _, n := range l.given.ISR {
		f := l.follower(n)
		switch {
		case n == l.self:
			p.ISR = append(p.ISR, Member{n, l.brokerEpoch(n)})
		case f == nil || f.lags(now, maxLag, end):
			changed = true
		default:
			p.ISR = append(p.ISR, Member{n, f.brokerEpoch})
		}
	}
	for i := range l.followers {
		if f := &l.followers[i]; l.mayJoin(f) {
			p.ISR, changed = append(p.ISR, Member{f.id, f.brokerEpoch}), true
		}
	}
	if !changed {
		return Proposal{}, false
	}
	l.pending = &pending{proposal: p}
	return p, true
}

// Settled takes the controller's answer to a proposal, and tells whether the high watermark moved.
//
// INELIGIBLE_REPLICA and OPERATION_NOT_ATTEMPTED say that the partition is as this node knows it and that the proposal was not
// taken: the ISR is what it was. The controller compares the partition's epoch first, so no earlier try of the same proposal was
// taken either. Accepted, or refused because the partition has changed, it stays pending until the metadata shows what is. Any
// other error leaves it open whether it was heard: it stays pending, and is proposed again as it was. A different one of the same
// partition epoch would not do: the controller may take the first yet, and its members were not counted any more.
func (l *Leader) Settled(now time.Time, p Proposal, err error) bool {
	if l.pending == nil || !l.pending.proposal.equal(p) {
		return false // the metadata was faster
	}
	switch {
	case err == nil:
	case errors.Is(err, kerr.IneligibleReplica), errors.Is(err, kerr.OperationNotAttempted):
		l.pending = nil
		return l.advance(now)
	case errors.Is(err, kerr.InvalidUpdateVersion), errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.InvalidRequest),
		errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.NewLeaderElected):
	default:
		l.pending.again = true
	}
	return false
}

func (p Proposal) equal(o Proposal) bool {
	return p.LeaderEpoch == o.LeaderEpoch && p.PartitionEpoch == o.PartitionEpoch && slices.Equal(p.ISR, o.ISR)
}

func (p Proposal) has(n kafka.NodeID) bool {
	return slices.ContainsFunc(p.ISR, func(m Member) bool { return m.ID == n })
}

// maximal tells whether n is in the ISR, or may be without this node knowing.
func (l *Leader) maximal(n kafka.NodeID) bool {
	return slices.Contains(l.given.ISR, n) || l.pending != nil && l.pending.proposal.has(n)
}

package partition

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// FollowerFetch is what a follower asks of its leader, and says of itself.
type FollowerFetch struct {
	Replica     kafka.NodeID
	BrokerEpoch int64
	Offset      kafka.Offset // all below is safe on the follower
	// Epoch is the leader epoch that it follows in, LastEpoch that of its last record, or -1.
	Epoch, LastEpoch kafka.LeaderEpoch
	LogStart         kafka.Offset
	MaxBytes         int
	MinOne           bool
}

// FetchAsReplica plans a read for a follower, up to the log's end, and takes note of how far it is. A follower whose log diverges is
// told where (Fetched.Diverging), and nothing of it counts. An error may come with Start and the other offsets set.
func (p *Partition) FetchAsReplica(now time.Time, f FollowerFetch) (got Fetched, err error) {
	ready := false
	err = p.led(f.Epoch, func(log *commitlog.Log, l *replica.Leader) error {
		if err := p.replicaOf(l, f); err != nil {
			return err
		}
		got, err = p.planForReplica(log, l, f)
		if err != nil || got.Diverging != nil {
			return err
		}
		if ready, err = p.note(now, log, l, f, got.Plan.Bytes > 0); err != nil {
			got.Plan.Release()
			got.Plan = commitlog.ReadPlan{}
		}
		got.HighWatermark = p.HighWatermark()
		return err
	})
	if changed := p.set.ISRChanged; ready && changed != nil {
		changed(p)
	}
	return got, err
}

// replicaOf refuses who is no replica. One that names no leader epoch cannot know of a newer assignment.
func (p *Partition) replicaOf(l *replica.Leader, f FollowerFetch) error {
	p.rules.Lock()
	defer p.rules.Unlock()
	switch {
	case l.Replica(f.Replica):
		return nil
	case f.Epoch == kafka.NoLeaderEpoch:
		return fmt.Errorf("node %d is not a replica of %v: %w", f.Replica, p.tp, kerr.NotLeaderForPartition)
	default:
		return l.Unknown(f.Replica)
	}
}

// planForReplica finds nothing in a log that failed: what it says of where epochs end may lack the one that was to begin, and a
// follower would cut off for that what it has. A follower that asks for the same a second time may have refused a batch whose
// checksum is wrong: that is looked at before it is sent again.
func (p *Partition) planForReplica(log *commitlog.Log, l *replica.Leader, f FollowerFetch) (got Fetched, err error) {
	if err := p.failed(log); err != nil {
		return got, err
	}
	got.Start, got.HighWatermark = log.Start(), p.HighWatermark()
	got.LSO = stable(log, got.HighWatermark)
	got.Diverging, err = diverging(log, Position{Offset: f.Offset, LastEpoch: f.LastEpoch})
	if err != nil || got.Diverging != nil {
		return got, err
	}
	p.rules.Lock()
	again := l.Repeats(f.Replica, f.Offset)
	p.rules.Unlock()
	got.Plan, err = p.read(log, f.Offset, log.End(), f.MaxBytes, f.MinOne, again)
	return got, err
}

// note counts what the follower has. It is called after the read, whose bounds it passed.
func (p *Partition) note(now time.Time, log *commitlog.Log, l *replica.Leader, f FollowerFetch, sent bool) (ready bool, err error) {
	p.rules.Lock()
	_, ready, err = l.Fetched(now, replica.Fetch{
		Replica: f.Replica, BrokerEpoch: f.BrokerEpoch, Offset: f.Offset, LogStart: f.LogStart, Sent: sent,
	}, log.End())
	hw := p.raise(l, log)
	p.followDeleted(l, log)
	p.rules.Unlock()
	p.replicated.Advance(hw)
	return ready, err
}

// ISRMember is one replica of a proposal.
type ISRMember = replica.Member

// ISRProposal is an ISR that this node, as the leader, asks the controller for.
type ISRProposal struct {
	Partition      kafka.TopicPartition
	TopicID        kafka.TopicID
	LeaderEpoch    kafka.LeaderEpoch
	PartitionEpoch int32
	ISR            []ISRMember
}

// ProposeISR gives the ISR that the controller shall be asked for, if it is not the one there is: without followers that lag for
// longer than maxLag, with those that caught up. Until it is settled there is no other. A damaged replica, leader or not, proposes the
// ISR without itself.
func (p *Partition) ProposeISR(now time.Time, maxLag time.Duration) (ISRProposal, bool) {
	p.role.RLock()
	defer p.role.RUnlock()
	if pr, ok := p.withdrawal(); ok {
		return pr, true
	}
	l, log := p.role.leader, p.role.log
	if l == nil || log == nil {
		return ISRProposal{}, false
	}
	p.rules.Lock()
	defer p.rules.Unlock()
	pr, ok := l.Propose(now, maxLag, log.End())
	return ISRProposal{
		Partition: p.tp, TopicID: p.id, LeaderEpoch: pr.LeaderEpoch, PartitionEpoch: pr.PartitionEpoch, ISR: pr.ISR,
	}, ok
}

// ISRSettled tells what the controller answered to a proposal; err is a Kafka error that it gave, or any other if no answer came:
// then ProposeISR gives the same again. What was accepted counts when the metadata shows it.
func (p *Partition) ISRSettled(pr ISRProposal, err error) {
	p.role.RLock()
	defer p.role.RUnlock()
	l, log := p.role.leader, p.role.log
	if l == nil || log == nil {
		return
	}
	p.rules.Lock()
	l.Settled(time.Now(), replica.Proposal{LeaderEpoch: pr.LeaderEpoch, PartitionEpoch: pr.PartitionEpoch, ISR: pr.ISR}, err)
	hw := p.raise(l, log)
	p.rules.Unlock()
	p.replicated.Advance(hw)
}

// PreferredReplica is the follower that a consumer in a rack shall read from instead of here, if there is one.
func (p *Partition) PreferredReplica(rack string, offset kafka.Offset, rackOf func(kafka.NodeID) string) (kafka.NodeID, bool) {
	p.role.RLock()
	defer p.role.RUnlock()
	l, log := p.role.leader, p.role.log
	if l == nil || log == nil {
		return kafka.NoNode, false
	}
	p.rules.Lock()
	defer p.rules.Unlock()
	return l.Preferred(rack, offset, log.Start(), rackOf)
}

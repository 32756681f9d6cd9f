package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// alterPartition takes the in-sync replicas that the leaders of partitions propose. Each partition is answered by itself.
func (s *step) alterPartition(req *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	if _, p := s.incarnation(req.BrokerID, req.BrokerEpoch); p != nil {
		return nil, p
	}
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	seen := map[placeOf]bool{}
	for i := range req.Topics {
		asked := &req.Topics[i]
		out := kmsg.NewAlterPartitionResponseTopic()
		out.Topic, out.TopidID = asked.Topic, asked.TopicID
		for j := range asked.Partitions {
			p := &proposal{from: kafka.NodeID(req.BrokerID), asked: &asked.Partitions[j]}
			p.isr = members(req.Version, p.asked)
			at := placeOf{asked.TopicID, asked.Topic, p.asked.Partition}
			p.again, seen[at] = seen[at], true
			out.Partitions = append(out.Partitions, s.alterISR(asked, p))
		}
		resp.Topics = append(resp.Topics, out)
	}
	s.implied = len(s.records) // a leader that had to split its proposals would only take longer
	return resp, nil
}

type placeOf struct {
	id        [16]byte
	name      string
	partition int32
}

// proposal is what one leader wants of one partition.
type proposal struct {
	from  kafka.NodeID
	asked *kmsg.AlterPartitionRequestTopicPartition
	isr   []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR
	again bool // the request named the partition before
	// withdraws says that the one who asks wants to be counted no longer, and nothing else: see withdraws.
	withdraws bool
}

// members are the proposed in-sync replicas, of versions below 3 without their epochs.
func members(version int16, p *kmsg.AlterPartitionRequestTopicPartition) []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR {
	if version >= 3 {
		return p.NewEpochISR
	}
	var isr []kmsg.AlterPartitionRequestTopicPartitionNewEpochISR
	for _, id := range p.NewISR {
		m := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		m.BrokerID = id
		isr = append(isr, m)
	}
	return isr
}

func (s *step) alterISR(in *kmsg.AlterPartitionRequestTopic, p *proposal) kmsg.AlterPartitionResponseTopicPartition {
	out := kmsg.NewAlterPartitionResponseTopicPartition()
	out.Partition = p.asked.Partition
	t, code := s.alteredTopic(in, p.asked.Partition)
	if code == nil {
		code = s.checkProposal(&t.Partitions[p.asked.Partition], p)
	}
	if code != nil {
		out.ErrorCode = code.Code
		return out
	}
	c := s.newChange(t, p.asked.Partition)
	if p.withdraws {
		c.doubted, c.newEpoch = []kafka.NodeID{p.from}, true
	} else {
		c.recovery = p.asked.LeaderRecoveryState
	}
	c.isr = make([]kafka.NodeID, len(p.isr))
	for i, m := range p.isr {
		c.isr[i] = kafka.NodeID(m.BrokerID)
	}
	epoch := c.was.PartitionEpoch
	if r := s.commit(c); r != nil {
		epoch++
		// Only a reassignment that this ISR completes takes the leadership away from who asks.
		if c.leader != p.from && !p.withdraws {
			out.ErrorCode = kerr.NewLeaderElected.Code
			return out
		}
		if r.Leader != metadata.LeaderUnchanged {
			out.LeaderEpoch++
		}
	}
	out.LeaderID, out.LeaderEpoch, out.PartitionEpoch = int32(c.leader), out.LeaderEpoch+int32(c.was.LeaderEpoch), epoch
	out.LeaderRecoveryState = c.recovery
	for _, id := range c.isr {
		out.ISR = append(out.ISR, int32(id))
	}
	return out
}

// alteredTopic finds the topic by its id, or by its name where versions below 2 give one.
func (s *step) alteredTopic(in *kmsg.AlterPartitionRequestTopic, partition int32) (*metadata.Topic, *kerr.Error) {
	t, ok := s.img.TopicByID(in.TopicID)
	switch {
	case !ok && in.Topic != "":
		if t, ok = s.img.Topic(in.Topic); !ok {
			return nil, kerr.UnknownTopicOrPartition
		}
	case !ok:
		return nil, kerr.UnknownTopicID
	}
	if partition < 0 || int(partition) >= len(t.Partitions) {
		return nil, kerr.UnknownTopicOrPartition
	}
	return t, nil
}

// checkProposal has Kafka's order: what a leader is told depends on which of several reasons comes first. A leader that knows
// more than this controller has heard of a newer one.
func (s *step) checkProposal(now *metadata.Partition, p *proposal) *kerr.Error {
	epoch := kafka.LeaderEpoch(p.asked.LeaderEpoch)
	switch {
	case p.again:
		return kerr.InvalidRequest
	case epoch > now.LeaderEpoch || p.asked.PartitionEpoch > now.PartitionEpoch:
		return kerr.NotController
	case epoch < now.LeaderEpoch:
		return kerr.FencedLeaderEpoch
	case withdraws(now, p):
		if len(p.isr) == 0 && len(without(now.ELR, []kafka.NodeID{p.from})) == 0 {
			return kerr.IneligibleReplica
		}
		p.withdraws = true
		return nil
	case p.from != now.Leader:
		return kerr.InvalidRequest
	case p.asked.PartitionEpoch < now.PartitionEpoch:
		return kerr.InvalidUpdateVersion
	case !validISR(now, p):
		return kerr.InvalidRequest
	case p.asked.LeaderRecoveryState == recovering && (len(p.isr) > 1 || now.LeaderRecoveryState != recovering):
		return kerr.InvalidRequest
	}
	for _, m := range p.isr {
		n, ok := s.img.Node(kafka.NodeID(m.BrokerID))
		// Without the epoch, a node that was restarted could join by what the process before had fetched (KIP-903).
		if !ok || !n.Active() || !n.HasDir(now.Directory(n.ID)) || m.BrokerEpoch != -1 && m.BrokerEpoch != n.Epoch {
			return kerr.IneligibleReplica
		}
	}
	return nil
}

// withdraws tells whether a replica, leader or not, proposes the in-sync replicas as they are without itself. Apache Kafka has no
// such thing. It says so when it has found its log damaged: what it had is not all there, and must not be what a leader is
// elected for, while another replica has it. It begins a leader epoch, since the leader may go by what it was told before of how far
// this replica is, and would propose it again.
func withdraws(now *metadata.Partition, p *proposal) bool {
	if !slices.Contains(now.Replicas, p.from) || len(p.isr) != len(without(now.ISR, []kafka.NodeID{p.from})) {
		return false
	}
	for i, m := range p.isr {
		id := kafka.NodeID(m.BrokerID)
		again := slices.ContainsFunc(p.isr[:i], func(o kmsg.AlterPartitionRequestTopicPartitionNewEpochISR) bool { return o.BrokerID == m.BrokerID })
		if id == p.from || again || !slices.Contains(now.ISR, id) {
			return false
		}
	}
	return true
}

// validISR tells whether the proposal names replicas, each once, and the leader among them.
func validISR(now *metadata.Partition, p *proposal) bool {
	leads := false
	for i, m := range p.isr {
		id := kafka.NodeID(m.BrokerID)
		if !slices.Contains(now.Replicas, id) {
			return false
		}
		for _, other := range p.isr[:i] {
			if other.BrokerID == m.BrokerID {
				return false
			}
		}
		leads = leads || id == now.Leader
	}
	return leads && p.asked.LeaderRecoveryState >= 0 && p.asked.LeaderRecoveryState <= recovering
}

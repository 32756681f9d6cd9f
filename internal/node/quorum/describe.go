package quorum

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// describe answers DescribeQuorum. Raft's learners are what Kafka calls observers, and the last message of a member is what
// Kafka calls its last fetch.
func (l *loop) describe(now time.Time, req *kmsg.DescribeQuorumRequest) *kmsg.DescribeQuorumResponse {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	l.watchMembers(now)
	for _, t := range req.Topics {
		topic := kmsg.NewDescribeQuorumResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			one := kmsg.NewDescribeQuorumResponseTopicPartition()
			one.Partition = p.Partition
			if t.Topic == kafka.MetadataTopic && p.Partition == 0 {
				l.describePartition(now, &one)
			} else {
				one.ErrorCode = kerr.UnknownTopicOrPartition.Code
			}
			topic.Partitions = append(topic.Partitions, one)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	for _, id := range l.voters {
		n, ok := l.image.Node(id)
		if !ok {
			continue
		}
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = int32(id)
		for _, at := range n.Listeners {
			where := kmsg.NewDescribeQuorumResponseNodeListener()
			where.Name, where.Host, where.Port = at.Name, at.Host, at.Port
			node.Listeners = append(node.Listeners, where)
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp
}

func (l *loop) describePartition(now time.Time, p *kmsg.DescribeQuorumResponseTopicPartition) {
	p.LeaderID, p.LeaderEpoch = int32(l.cfg.NodeID), int32(l.term)
	p.HighWatermark = int64(l.store.endAt(l.node.BasicStatus().HardState.GetCommit()))
	for _, id := range l.voters {
		p.CurrentVoters = append(p.CurrentVoters, l.replicaState(now, id))
	}
	for _, id := range l.learners {
		if !slices.Contains(l.voters, id) {
			p.Observers = append(p.Observers, l.replicaState(now, id))
		}
	}
}

func (l *loop) replicaState(now time.Time, id kafka.NodeID) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	m := l.member(id)
	if id == l.cfg.NodeID {
		m = MemberStatus{End: l.store.log.End(), Heard: now, CaughtUp: now}
	}
	r := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	r.ReplicaID, r.ReplicaDirectoryID, r.LogEndOffset = int32(id), l.directory(id), int64(m.End)
	r.LastFetchTimestamp, r.LastCaughtUpTimestamp = milliseconds(m.Heard), milliseconds(m.CaughtUp)
	return r
}

// milliseconds is -1 for never.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

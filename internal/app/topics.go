package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// EnsureTopics makes the topics that are missing: name to number of partitions.
func (n *Node) EnsureTopics(ctx context.Context, partitions map[string]int32) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	for name, count := range partitions {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, count, -1
		req.Topics = append(req.Topics, t)
	}
	failed := map[string]error{}
	n.create(ctx, req, failed)
	var all error
	for _, t := range req.Topics {
		all = errors.Join(all, failed[t.Topic])
	}
	return all
}

// autoCreate makes the topics that a client named in a metadata request, with the node's defaults.
func (n *Node) autoCreate(ctx context.Context, names []string) map[string]error {
	failed := map[string]error{}
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range names {
		switch {
		case name == kafka.OffsetsTopic || name == kafka.ShareTopic || name == kafka.TxnTopic && n.txns != nil:
			if err := n.createInternalTopic(ctx, name); err != nil {
				failed[name] = err
			}
		case kafka.IsInternalTopic(name):
			failed[name] = fmt.Errorf("%s is not there: %w", name, kerr.UnknownTopicOrPartition)
		default:
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
			req.Topics = append(req.Topics, t)
		}
	}
	n.create(ctx, req, failed)
	return failed
}

// createInternalTopic makes __consumer_offsets, compacted and in small segments as Kafka does, or __share_group_state, whose records
// are removed by its coordinators alone; with as many replicas as there are nodes for.
func (n *Node) createInternalTopic(ctx context.Context, name string) error {
	c, most := n.Config, int16(max(1, len(n.image.Load().Brokers())))
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = name
	var configs [][2]string
	switch name {
	case kafka.OffsetsTopic:
		t.NumPartitions, t.ReplicationFactor = c.Groups.OffsetsPartitions, min(c.Groups.OffsetsReplication, most)
		configs = [][2]string{{"cleanup.policy", "compact"}, {"segment.bytes", strconv.Itoa(c.Groups.OffsetsSegmentBytes)}}
	case kafka.TxnTopic:
		t.NumPartitions, t.ReplicationFactor = txnLogPartitions, min(txnLogReplication, most)
		configs = [][2]string{{"cleanup.policy", "compact"}, {"segment.bytes", strconv.Itoa(txnLogSegmentBytes)},
			{"min.insync.replicas", strconv.Itoa(int(min(txnLogMinISR, t.ReplicationFactor)))}, {"unclean.leader.election.enable", "false"}}
	case kafka.ShareTopic:
		t.NumPartitions, t.ReplicationFactor = c.ShareCoordinator.Partitions, min(c.ShareCoordinator.Replication, most)
		configs = [][2]string{{"cleanup.policy", "delete"}, {"retention.ms", "-1"}, {"segment.bytes", strconv.Itoa(c.ShareCoordinator.SegmentBytes)},
			{"min.insync.replicas", strconv.Itoa(int(min(c.ShareCoordinator.MinISR, t.ReplicationFactor)))}}
	}
	for _, kv := range append(configs, [2]string{"compression.type", "producer"}) {
		tc := kmsg.NewCreateTopicsRequestTopicConfig()
		tc.Name, tc.Value = kv[0], &kv[1]
		t.Configs = append(t.Configs, tc)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, t)
	failed := map[string]error{}
	n.create(ctx, req, failed)
	return failed[name]
}

// createTopics makes the topics of a request, which the group coordinator asks for.
func (n *Node) createTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) map[string]error {
	failed := map[string]error{}
	n.create(ctx, req, failed)
	return failed
}

// create has the controller make topics; what could not be made is noted in failed. A topic that is there already is no
// failure.
func (n *Node) create(ctx context.Context, req *kmsg.CreateTopicsRequest, failed map[string]error) {
	if len(req.Topics) == 0 {
		return
	}
	req.Version = req.MaxVersion()
	reply, err := n.quorum.Submit(ctx, req)
	if err != nil {
		for _, t := range req.Topics {
			failed[t.Topic] = err
		}
		return
	}
	for _, t := range reply.(*kmsg.CreateTopicsResponse).Topics {
		if t.ErrorCode != 0 && t.ErrorCode != kerr.TopicAlreadyExists.Code {
			failed[t.Topic] = fmt.Errorf("create %s: %w", t.Topic, kerr.ErrorForCode(t.ErrorCode))
		}
	}
}

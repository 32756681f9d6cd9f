package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/coord"
)

// publish hands a change of the metadata to the parts of this node. The quorum calls it, in order; a request that made the
// change is answered when it has returned.
func (n *Node) publish(delta *metadata.Delta, img *metadata.Image) {
	n.image.Store(img)
	n.reconfigure(delta, img)
	n.set.Apply(delta, img)
	if n.groups == nil {
		n.groups = n.newGroups(img)
	}
	n.coordinate(delta, img)
}

// reconfigure takes what was set for this node, or for all, while they run.
func (n *Node) reconfigure(delta *metadata.Delta, img *metadata.Image) {
	for _, r := range delta.ConfigsChanged {
		if r.Type != metadata.BrokerConfig {
			continue
		}
		c, err := conf.NewNode(n.layers(img))
		if err != nil {
			n.Log.Error("a configuration set while running does not fit the file's and is left out", "err", err)
			return
		}
		n.current.Store(&c)
		if server := n.server.Load(); server != nil {
			n.limit(server, c.Network)
		}
		return
	}
}

// newGroups makes the group coordinator. The topic that exists decides how groups are spread, not the configuration of
// today.
func (n *Node) newGroups(img *metadata.Image) *coord.Runtime {
	c := n.Config.Groups
	partitions := c.OffsetsPartitions
	if t, ok := img.Topic(kafka.OffsetsTopic); ok {
		partitions = int32(len(t.Partitions))
	}
	return coord.New(coord.Config{
		Partitions: partitions,
		Group: group.Config{
			MinSessionTimeout: c.MinSession, MaxSessionTimeout: c.MaxSession,
			InitialRebalanceDelay: c.InitialRebalanceWait, MaxSize: c.MaxSize, OffsetMetadataMax: c.OffsetMetadataMax,
			OffsetRetention: c.OffsetsRetention, RetentionCheckInterval: c.RetentionCheck,
		},
		Rand: n.rand(),
		Log:  n.Log.With("component", "group"),
	})
}

// coordinate takes up and gives up shards of the group coordinator, and tells it of deleted topics.
func (n *Node) coordinate(delta *metadata.Delta, img *metadata.Image) {
	var gone []group.DeletedTopic
	for _, t := range delta.TopicsDeleted {
		gone = append(gone, group.DeletedTopic{Name: t.Name, ID: t.ID})
		if t.Name == kafka.OffsetsTopic {
			for i := range t.Partitions {
				n.groups.Resign(int32(i))
			}
		}
	}
	for _, t := range delta.TopicsCreated {
		if t.Name == kafka.OffsetsTopic {
			n.groups.SetPartitions(int32(len(t.Partitions)))
		}
	}
	n.groups.TopicsGone(gone)
	for _, tp := range delta.PartitionsChanged {
		if tp.Topic != kafka.OffsetsTopic {
			continue
		}
		given, ok := img.Partition(tp)
		p, err := n.set.Get(tp)
		if !ok || err != nil || given.Leader != n.Config.ID {
			n.groups.Resign(tp.Partition)
			continue
		}
		n.groups.Lead(tp.Partition, p.CoordinatorLog(), given.LeaderEpoch)
	}
}

// autoCreate makes the topics that a client named in a metadata request, with the node's defaults.
func (n *Node) autoCreate(ctx context.Context, names []string) map[string]error {
	failed := map[string]error{}
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range names {
		switch {
		case name == kafka.OffsetsTopic:
			if err := n.createOffsetsTopic(ctx, name); err != nil {
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

// createOffsetsTopic makes __consumer_offsets, compacted and in small segments as Kafka does, with as many replicas as there
// are nodes for.
func (n *Node) createOffsetsTopic(ctx context.Context, name string) error {
	c := n.Config.Groups
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = name
	t.NumPartitions = c.OffsetsPartitions
	t.ReplicationFactor = min(c.OffsetsReplication, int16(max(1, len(n.image.Load().Nodes()))))
	for _, kv := range [][2]string{
		{"cleanup.policy", "compact"}, {"compression.type", "producer"}, {"segment.bytes", strconv.Itoa(c.OffsetsSegmentBytes)},
	} {
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

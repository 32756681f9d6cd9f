package app

import (
	"slices"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/coord"
	"github.com/headrace/headrace/internal/node/groups"
)

// publish hands a change of the metadata to the parts of this node. The quorum calls it, in order; a request that made the
// change is answered when it has returned.
func (n *Node) publish(delta *metadata.Delta, img *metadata.Image) {
	n.publishing.Lock()
	defer n.publishing.Unlock()
	n.image.Store(img)
	if slices.ContainsFunc(delta.ConfigsChanged, func(r metadata.ConfigResource) bool { return r.Type == metadata.BrokerConfig }) {
		n.reconfigure(img)
	}
	n.checkOwner(img)
	n.set.Apply(delta, img)
	n.replicas.Apply(delta, img)
	if n.shareState == nil {
		n.shareState = n.newShareState(img)
		n.shares = n.newShares()
	}
	if n.groups == nil {
		n.groups = n.newGroups(img)
	}
	if n.txns == nil && n.Config.UnstableAPIs {
		n.newTxns(img)
	}
	n.groups.Publish(delta, img)
	n.coordinate(delta, img)
	n.shares.Publish(delta, img)
	if len(delta.NodesChanged) > 0 || delta.ControllerChanged {
		n.peers.settle(img, delta.NodesChanged)
		n.guard.changed(img)
	}
}

// reconfigure takes what was set for this node, or for all, while they run; n.publishing is held.
func (n *Node) reconfigure(img *metadata.Image) {
	c, err := conf.NewNode(n.layers(img))
	if err != nil {
		n.Log.Error("a configuration set while running does not fit the file's and is left out", "err", err)
		return
	}
	n.current.Store(&c)
	if server := n.server.Load(); server != nil {
		n.limit(server, c.Network)
	}
}

// newGroups makes the group coordinator. The topic that exists decides how groups are spread, not the configuration of
// today.
func (n *Node) newGroups(img *metadata.Image) *groups.Groups {
	c := n.Config.Groups
	partitions := c.OffsetsPartitions
	if t, ok := img.Topic(kafka.OffsetsTopic); ok {
		partitions = int32(len(t.Partitions))
	}
	return groups.New(groups.Config{
		Partitions: partitions,
		Group: group.Config{
			MinSessionTimeout: c.MinSession, MaxSessionTimeout: c.MaxSession,
			InitialRebalanceDelay: c.InitialRebalanceWait, MaxSize: c.MaxSize, OffsetMetadataMax: c.OffsetMetadataMax,
			OffsetRetention: c.OffsetsRetention, RetentionCheckInterval: c.RetentionCheck,
			Consumer: n.consumerGroup,
			Share:    n.shareGroup,
			Streams:  n.streamsGroup,
		},
		Image:  img,
		Shares: n.shareState,
		Create: n.createTopics,
		Rand:   n.rand(),
		Log:    n.Log.With("component", "group"),
	})
}

// consumerGroup is what a group of the consumer protocol goes by now.
func (n *Node) consumerGroup(name string) consumer.Config {
	c := n.current.Load().Groups.Consumer.Of(n.image.Load().Config(metadata.ConfigResource{Type: metadata.GroupConfig, Name: name}))
	return consumer.Config{
		SessionTimeout: c.Session, HeartbeatInterval: c.Heartbeat, AssignmentInterval: c.Assignment,
		RegexRefresh: c.RegexRefresh, MaxSize: c.MaxSize, Assignors: c.Assignors,
		Upgrade: c.MayUpgrade, Downgrade: c.MayDowngrade, ClassicMaxSize: n.Config.Groups.MaxSize,
	}
}

// streamsGroup is what a group of Kafka Streams goes by now.
func (n *Node) streamsGroup(name string) streams.Config {
	c := n.current.Load().Groups.Streams.Of(n.image.Load().Config(metadata.ConfigResource{Type: metadata.GroupConfig, Name: name}))
	return streams.Config{
		SessionTimeout: c.Session, HeartbeatInterval: c.Heartbeat, AssignmentInterval: c.Assignment,
		InitialRebalanceDelay: c.InitialDelay, StandbyReplicas: c.Standbys, MaxSize: c.MaxSize,
	}
}

// shareGroup is what a share group's coordinator goes by now.
func (n *Node) shareGroup(name string) share.Config {
	c := n.shareConfig(name)
	return share.Config{
		SessionTimeout: c.Session(), HeartbeatInterval: c.Heartbeat(), AssignmentInterval: c.Assignment(),
		InitializeRetry: c.InitializeRetry, MaxSize: c.MaxSize,
	}
}

// coordinate takes up and gives up shards of the coordinators, and tells them of deleted topics.
func (n *Node) coordinate(delta *metadata.Delta, img *metadata.Image) {
	var gone []group.DeletedTopic
	var ids []kafka.TopicID
	for _, t := range delta.TopicsDeleted {
		gone, ids = append(gone, group.DeletedTopic{Name: t.Name, ID: t.ID}), append(ids, t.ID)
	}
	n.lead(n.groups.Runtime, kafka.OffsetsTopic, delta, img)
	n.lead(n.shareState.Runtime, kafka.ShareTopic, delta, img)
	if n.txns != nil {
		n.lead(n.txns, kafka.TxnTopic, delta, img)
	}
	n.groups.TopicsGone(gone)
	n.shareState.TopicsGone(ids)
}

// coordinator is what leads the shards of an internal topic: a coord.Runtime.
type coordinator interface {
	SetPartitions(n int32)
	Lead(p int32, log coord.PartitionLog, epoch kafka.LeaderEpoch)
	Resign(p int32)
}

// lead takes up and gives up shards of the coordinator that keeps its state in a topic.
func (n *Node) lead(r coordinator, topic string, delta *metadata.Delta, img *metadata.Image) {
	for _, t := range delta.TopicsDeleted {
		if t.Name == topic {
			for i := range t.Partitions {
				r.Resign(int32(i))
			}
		}
	}
	for _, t := range delta.TopicsCreated {
		if t.Name == topic {
			r.SetPartitions(int32(len(t.Partitions)))
		}
	}
	for _, tp := range delta.PartitionsChanged {
		if tp.Topic != topic {
			continue
		}
		given, ok := img.Partition(tp)
		p, err := n.set.Get(tp)
		if !ok || err != nil || given.Leader != n.Config.ID {
			r.Resign(tp.Partition)
			continue
		}
		r.Lead(tp.Partition, p.CoordinatorLog(), given.LeaderEpoch)
	}
}

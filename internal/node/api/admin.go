package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/coord"
)

// Groups is this node's group coordinator: groups.Groups is the one implementation.
type Groups interface {
	// Submit answers one request about one group. What it keeps of the request must not alias a frame.
	Submit(ctx context.Context, group string, client coord.ClientInfo, req kmsg.Request) (kmsg.Response, error)
	ListGroups(ctx context.Context, req *kmsg.ListGroupsRequest) (*kmsg.ListGroupsResponse, error)
	// MarkTransaction begins to end a transaction in a partition of __consumer_offsets.
	MarkTransaction(partition int32, m coord.Marker) coord.Marked
}

// ShareState is this node's share coordinator: sharestate.Coordinator is the one implementation.
type ShareState interface {
	// Answer answers one request as the coordinator of all partitions that it names.
	Answer(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
}

// Admin is what the administrative and group APIs need besides. Every field is required.
type Admin struct {
	Groups     Groups
	ShareState ShareState
	Shares     Shares
	// Layers are the node's configuration as it stands in an Image.
	Layers func(img *metadata.Image) conf.Layers
	// LogDirs describes the log directories of this node, with the partitions that are wanted.
	LogDirs func(wanted func(kafka.TopicPartition) bool) []LogDir
	// MoveReplica has a partition of this node move to the log directory with a path that LogDirs gives.
	MoveReplica func(tp kafka.TopicPartition, path string) error
	// CreateInternalTopic makes __consumer_offsets or __share_group_state with its own partition count and configs, and returns when it is there.
	CreateInternalTopic func(ctx context.Context, name string) error
	// MaxDescribePartitions bounds a page of DescribeTopicPartitions (max.request.partition.size.limit).
	MaxDescribePartitions int32
	// DeleteTopics tells whether topics may be deleted (delete.topic.enable).
	DeleteTopics bool
	// ConsumerGroups tells whether members may use the consumer protocol (group.coordinator.rebalance.protocols).
	ConsumerGroups bool
	// StreamsGroups tells the same of the protocol of Kafka Streams.
	StreamsGroups bool
	// Loggers are the levels of the node's log; nil means that there are none to show.
	Loggers Loggers
}

// adminTable lists the administrative APIs.
func (s *Server) adminTable() []Entry {
	return []Entry{
		{Key: kmsg.CreateTopics, Min: 2, Max: 7, Handle: on(s.createTopics)},
		{Key: kmsg.DeleteTopics, Min: 1, Max: 6, Handle: on(s.deleteTopics)},
		{Key: kmsg.CreatePartitions, Min: 0, Max: 3, Handle: on(s.createPartitions)},
		{Key: kmsg.DescribeConfigs, Min: 1, Max: 4, Handle: on(s.describeConfigs), Note: "topics, brokers, their loggers and groups"},
		{Key: kmsg.AlterConfigs, Min: 0, Max: 2, Handle: on(s.alterConfigs), Note: "topics, brokers and groups"},
		{Key: kmsg.IncrementalAlterConfigs, Min: 0, Max: 1, Handle: on(s.incrementalAlterConfigs), Note: "topics, brokers, their loggers and groups"},
		{Key: kmsg.ElectLeaders, Min: 0, Max: 2, Handle: on(s.electLeaders)},
		{Key: kmsg.AlterPartitionAssignments, Min: 0, Max: 1, Handle: on(s.alterPartitionReassignments)},
		{Key: kmsg.ListPartitionReassignments, Min: 0, Max: 0, Handle: on(s.listPartitionReassignments)},
		{Key: kmsg.ListConfigResources, Min: 0, Max: 1, Handle: on(s.listConfigResources), Note: "topics, brokers, their loggers and groups"},
		{Key: kmsg.UpdateFeatures, Min: 0, Max: 2, Handle: on(s.updateFeatures)},
		{Key: kmsg.UnregisterBroker, Min: 0, Max: 0, Handle: on(s.unregisterBroker)},
		{Key: kmsg.DescribeCluster, Min: 0, Max: 2, Handle: on(s.describeCluster)},
		{Key: kmsg.DescribeTopicPartitions, Min: 0, Max: 0, Handle: on(s.describeTopicPartitions)},
		{Key: kmsg.AlterReplicaLogDirs, Min: 1, Max: 2, Handle: on(s.alterReplicaLogDirs)},
		{Key: kmsg.DescribeLogDirs, Min: 1, Max: 5, Handle: on(s.describeLogDirs)},
	}
}

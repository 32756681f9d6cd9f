package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Types of coordinators (FindCoordinator v1+). Transactions and share groups are not built.
const coordinatorGroup = 0

// findCoordinator answers FindCoordinator (10): who leads the partition of __consumer_offsets that owns a group. The
// topic is made when it is first asked for.
func (s *Server) findCoordinator(ctx context.Context, c *Call, req *kmsg.FindCoordinatorRequest) Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	if c.Version < 4 {
		one := s.coordinatorOf(ctx, c, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = one.ErrorCode, one.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = one.NodeID, one.Host, one.Port
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		resp.Coordinators = append(resp.Coordinators, s.coordinatorOf(ctx, c, req.CoordinatorType, key))
	}
	return resp
}

func (s *Server) coordinatorOf(ctx context.Context, c *Call, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	if kind != coordinatorGroup {
		out.ErrorCode, out.ErrorMessage = failure(kerr.InvalidRequest, fmt.Sprintf("coordinator type %d is not there: only groups (0)", kind))
		return out
	}
	node, err := s.groupCoordinator(ctx, key)
	if err != nil {
		out.ErrorCode = s.codeOf(err, "find a group's coordinator")
		out.ErrorMessage = words(err)
		return out
	}
	n, ok := s.Metadata.Image().Node(node)
	if ok {
		_, ok = listenerOf(n, c.Client.Listener)
	}
	if !ok || n.Fenced {
		out.ErrorCode, out.ErrorMessage = failure(kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable.Description)
		return out
	}
	out.NodeID = int32(node)
	out.Host, out.Port = endpoint(n, c.Client.Listener)
	return out
}

// groupCoordinator is the leader of the group's partition of __consumer_offsets; a missing topic is created first.
func (s *Server) groupCoordinator(ctx context.Context, group string) (kafka.NodeID, error) {
	topic, ok := s.Metadata.Image().Topic(kafka.OffsetsTopic)
	if !ok {
		if err := s.CreateInternalTopic(ctx, kafka.OffsetsTopic); err != nil {
			return kafka.NoNode, fmt.Errorf("create %s: %w: %v", kafka.OffsetsTopic, kerr.CoordinatorNotAvailable, err)
		}
		topic, ok = s.Metadata.Image().Topic(kafka.OffsetsTopic)
	}
	if !ok {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	leader := topic.Partitions[kafka.CoordinatorPartition(group, int32(len(topic.Partitions)))].Leader
	if leader == kafka.NoNode {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	return leader, nil
}

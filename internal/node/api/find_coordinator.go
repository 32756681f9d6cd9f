package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share/state"
)

// Types of coordinators (FindCoordinator v1+).
const (
	coordinatorGroup = 0
	coordinatorTxn   = 1
	coordinatorShare = 2
)

// shareCoordinatorFrom is the first version that asks for share coordinators.
const shareCoordinatorFrom = 6

// findCoordinator answers FindCoordinator (10): who leads the partition of __consumer_offsets that owns a group, or the one of
// __share_group_state that owns the state of a share group's partition. The topic is made when it is first asked for.
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
	topic, err := s.coordinatorTopic(kind, key, c.Version)
	if err != nil {
		out.ErrorCode, out.ErrorMessage = failure(kerr.InvalidRequest, err.Error())
		return out
	}
	node, err := s.coordinator(ctx, topic, key)
	if err != nil {
		out.ErrorCode = s.codeOf(err, "find a coordinator")
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

// coordinatorTopic is where coordinators of a kind keep what they know.
func (s *Server) coordinatorTopic(kind int8, key string, version int16) (string, error) {
	switch {
	case kind == coordinatorGroup:
		return kafka.OffsetsTopic, nil
	case kind == coordinatorTxn && s.Txns != nil:
		return kafka.TxnTopic, nil
	case kind != coordinatorShare || version < shareCoordinatorFrom:
		return "", fmt.Errorf("coordinator type %d is not there in version %d: only groups (0), and share groups (2) from version %d on", kind, version, shareCoordinatorFrom)
	}
	_, err := state.ParseKey(key)
	return kafka.ShareTopic, err
}

// coordinator is the leader of the partition of a topic that the key belongs to; a missing topic is created first.
func (s *Server) coordinator(ctx context.Context, name, key string) (kafka.NodeID, error) {
	topic, ok := s.Metadata.Image().Topic(name)
	if !ok {
		if err := s.CreateInternalTopic(ctx, name); err != nil {
			return kafka.NoNode, fmt.Errorf("create %s: %w: %v", name, kerr.CoordinatorNotAvailable, err)
		}
		topic, ok = s.Metadata.Image().Topic(name)
	}
	if !ok {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	leader := topic.Partitions[kafka.CoordinatorPartition(key, int32(len(topic.Partitions)))].Leader
	if leader == kafka.NoNode {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	return leader, nil
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
)

// groupVersion is the feature whose level 1 brings the consumer protocol (KIP-848) to a cluster.
const groupVersion = "group.version"

// hasConsumerGroups tells whether the consumer protocol is served: by the cluster's level, and by this node's file.
func (s *Server) hasConsumerGroups() bool {
	return s.ConsumerGroups && s.Metadata.Image().Features()[groupVersion] > 0
}

// consumerGroupHeartbeat answers ConsumerGroupHeartbeat (68): members of the consumer protocol join, leave and hear of their
// partitions by it.
func (s *Server) consumerGroupHeartbeat(ctx context.Context, c *Call, req *kmsg.ConsumerGroupHeartbeatRequest) Response {
	if !s.hasConsumerGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	return s.askGroup(ctx, c, req.Group, req)
}

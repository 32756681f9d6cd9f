package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
)

// streamsVersion is the feature whose level 1 brings the protocol of Kafka Streams (KIP-1071) to a cluster.
const streamsVersion = "streams.version"

// hasStreamsGroups tells whether the streams protocol is served: by the cluster's level, and by this node's file.
func (s *Server) hasStreamsGroups() bool {
	return s.StreamsGroups && s.Metadata.Image().Features()[streamsVersion] > 0
}

// streamsGroupHeartbeat answers StreamsGroupHeartbeat (88): members of an application of Kafka Streams join, leave and hear of their
// tasks by it.
func (s *Server) streamsGroupHeartbeat(ctx context.Context, c *Call, req *kmsg.StreamsGroupHeartbeatRequest) Response {
	if !s.hasStreamsGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	return s.askGroup(ctx, c, req.Group, req)
}

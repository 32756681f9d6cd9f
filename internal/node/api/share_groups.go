package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
)

// shareVersion is the feature whose level 1 brings share groups (KIP-932) to a cluster.
const shareVersion = "share.version"

// hasShareGroups tells whether share groups are served: by the cluster's level.
func (s *Server) hasShareGroups() bool {
	return s.Metadata.Image().Features()[shareVersion] > 0
}

// shareGroupHeartbeat answers ShareGroupHeartbeat (76): members of share groups join, leave and hear of their partitions by it.
func (s *Server) shareGroupHeartbeat(ctx context.Context, c *Call, req *kmsg.ShareGroupHeartbeatRequest) Response {
	if !s.hasShareGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	return s.askGroup(ctx, c, req.GroupID, req)
}

// shareGroupDescribe answers ShareGroupDescribe (77): each group by the shard that owns it.
func (s *Server) shareGroupDescribe(ctx context.Context, c *Call, req *kmsg.ShareGroupDescribeRequest) Response {
	if !s.hasShareGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	resp := req.ResponseKind().(*kmsg.ShareGroupDescribeResponse)
	for _, id := range req.GroupIDs {
		one := *req
		one.GroupIDs = []string{id}
		for _, g := range s.askGroup(ctx, c, id, &one).(*kmsg.ShareGroupDescribeResponse).Groups {
			if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
				g.AuthorizedOperations = groupOperations
			}
			resp.Groups = append(resp.Groups, g)
		}
	}
	return resp
}

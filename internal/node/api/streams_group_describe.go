package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
)

// streamsGroupDescribe answers StreamsGroupDescribe (89): each group by the shard that owns it.
func (s *Server) streamsGroupDescribe(ctx context.Context, c *Call, req *kmsg.StreamsGroupDescribeRequest) Response {
	if !s.hasStreamsGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	resp := req.ResponseKind().(*kmsg.StreamsGroupDescribeResponse)
	for _, id := range req.Groups {
		one := *req
		one.Groups = []string{id}
		for _, g := range s.askGroup(ctx, c, id, &one).(*kmsg.StreamsGroupDescribeResponse).Groups {
			if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
				g.AuthorizedOperations = groupOperations
			}
			resp.Groups = append(resp.Groups, g)
		}
	}
	return resp
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
)

// consumerGroupDescribe answers ConsumerGroupDescribe (69): each group by the shard that owns it.
func (s *Server) consumerGroupDescribe(ctx context.Context, c *Call, req *kmsg.ConsumerGroupDescribeRequest) Response {
	if !s.hasConsumerGroups() {
		return group.ErrorResponse(req, c.Version, kerr.UnsupportedVersion)
	}
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	for _, id := range req.Groups {
		one := *req
		one.Groups = []string{id}
		for _, g := range s.askGroup(ctx, c, id, &one).(*kmsg.ConsumerGroupDescribeResponse).Groups {
			if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
				g.AuthorizedOperations = groupOperations
			}
			resp.Groups = append(resp.Groups, g)
		}
	}
	return resp
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeGroups answers DescribeGroups (15): each group by the shard that owns it.
func (s *Server) describeGroups(ctx context.Context, c *Call, req *kmsg.DescribeGroupsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		one := *req
		one.Groups = []string{id}
		for _, g := range s.askGroup(ctx, c, id, &one).(*kmsg.DescribeGroupsResponse).Groups {
			g.AuthorizedOperations = unknownOperations
			if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
				g.AuthorizedOperations = groupOperations
			}
			resp.Groups = append(resp.Groups, g)
		}
	}
	return resp
}

// listGroups answers ListGroups (16) over all shards of this node.
func (s *Server) listGroups(ctx context.Context, _ *Call, req *kmsg.ListGroupsRequest) Response {
	resp, err := s.Groups.ListGroups(ctx, req)
	if err != nil {
		failed := req.ResponseKind().(*kmsg.ListGroupsResponse)
		failed.ErrorCode = s.codeOf(err, "list groups")
		return failed
	}
	return resp
}

// deleteGroups answers DeleteGroups (42): each group by the shard that owns it.
func (s *Server) deleteGroups(ctx context.Context, c *Call, req *kmsg.DeleteGroupsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	asked := map[string]bool{}
	for _, id := range req.Groups {
		if asked[id] {
			continue // Kafka answers each once, too
		}
		asked[id] = true
		one := *req
		one.Groups = []string{id}
		resp.Groups = append(resp.Groups, s.askGroup(ctx, c, id, &one).(*kmsg.DeleteGroupsResponse).Groups...)
	}
	return resp
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterPartitionReassignments answers AlterPartitionReassignments (45): the partitions begin to move, or stop doing so, and
// ListPartitionReassignments tells how far they are.
func (s *Server) alterPartitionReassignments(ctx context.Context, c *Call, req *kmsg.AlterPartitionAssignmentsRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "alter partition reassignments"), words(err)
	return out
}

// listPartitionReassignments answers ListPartitionReassignments (46) by the controller: what a node has heard of yet may be a
// step behind, and would call a reassignment done that has only just begun.
func (s *Server) listPartitionReassignments(ctx context.Context, c *Call, req *kmsg.ListPartitionReassignmentsRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "list partition reassignments"), words(err)
	return out
}

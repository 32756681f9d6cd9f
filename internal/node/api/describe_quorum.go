package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// quorumTable lists the APIs about the metadata quorum. Its leader answers all of them, through whichever node was asked.
func (s *Server) quorumTable() []Entry {
	return []Entry{
		{Key: kmsg.DescribeQuorum, Min: 0, Max: 2, Handle: on(s.describeQuorum)},
		{Key: kmsg.AddRaftVoter, Min: 0, Max: 1, Handle: on(s.addRaftVoter), Note: "answers when the change is committed"},
		{Key: kmsg.RemoveRaftVoter, Min: 0, Max: 0, Handle: on(s.removeRaftVoter), Note: "the node stays as an observer"},
	}
}

// describeQuorum answers DescribeQuorum (55): who leads, who votes, who only learns, and how far each is.
func (s *Server) describeQuorum(ctx context.Context, c *Call, req *kmsg.DescribeQuorumRequest) Response {
	resp, err := s.submit(ctx, c, req, 0)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "describe the metadata quorum"), words(err)
	return out
}

// addRaftVoter answers AddRaftVoter (80): a node that learns becomes one that votes.
func (s *Server) addRaftVoter(ctx context.Context, c *Call, req *kmsg.AddRaftVoterRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "add a voter"), words(err)
	return out
}

// removeRaftVoter answers RemoveRaftVoter (81): a node that votes becomes one that learns.
func (s *Server) removeRaftVoter(ctx context.Context, c *Call, req *kmsg.RemoveRaftVoterRequest) Response {
	resp, err := s.submit(ctx, c, req, 0)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "remove a voter"), words(err)
	return out
}

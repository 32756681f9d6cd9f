package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/node/coord"
)

// joinGroup answers JoinGroup (11).
func (s *Server) joinGroup(ctx context.Context, c *Call, req *kmsg.JoinGroupRequest) Response {
	return s.askGroup(ctx, c, req.Group, req)
}

// syncGroup answers SyncGroup (14).
func (s *Server) syncGroup(ctx context.Context, c *Call, req *kmsg.SyncGroupRequest) Response {
	return s.askGroup(ctx, c, req.Group, req)
}

// heartbeat answers Heartbeat (12).
func (s *Server) heartbeat(ctx context.Context, c *Call, req *kmsg.HeartbeatRequest) Response {
	return s.askGroup(ctx, c, req.Group, req)
}

// leaveGroup answers LeaveGroup (13).
func (s *Server) leaveGroup(ctx context.Context, c *Call, req *kmsg.LeaveGroupRequest) Response {
	return s.askGroup(ctx, c, req.Group, req)
}

// askGroup has the group's coordinator answer. When the wait ends without an answer the connection is gone or the node
// drains: a client that still listens is told to look for the coordinator again.
func (s *Server) askGroup(ctx context.Context, c *Call, id string, req kmsg.Request) kmsg.Response {
	resp, err := s.Groups.Submit(ctx, id, coord.ClientInfo{ID: c.Client.ID, Host: "/" + c.Client.Host}, req)
	if err != nil {
		return group.ErrorResponse(req, req.GetVersion(), kerr.NotCoordinator)
	}
	return resp
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/share/state"
)

// shareTable lists the APIs of share groups.
func (s *Server) shareTable() []Entry {
	t := []Entry{
		{Key: kmsg.InitializeShareGroupState, Min: 0, Max: 0, Handle: s.shareState},
		{Key: kmsg.ReadShareGroupState, Min: 0, Max: 0, Handle: s.shareState},
		{Key: kmsg.WriteShareGroupState, Min: 0, Max: 1, Handle: s.shareState},
		{Key: kmsg.DeleteShareGroupState, Min: 0, Max: 0, Handle: s.shareState},
		{Key: kmsg.ReadShareGroupStateSummary, Min: 0, Max: 1, Handle: s.shareState},
	}
	if s.Unstable {
		t = append(t,
			Entry{Key: kmsg.ShareGroupHeartbeat, Min: 1, Max: 1, Handle: on(s.shareGroupHeartbeat)},
			Entry{Key: kmsg.ShareGroupDescribe, Min: 1, Max: 1, Handle: on(s.shareGroupDescribe)},
			Entry{Key: kmsg.ShareFetch, Min: 1, Max: 2, Handle: on(s.shareFetch)},
			Entry{Key: kmsg.ShareAcknowledge, Min: 1, Max: 2, Handle: on(s.shareAcknowledge)})
	}
	return t
}

// shareState answers InitializeShareGroupState (83), ReadShareGroupState (84), WriteShareGroupState (85), DeleteShareGroupState (86)
// and ReadShareGroupStateSummary (87), which other nodes ask the share coordinator.
func (s *Server) shareState(ctx context.Context, c *Call) Response {
	resp, err := s.ShareState.Answer(ctx, c.Request)
	if err != nil {
		return state.Refuse(c.Request, c.Version, kerr.NotCoordinator)
	}
	return resp
}

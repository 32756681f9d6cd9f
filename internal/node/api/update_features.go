package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// updateFeatures answers UpdateFeatures (57): the level of a feature is raised, or lowered, for the whole cluster.
func (s *Server) updateFeatures(ctx context.Context, c *Call, req *kmsg.UpdateFeaturesRequest) Response {
	timeout := req.TimeoutMillis
	if timeout <= 0 {
		timeout = clusterChangeTimeoutMs
	}
	resp, err := s.submit(ctx, c, req, timeout)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "update features"), words(err)
	return out
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Deadline of configuration changes, whose requests carry none, in milliseconds: Kafka's request.timeout.ms.
const alterConfigsTimeoutMs = 30_000

// incrementalAlterConfigs answers IncrementalAlterConfigs (44, KIP-339).
func (s *Server) incrementalAlterConfigs(ctx context.Context, c *Call, req *kmsg.IncrementalAlterConfigsRequest) Response {
	out := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	if out.Resources = s.takeLoggers(req); len(req.Resources) == 0 {
		return out
	}
	resp, err := s.submit(ctx, c, req, alterConfigsTimeoutMs)
	if err == nil && len(out.Resources) == 0 {
		return resp
	}
	if err == nil {
		out.Resources = append(out.Resources, resp.(*kmsg.IncrementalAlterConfigsResponse).Resources...)
		return out
	}
	code := s.codeOf(err, "alter configs")
	for _, r := range req.Resources {
		e := kmsg.NewIncrementalAlterConfigsResponseResource()
		e.ResourceType, e.ResourceName, e.ErrorCode, e.ErrorMessage = r.ResourceType, r.ResourceName, code, words(err)
		out.Resources = append(out.Resources, e)
	}
	return out
}

// alterConfigs answers the older AlterConfigs (33), which replaces all of a resource's overrides.
func (s *Server) alterConfigs(ctx context.Context, c *Call, req *kmsg.AlterConfigsRequest) Response {
	resp, err := s.submit(ctx, c, req, alterConfigsTimeoutMs)
	if err == nil {
		return resp
	}
	code := s.codeOf(err, "alter configs")
	out := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for _, r := range req.Resources {
		e := kmsg.NewAlterConfigsResponseResource()
		e.ResourceType, e.ResourceName, e.ErrorCode, e.ErrorMessage = r.ResourceType, r.ResourceName, code, words(err)
		out.Resources = append(out.Resources, e)
	}
	return out
}

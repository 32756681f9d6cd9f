package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Deadline of requests that carry none and change which nodes and features there are, in milliseconds: Kafka's
// request.timeout.ms.
const clusterChangeTimeoutMs = 30_000

// unregisterBroker answers UnregisterBroker (64): the cluster forgets a node that is gone.
func (s *Server) unregisterBroker(ctx context.Context, c *Call, req *kmsg.UnregisterBrokerRequest) Response {
	resp, err := s.submit(ctx, c, req, clusterChangeTimeoutMs)
	if err == nil {
		return resp
	}
	out := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	out.ErrorCode, out.ErrorMessage = s.codeOf(err, "unregister a node"), words(err)
	return out
}

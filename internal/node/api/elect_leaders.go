package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// electLeaders answers ElectLeaders (43): preferred leaders by command, or any active replica where none that lost nothing is
// there.
func (s *Server) electLeaders(ctx context.Context, c *Call, req *kmsg.ElectLeadersRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	code := s.codeOf(err, "elect leaders")
	out := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	out.ErrorCode = code
	if c.Version > 0 {
		return out
	}
	// Version 0 has no place for an error of the whole.
	for _, t := range req.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, n := range t.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = n, code, words(err)
			rt.Partitions = append(rt.Partitions, p)
		}
		out.Topics = append(out.Topics, rt)
	}
	return out
}

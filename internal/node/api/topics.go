package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopics answers CreateTopics (19). The controller decides; the answer comes when the partitions take records.
func (s *Server) createTopics(ctx context.Context, c *Call, req *kmsg.CreateTopicsRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	code := s.codeOf(err, "create topics")
	out := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range req.Topics {
		r := kmsg.NewCreateTopicsResponseTopic()
		r.Topic, r.ErrorCode, r.ErrorMessage = t.Topic, code, words(err)
		out.Topics = append(out.Topics, r)
	}
	return out
}

// deleteTopics answers DeleteTopics (20), by name and, from version 6, by topic id.
func (s *Server) deleteTopics(ctx context.Context, c *Call, req *kmsg.DeleteTopicsRequest) Response {
	resp, err := Response(nil), error(fmt.Errorf("delete.topic.enable is false: %w", kerr.TopicDeletionDisabled))
	if s.DeleteTopics {
		resp, err = s.submit(ctx, c, req, req.TimeoutMillis)
	}
	if err == nil {
		return resp
	}
	code := s.codeOf(err, "delete topics")
	out := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	failed := func(name *string, id [16]byte) {
		r := kmsg.NewDeleteTopicsResponseTopic()
		r.Topic, r.TopicID, r.ErrorCode, r.ErrorMessage = name, id, code, words(err)
		out.Topics = append(out.Topics, r)
	}
	for _, name := range req.TopicNames {
		failed(kmsg.StringPtr(name), [16]byte{})
	}
	for _, t := range req.Topics {
		failed(t.Topic, t.TopicID)
	}
	return out
}

// createPartitions answers CreatePartitions (37): more partitions for topics that are there.
func (s *Server) createPartitions(ctx context.Context, c *Call, req *kmsg.CreatePartitionsRequest) Response {
	resp, err := s.submit(ctx, c, req, req.TimeoutMillis)
	if err == nil {
		return resp
	}
	code := s.codeOf(err, "create partitions")
	out := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for _, t := range req.Topics {
		r := kmsg.NewCreatePartitionsResponseTopic()
		r.Topic, r.ErrorCode, r.ErrorMessage = t.Topic, code, words(err)
		out.Topics = append(out.Topics, r)
	}
	return out
}

// submit hands an administrative request to the controller and waits, at most for the request's own timeout. What the
// controller keeps of the request outlives the frame: it gets no byte slice of it, only strings, which are copies.
func (s *Server) submit(ctx context.Context, c *Call, req kmsg.Request, timeoutMs int32) (Response, error) {
	if timeoutMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.Received.Add(time.Duration(timeoutMs)*time.Millisecond))
		defer cancel()
	}
	reply, err := s.Controller.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	return reply.(kmsg.Response), nil
}

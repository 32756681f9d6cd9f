package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// deleteRecords moves the starts of logs forward. It is done when the leader has; there are no followers to wait for yet.
func (s *Server) deleteRecords(_ context.Context, _ *Call, req *kmsg.DeleteRecordsRequest) Response {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	for _, t := range req.Topics {
		at := kmsg.NewDeleteRecordsResponseTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			a := kmsg.NewDeleteRecordsResponseTopicPartition()
			start, err := s.deleteBefore(tp, kafka.Offset(p.Offset))
			a.Partition, a.LowWatermark, a.ErrorCode = p.Partition, int64(start), s.codeOf(err, "delete records of "+tp.String())
			at.Partitions = append(at.Partitions, a)
		}
		resp.Topics = append(resp.Topics, at)
	}
	return resp
}

func (s *Server) deleteBefore(tp kafka.TopicPartition, off kafka.Offset) (kafka.Offset, error) {
	if kafka.IsInternalTopic(tp.Topic) {
		return kafka.NoOffset, fmt.Errorf("records of %s are not deleted: %w", tp.Topic, kerr.InvalidTopicException)
	}
	part, err := s.hosted(tp)
	if err != nil {
		return kafka.NoOffset, err
	}
	return part.DeleteBefore(off)
}

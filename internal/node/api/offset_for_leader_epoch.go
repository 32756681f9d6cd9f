package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// offsetForLeaderEpoch answers where leader epochs end, by which a consumer finds out that a log was truncated.
func (s *Server) offsetForLeaderEpoch(ctx context.Context, c *Call, req *kmsg.OffsetForLeaderEpochRequest) Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, t := range req.Topics {
		at := kmsg.NewOffsetForLeaderEpochResponseTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			a := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			a.Partition, a.LeaderEpoch, a.EndOffset = p.Partition, -1, -1
			part, err := s.hosted(tp)
			if err == nil {
				err = s.patiently(ctx, c.Received, part, func() error {
					end, err := part.EndOfEpoch(kafka.LeaderEpoch(p.CurrentLeaderEpoch), kafka.LeaderEpoch(p.LeaderEpoch))
					if err == nil {
						a.LeaderEpoch, a.EndOffset = int32(end.Epoch), int64(end.End)
					}
					return err
				})
			}
			a.ErrorCode = s.codeOf(err, "end of epoch in "+tp.String())
			at.Partitions = append(at.Partitions, a)
		}
		resp.Topics = append(resp.Topics, at)
	}
	return resp
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

// listOffsets answers where in partitions a time, an end or the largest timestamp is.
func (s *Server) listOffsets(ctx context.Context, c *Call, req *kmsg.ListOffsetsRequest) Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	asked := map[kafka.TopicPartition]int{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			asked[kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}]++
		}
	}
	committed := req.IsolationLevel == readCommitted && req.ReplicaID < 0
	follower := req.ReplicaID >= 0
	for _, t := range req.Topics {
		at := kmsg.NewListOffsetsResponseTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			a := kmsg.NewListOffsetsResponseTopicPartition()
			a.Partition = p.Partition
			var err error
			switch {
			case asked[tp] > 1:
				err = kerr.InvalidRequest
			case c.Version < offsetNameFrom(p.Timestamp):
				err = kerr.UnsupportedVersion
			case follower && p.Timestamp == partition.LatestOffset:
				err = s.listEnd(tp, p, &a)
			default:
				err = s.listOffset(ctx, c, tp, p, committed, &a)
			}
			a.ErrorCode = s.codeOf(err, "list offset of "+tp.String())
			at.Partitions = append(at.Partitions, a)
		}
		resp.Topics = append(resp.Topics, at)
	}
	return resp
}

// offsetNameFrom is the first version of ListOffsets that knows a negative timestamp's meaning.
func offsetNameFrom(timestamp int64) int16 {
	switch timestamp {
	case partition.MaxTimestampOffset:
		return 7
	case partition.EarliestLocalOffset:
		return 8
	case partition.LatestTieredOffset:
		return 9
	case partition.EarliestPendingTier:
		return 11
	case partition.LatestOffset, partition.EarliestOffset:
		return 0
	}
	if timestamp >= 0 {
		return 0
	}
	return 1<<15 - 1
}

func (s *Server) listOffset(ctx context.Context, c *Call, tp kafka.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, committed bool, a *kmsg.ListOffsetsResponseTopicPartition) error {
	part, err := s.hosted(tp)
	if err != nil {
		return err
	}
	return s.patiently(ctx, c.Received, part, func() error {
		f, err := part.OffsetFor(p.Timestamp, kafka.LeaderEpoch(p.CurrentLeaderEpoch), committed)
		if err == nil {
			a.Offset, a.Timestamp, a.LeaderEpoch = int64(f.Offset), f.Timestamp, int32(f.Epoch)
		}
		return err
	})
}

// listEnd answers a follower, for which the latest offset is the end of the leader's log and not the high watermark.
func (s *Server) listEnd(tp kafka.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, a *kmsg.ListOffsetsResponseTopicPartition) error {
	part, err := s.hosted(tp)
	if err != nil {
		return err
	}
	end, err := part.EndOfEpoch(kafka.LeaderEpoch(p.CurrentLeaderEpoch), part.Role().Epoch)
	if err != nil {
		return err
	}
	a.Offset, a.LeaderEpoch = int64(end.End), int32(end.Epoch)
	return nil
}

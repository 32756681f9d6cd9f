package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// describeTopicPartitions answers DescribeTopicPartitions (75, KIP-966): topics by name, a page of partitions at a time.
// It never creates a topic.
func (s *Server) describeTopicPartitions(_ context.Context, _ *Call, req *kmsg.DescribeTopicPartitionsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	if !validCursor(req) {
		for _, t := range req.Topics {
			out := kmsg.NewDescribeTopicPartitionsResponseTopic()
			out.Topic, out.ErrorCode = kmsg.StringPtr(t.Topic), kerr.InvalidRequest.Code
			resp.Topics = append(resp.Topics, out)
		}
		return resp
	}
	img := s.Metadata.Image()
	left := int(max(1, min(req.ResponsePartitionLimit, s.MaxDescribePartitions)))
	for _, name := range topicsFrom(img, req) {
		from := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			from = req.Cursor.Partition
		}
		t, next := describeTopic(img, name, from, left)
		if next == from && t.ErrorCode == 0 && left == 0 {
			resp.NextCursor = cursor(name, from)
			return resp
		}
		resp.Topics = append(resp.Topics, t)
		left -= len(t.Partitions)
		if next >= 0 {
			resp.NextCursor = cursor(name, next)
			return resp
		}
	}
	return resp
}

// validCursor wants a page to go on with one of the topics that are asked for.
func validCursor(req *kmsg.DescribeTopicPartitionsRequest) bool {
	if req.Cursor == nil {
		return true
	}
	asked := len(req.Topics) == 0 || slices.ContainsFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool {
		return t.Topic == req.Cursor.Topic
	})
	return asked && req.Cursor.Partition >= 0
}

// topicsFrom lists the names to describe, sorted, each once, from the cursor's topic on. No topics means all.
func topicsFrom(img *metadata.Image, req *kmsg.DescribeTopicPartitionsRequest) []string {
	from := ""
	if req.Cursor != nil {
		from = req.Cursor.Topic
	}
	var names []string
	for _, t := range req.Topics {
		if t.Topic >= from {
			names = append(names, t.Topic)
		}
	}
	if len(req.Topics) == 0 {
		for t := range img.TopicsFrom(from) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// describeTopic describes up to limit partitions from one on; next is the first left out, or -1 when none is.
func describeTopic(img *metadata.Image, name string, from int32, limit int) (t kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	t = kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic = kmsg.StringPtr(name)
	t.IsInternal = kafka.IsInternalTopic(name)
	t.AuthorizedOperations = topicOperations
	topic, ok := img.Topic(name)
	if !ok {
		t.ErrorCode = unknownTopicCode(name)
		return t, -1
	}
	t.TopicID = topic.ID
	for i := int(from); i < len(topic.Partitions); i++ {
		if len(t.Partitions) == limit {
			return t, int32(i)
		}
		t.Partitions = append(t.Partitions, describePartition(img, int32(i), topic.Partitions[i]))
	}
	return t, -1
}

func describePartition(img *metadata.Image, index int32, p metadata.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	d := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	d.Partition = index
	d.LeaderID, d.LeaderEpoch = int32(p.Leader), int32(p.LeaderEpoch)
	d.Replicas, d.ISR = numbers(p.Replicas), numbers(p.ISR)
	d.EligibleLeaderReplicas, d.LastKnownELR = numbers(p.ELR), numbers(p.LastKnownELR)
	d.OfflineReplicas = (&metadataAnswer{img: img}).offline(&p)
	if p.Leader == kafka.NoNode {
		d.ErrorCode = kerr.LeaderNotAvailable.Code
	}
	return d
}

// unknownTopicCode is the error of a topic that is not there: its name may be the reason.
func unknownTopicCode(name string) int16 {
	if kafka.ValidateTopicName(name) != nil {
		return kerr.InvalidTopicException.Code
	}
	return kerr.UnknownTopicOrPartition.Code
}

func cursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = strings.Clone(topic), partition
	return &c
}

package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
)

// describeProducers lists the producers that partitions remember.
func (s *Server) describeProducers(_ context.Context, c *Call, req *kmsg.DescribeProducersRequest) Response {
	resp := kmsg.NewPtrDescribeProducersResponse()
	for _, t := range req.Topics {
		at := kmsg.NewDescribeProducersResponseTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			at.Partitions = append(at.Partitions, s.producersOf(kafka.TopicPartition{Topic: t.Topic, Partition: p}, c.Received))
		}
		resp.Topics = append(resp.Topics, at)
	}
	return resp
}

func (s *Server) producersOf(tp kafka.TopicPartition, now time.Time) kmsg.DescribeProducersResponseTopicPartition {
	a := kmsg.NewDescribeProducersResponseTopicPartition()
	a.Partition = tp.Partition
	part, err := s.hosted(tp)
	if p := controller.CheckTopicName(tp.Topic); p != nil {
		a.ErrorCode, a.ErrorMessage = failure(p.Code, p.Message)
		return a
	}
	if err != nil {
		a.ErrorCode = s.codeOf(err, "describe producers")
		a.ErrorMessage = kmsg.StringPtr(kerr.TypedErrorForCode(a.ErrorCode).Description)
		return a
	}
	states, err := part.Producers(now)
	a.ErrorCode = s.codeOf(err, "describe producers of "+tp.String())
	for _, st := range states {
		p := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		p.ProducerID, p.ProducerEpoch, p.LastSequence = int64(st.ProducerID), int32(st.Epoch), st.LastSequence
		p.LastTimestamp, p.CoordinatorEpoch, p.CurrentTxnStartOffset = st.LastTimestamp, st.CoordinatorEpoch, int64(st.TxnStart)
		a.ActiveProducers = append(a.ActiveProducers, p)
	}
	return a
}

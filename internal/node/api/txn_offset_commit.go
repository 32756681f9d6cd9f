package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/node/verify"
)

// txnOffsetCommit answers TxnOffsetCommit (28). Topics that are not there are answered here; the rest is the group's, once the transaction
// coordinator knows that the group's offsets take part in the transaction.
func (s *Server) txnOffsetCommit(ctx context.Context, c *Call, req *kmsg.TxnOffsetCommitRequest) Response {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	ask := *req
	ask.Topics = nil
	img := s.Metadata.Image()
	for _, t := range req.Topics {
		partitions := 0
		if topic, ok := img.Topic(t.Topic); ok {
			partitions = len(topic.Partitions)
		}
		there := kmsg.TxnOffsetCommitRequestTopic{Topic: t.Topic}
		unknown := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			if p.Partition >= 0 && int(p.Partition) < partitions {
				there.Partitions = append(there.Partitions, p)
				continue
			}
			unknown.Partitions = append(unknown.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{
				Partition: p.Partition, ErrorCode: kerr.UnknownTopicOrPartition.Code,
			})
		}
		if len(there.Partitions) > 0 {
			ask.Topics = append(ask.Topics, there)
		}
		if len(unknown.Partitions) > 0 {
			resp.Topics = append(resp.Topics, unknown)
		}
	}
	if len(ask.Topics) == 0 {
		return resp
	}
	for _, t := range s.commitInTxn(ctx, c, &ask).(*kmsg.TxnOffsetCommitResponse).Topics {
		resp.Topics = addTxnCommitted(resp.Topics, t)
	}
	return resp
}

// addTxnCommitted puts what the group says of a topic behind what was said of its unknown partitions.
func addTxnCommitted(topics []kmsg.TxnOffsetCommitResponseTopic, t kmsg.TxnOffsetCommitResponseTopic) []kmsg.TxnOffsetCommitResponseTopic {
	for i := range topics {
		if topics[i].Topic == t.Topic {
			topics[i].Partitions = append(topics[i].Partitions, t.Partitions...)
			return topics
		}
	}
	return append(topics, t)
}

// commitInTxn asks the transaction coordinator, and then the group's.
func (s *Server) commitInTxn(ctx context.Context, c *Call, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	if req.Group == "" { // before anything is made part of the transaction for it
		return group.ErrorResponse(req, c.Version, fmt.Errorf("no group: %w", kerr.InvalidGroupID))
	}
	if err := s.verifyOffsets(ctx, c.Version, req); err != nil {
		return group.Refuse(req, c.Version, err)
	}
	return s.askGroup(ctx, c, req.Group, req)
}

// verifyOffsets makes sure that the group's partition of __consumer_offsets is in the transaction.
func (s *Server) verifyOffsets(ctx context.Context, version int16, req *kmsg.TxnOffsetCommitRequest) error {
	topic, ok := s.Metadata.Image().Topic(kafka.OffsetsTopic)
	if !ok {
		return kerr.NotCoordinator
	}
	tp := kafka.TopicPartition{Topic: kafka.OffsetsTopic, Partition: kafka.CoordinatorPartition(req.Group, int32(len(topic.Partitions)))}
	part, err := s.hosted(tp)
	if err != nil {
		return kerr.NotCoordinator
	}
	rules := txnCommitRules(version)
	u := &unverified{Question: verify.Question{
		TransactionalID: req.TransactionalID, Producer: kafka.ProducerID(req.ProducerID), Epoch: kafka.ProducerEpoch(req.ProducerEpoch),
		Add: rules.adds,
	}}
	if err := u.add(time.Now(), part, kafka.NoSequence); err != nil {
		return err
	}
	return u.ask(ctx, s.Verify, rules)[tp]
}

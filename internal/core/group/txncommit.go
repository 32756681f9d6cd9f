package group

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/machine"
)

// TxnOffsetCommit, versions 0 to 5. From v3 the member may be told: until then, and where none is, offsets are taken from anybody who
// writes in the transaction. The caller has made sure that the transaction coordinator knows of this partition: by v4 the client has
// told it, from v5 on the caller has.

// txnCommitKnowsLoading is the first version whose clients all know COORDINATOR_LOAD_IN_PROGRESS.
const txnCommitKnowsLoading = 2

func txnCommitError(req *kmsg.TxnOffsetCommitRequest, err error) *kmsg.TxnOffsetCommitResponse {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for _, topic := range req.Topics {
		rt := kmsg.TxnOffsetCommitResponseTopic{Topic: topic.Topic}
		for _, p := range topic.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code(err)})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (t *turn) txnOffsetCommit(r machine.Request, req *kmsg.TxnOffsetCommitRequest) {
	resp, err := t.txnCommit(req)
	if err != nil {
		t.out.Records = nil
		t.fail(r, err)
		return
	}
	if len(t.out.Records) > 0 {
		t.out.Producer = &machine.Producer{ID: kafka.ProducerID(req.ProducerID), Epoch: kafka.ProducerEpoch(req.ProducerEpoch)}
	}
	t.answer(waiterOf(r), resp, len(t.out.Records) > 0)
}

// txnCommit writes what a member may commit. One partition that is not the member's any more is the end of the whole request: what a
// transaction consumed goes together.
func (t *turn) txnCommit(req *kmsg.TxnOffsetCommitRequest) (*kmsg.TxnOffsetCommitResponse, error) {
	fence, err := t.s.mayCommitInTxn(req)
	if err != nil {
		return nil, oldGeneration(err)
	}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for _, topic := range req.Topics {
		rt := kmsg.TxnOffsetCommitResponseTopic{Topic: topic.Topic}
		id, _ := t.s.cfg.Topics().ID(topic.Topic)
		for _, p := range topic.Partitions {
			one := kmsg.OffsetCommitRequestTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata,
			}
			if fence != nil && !tooLong(deref(p.Metadata), t.s.cfg.OffsetMetadataMax) {
				if err := fence(topic.Topic, id, p.Partition); err != nil {
					return nil, oldGeneration(err)
				}
			}
			err := t.commit(req.Group, kmsg.OffsetCommitRequestTopic{Topic: topic.Topic}, one, -1)
			rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code(err)})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// mayCommitInTxn refuses who may not commit. For some members each partition is to be checked, too. It is no heartbeat.
func (s *Shard) mayCommitInTxn(req *kmsg.TxnOffsetCommitRequest) (fence, error) {
	if err := checkGroupID(req.Group, false); err != nil {
		return nil, err
	}
	if fence, assigned, err := s.fenceOf(req.Group, consumer.Commit{Member: req.MemberID, Instance: req.InstanceID, Epoch: req.Generation, Transactional: true}); assigned {
		return fence, err
	}
	g := s.group(req.Group)
	switch {
	case g == nil && req.Generation >= 0:
		return nil, kerr.IllegalGeneration
	case g == nil || req.Generation < 0 && g.state == empty:
		return nil, nil // a consumer that does without membership; the record makes the group
	case req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return nil, nil // a client that does not tell who it is
	}
	if err := g.check(req.MemberID, req.InstanceID); err != nil {
		return nil, err
	}
	if req.Generation != g.generation {
		return nil, kerr.IllegalGeneration
	}
	return nil, nil // also during a rebalance: who has the generation may end what it began
}

// oldGeneration says of an old member epoch what clients of this API know.
func oldGeneration(err error) error {
	if errors.Is(err, kerr.StaleMemberEpoch) {
		return fmt.Errorf("%w: %v", kerr.IllegalGeneration, err)
	}
	return err
}

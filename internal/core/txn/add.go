package txn

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// maxID is the longest transactional id that a record can hold.
const maxID = 1<<15 - 1

// check tells why a producer may not do anything in a transaction, or nil.
func (s *Shard) check(id string, producer kafka.ProducerID, epoch kafka.ProducerEpoch) (transaction, error) {
	x, ok := s.saved.Get(id)
	switch {
	case ok && x.brings(producer):
		return x, kerr.ConcurrentTransactions
	case !ok || x.producer != producer:
		return x, kerr.InvalidProducerIDMapping
	case x.epoch != epoch:
		return x, kerr.ProducerFenced
	case x.state.prepared():
		return x, kerr.ConcurrentTransactions
	}
	return x, nil
}

// addPartitions makes partitions part of the transaction, which begins with the first, or tells which are part of it. Clients of
// transactions v1 ask for it (0 to 3), and leaders of partitions (4 and later): for their clients of transactions v2, or, to verify,
// for those of v1.
func (t *turn) addPartitions(w waiter, req *kmsg.AddPartitionsToTxnRequest) {
	if w.version >= 4 {
		if len(req.Transactions) != 1 {
			t.reply(w, addError(req, w.version, kerr.InvalidRequest))
			return
		}
		t.addFor(w, &req.Transactions[0])
		return
	}
	var added []kafka.TopicPartition
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			added = append(added, kafka.TopicPartition{Topic: strings.Clone(topic.Topic), Partition: p})
		}
	}
	err := t.add(strings.Clone(req.TransactionalID), kafka.ProducerID(req.ProducerID), kafka.ProducerEpoch(req.ProducerEpoch), added, 1)
	t.replyAfterCommit(w, addError(req, w.version, err))
}

func (t *turn) addFor(w waiter, one *kmsg.AddPartitionsToTxnRequestTransaction) {
	producer, epoch := kafka.ProducerID(one.ProducerID), kafka.ProducerEpoch(one.ProducerEpoch)
	if one.VerifyOnly {
		x, err := t.s.check(one.TransactionalID, producer, epoch)
		t.replyAfterCommit(w, transactionAnswer(one, func(tp kafka.TopicPartition) error {
			if err == nil && !(x.state == Ongoing && has(x.partitions, tp)) {
				return kerr.TransactionAbortable
			}
			return err
		}))
		return
	}
	var added []kafka.TopicPartition
	for _, topic := range one.Topics {
		for _, p := range topic.Partitions {
			added = append(added, kafka.TopicPartition{Topic: strings.Clone(topic.Topic), Partition: p})
		}
	}
	err := t.add(strings.Clone(one.TransactionalID), producer, epoch, added, 2)
	t.replyAfterCommit(w, transactionAnswer(one, func(kafka.TopicPartition) error { return err }))
}

// addOffsets makes the partition that holds a group's offsets part of the transaction.
func (t *turn) addOffsets(w waiter, req *kmsg.AddOffsetsToTxnRequest) {
	tp := kafka.TopicPartition{Topic: kafka.OffsetsTopic, Partition: t.s.cfg.GroupPartition(req.Group)}
	err := t.add(strings.Clone(req.TransactionalID), kafka.ProducerID(req.ProducerID), kafka.ProducerEpoch(req.ProducerEpoch), []kafka.TopicPartition{tp}, 1)
	t.replyAfterCommit(w, addOffsetsError(w.version, err))
}

// add writes what there is to add. Partitions that are in the transaction already need no record, but the one that added them may
// not be committed yet.
func (t *turn) add(id string, producer kafka.ProducerID, epoch kafka.ProducerEpoch, added []kafka.TopicPartition, version int16) error {
	if id == "" {
		return kerr.InvalidRequest
	}
	x, err := t.s.check(id, producer, epoch)
	if err != nil {
		return err
	}
	if x.state == Ongoing && !slices.ContainsFunc(added, func(tp kafka.TopicPartition) bool { return !has(x.partitions, tp) }) {
		return nil
	}
	if x.state != Ongoing {
		x.started, x.partitions = t.millis(), nil
		x.state = Ongoing
		t.armTimeout(id, x)
	}
	x.partitions, x.version = with(x.partitions, added), version
	t.save(id, x)
	return nil
}

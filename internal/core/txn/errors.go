package txn

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

var errUnsupported = fmt.Errorf("not a request of the transaction coordinator: %w", kerr.UnsupportedVersion)

// code is the protocol's number for err.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return kerr.UnknownServerError.Code
}

// appendError is what clients are told when the records of their transaction could not be written or committed in time: to come again,
// here or elsewhere. It never is PRODUCER_FENCED, after which a producer gives up.
func appendError(err error) error {
	for _, is := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.NotCoordinator} {
		if errors.Is(err, is) {
			return kerr.NotCoordinator
		}
	}
	for _, is := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge} {
		if errors.Is(err, is) {
			return kerr.UnknownServerError
		}
	}
	for _, is := range []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.UnsupportedVersion} {
		if errors.Is(err, is) {
			return is
		}
	}
	return kerr.CoordinatorNotAvailable
}

// Refuse is the answer to a request that was not stepped on, or whose records are not committed, for the reason err.
func Refuse(req kmsg.Request, version int16, err error) kmsg.Response {
	resp := refusal(req, version, appendError(err))
	resp.SetVersion(version)
	return resp
}

func refusal(req kmsg.Request, version int16, err error) kmsg.Response {
	switch req := req.(type) {
	case *kmsg.InitProducerIDRequest:
		return initError(version, err)
	case *kmsg.AddPartitionsToTxnRequest:
		return addError(req, version, err)
	case *kmsg.AddOffsetsToTxnRequest:
		return addOffsetsError(version, err)
	case *kmsg.EndTxnRequest:
		return endError(version, err)
	case *kmsg.ListTransactionsRequest:
		resp := kmsg.NewPtrListTransactionsResponse()
		resp.ErrorCode = code(err)
		return resp
	case *kmsg.DescribeTransactionsRequest:
		resp := kmsg.NewPtrDescribeTransactionsResponse()
		for _, id := range req.TransactionalIDs {
			one := kmsg.NewDescribeTransactionsResponseTransactionState()
			one.TransactionalID, one.ErrorCode = id, code(err)
			resp.TransactionStates = append(resp.TransactionStates, one)
		}
		return resp
	}
	return req.ResponseKind()
}

// fenced is an error as a version knows it: those before since have no PRODUCER_FENCED.
func fenced(err error, version, since int16) error {
	if version < since && errors.Is(err, kerr.ProducerFenced) {
		return kerr.InvalidProducerEpoch
	}
	return err
}

func initialised(id kafka.ProducerID, epoch kafka.ProducerEpoch) *kmsg.InitProducerIDResponse {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(id), int16(epoch)
	return resp
}

func initError(version int16, err error) *kmsg.InitProducerIDResponse {
	resp := initialised(kafka.NoProducerID, kafka.NoProducerEpoch)
	resp.ErrorCode = code(fenced(err, version, 4))
	return resp
}

func endError(version int16, err error) *kmsg.EndTxnResponse {
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(kafka.NoProducerID), int16(kafka.NoProducerEpoch)
	resp.ErrorCode = code(fenced(err, version, 2))
	return resp
}

func addOffsetsError(version int16, err error) *kmsg.AddOffsetsToTxnResponse {
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	resp.ErrorCode = code(fenced(err, version, 2))
	return resp
}

// addError has the error for every partition that was asked for; no error is an answer too.
func addError(req *kmsg.AddPartitionsToTxnRequest, version int16, err error) *kmsg.AddPartitionsToTxnResponse {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	err = fenced(err, version, 2)
	for i := range req.Transactions {
		one := transactionAnswer(&req.Transactions[i], func(kafka.TopicPartition) error { return err })
		resp.Transactions = append(resp.Transactions, one.Transactions...)
	}
	for _, topic := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = topic.Topic
		for _, p := range topic.Partitions {
			one := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			one.Partition, one.ErrorCode = p, code(err)
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// transactionAnswer has an error for each partition of one transaction.
func transactionAnswer(one *kmsg.AddPartitionsToTxnRequestTransaction, of func(kafka.TopicPartition) error) *kmsg.AddPartitionsToTxnResponse {
	out := kmsg.NewAddPartitionsToTxnResponseTransaction()
	out.TransactionalID = one.TransactionalID
	for _, topic := range one.Topics {
		t := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		t.Topic = topic.Topic
		for _, p := range topic.Partitions {
			answer := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			answer.Partition, answer.ErrorCode = p, code(of(kafka.TopicPartition{Topic: topic.Topic, Partition: p}))
			t.Partitions = append(t.Partitions, answer)
		}
		out.Topics = append(out.Topics, t)
	}
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	resp.Transactions = append(resp.Transactions, out)
	return resp
}

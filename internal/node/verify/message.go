package verify

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// requestVersion is the version of AddPartitionsToTxn that is sent: in it TRANSACTION_ABORTABLE is known.
const requestVersion = 5

func request(round []*waiting) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = requestVersion
	for _, w := range round {
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly = w.TransactionalID, int64(w.Producer), int16(w.Epoch), !w.Add
		at := map[string]int{}
		for _, tp := range w.Partitions {
			i, ok := at[tp.Topic]
			if !ok {
				i = len(one.Topics)
				at[tp.Topic] = i
				topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
				topic.Topic = tp.Topic
				one.Topics = append(one.Topics, topic)
			}
			one.Topics[i].Partitions = append(one.Topics[i].Partitions, tp.Partition)
		}
		req.Transactions = append(req.Transactions, one)
	}
	return req
}

// read finds the answers for a question's partitions; err is that of the whole request. A partition that is not in the answer was not
// decided on.
func (q *Question) read(answer *kmsg.AddPartitionsToTxnResponseTransaction, err error) []error {
	if err != nil {
		return q.all(err)
	}
	codes := map[kafka.TopicPartition]int16{}
	if answer != nil {
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				codes[kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
			}
		}
	}
	errs := make([]error, len(q.Partitions))
	for i, tp := range q.Partitions {
		code, ok := codes[tp]
		switch {
		case !ok:
			errs[i] = kerr.CoordinatorNotAvailable
		case code != 0:
			errs[i] = known(code)
		}
	}
	return errs
}

// known is the error of a code, as a producer knows it: that it is fenced it is told by its epoch, and of whom the nodes let in among
// themselves it need not know.
func known(code int16) error {
	switch code {
	case kerr.ProducerFenced.Code:
		return kerr.InvalidProducerEpoch
	case kerr.ClusterAuthorizationFailed.Code:
		return kerr.InvalidTxnState
	}
	return kerr.ErrorForCode(code)
}

func (q *Question) all(err error) []error {
	errs := make([]error, len(q.Partitions))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// pause waits, and tells whether there is time to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

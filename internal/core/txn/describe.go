package txn

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// list tells of the transactional ids that pass the filters, sorted.
func (t *turn) list(w waiter, req *kmsg.ListTransactionsRequest) {
	resp := kmsg.NewPtrListTransactionsResponse()
	var pattern *regexp.Regexp
	if w.version >= 2 && req.TransactionalIDPattern != nil && *req.TransactionalIDPattern != "" {
		var err error
		if pattern, err = regexp.Compile(`^(?:` + *req.TransactionalIDPattern + `)$`); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			t.reply(w, resp)
			return
		}
	}
	states := map[State]bool{}
	for _, name := range req.StateFilters {
		if s, ok := stateOf(name); ok {
			states[s] = true
		} else {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, name)
		}
	}
	longerThan := int64(-1)
	if w.version >= 1 {
		longerThan = req.DurationFilterMillis
	}
	for _, id := range t.s.sorted() {
		x, _ := t.s.saved.Get(id)
		switch {
		case len(req.StateFilters) > 0 && !states[x.state]:
		case len(req.ProducerIDFilters) > 0 && !slices.Contains(req.ProducerIDFilters, int64(x.producer)):
		case longerThan >= 0 && t.millis()-x.started <= longerThan:
		case pattern != nil && !pattern.MatchString(id):
		default:
			one := kmsg.NewListTransactionsResponseTransactionState()
			one.TransactionalID, one.ProducerID, one.TransactionState = id, int64(x.producer), x.state.String()
			resp.TransactionStates = append(resp.TransactionStates, one)
		}
	}
	t.replyAfterCommit(w, resp)
}

func (t *turn) describe(w waiter, req *kmsg.DescribeTransactionsRequest) {
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	for _, id := range req.TransactionalIDs {
		one := kmsg.NewDescribeTransactionsResponseTransactionState()
		one.TransactionalID = id
		if err := t.describeOne(&one); err != nil {
			one.ErrorCode = code(err)
		}
		resp.TransactionStates = append(resp.TransactionStates, one)
	}
	t.replyAfterCommit(w, resp)
}

func (t *turn) describeOne(one *kmsg.DescribeTransactionsResponseTransactionState) error {
	if one.TransactionalID == "" {
		return kerr.InvalidRequest
	}
	x, ok := t.s.saved.Get(one.TransactionalID)
	if !ok {
		return fmt.Errorf("%q: %w", one.TransactionalID, kerr.TransactionalIDNotFound)
	}
	one.State, one.TimeoutMillis, one.StartTimestamp = x.state.String(), x.timeout, x.started
	one.ProducerID, one.ProducerEpoch = int64(x.producer), int16(x.epoch)
	for _, tp := range x.partitions {
		if n := len(one.Topics); n == 0 || one.Topics[n-1].Topic != tp.Topic {
			topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			topic.Topic = tp.Topic
			one.Topics = append(one.Topics, topic)
		}
		last := &one.Topics[len(one.Topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return nil
}

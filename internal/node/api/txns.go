package api

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/txn"
	"github.com/headrace/headrace/internal/node/coord"
)

// Txns is this node's transaction coordinator: txns.Txns is the one implementation.
type Txns interface {
	// Submit answers one request about one transactional id. What it keeps of the request must not alias a frame.
	Submit(ctx context.Context, id string, client coord.ClientInfo, req kmsg.Request) (kmsg.Response, error)
	ListTransactions(ctx context.Context, req *kmsg.ListTransactionsRequest) (*kmsg.ListTransactionsResponse, error)
}

// txnTable lists the APIs of transactions, but for those that it shares with others.
func (s *Server) txnTable() []Entry {
	if s.Txns == nil {
		return nil
	}
	return []Entry{
		{Key: kmsg.AddPartitionsToTxn, Min: 0, Max: 5, Handle: on(s.addPartitionsToTxn)},
		{Key: kmsg.AddOffsetsToTxn, Min: 0, Max: 4, Handle: on(s.addOffsetsToTxn)},
		{Key: kmsg.EndTxn, Min: 0, Max: 5, Handle: on(s.endTxn)},
		{Key: kmsg.DescribeTransactions, Min: 0, Max: 0, Handle: on(s.describeTransactions)},
		{Key: kmsg.ListTransactions, Min: 0, Max: 2, Handle: on(s.listTransactions)},
	}
}

// askTxn has the coordinator of a transactional id answer. When the wait ends without an answer the connection is gone or the node
// drains: a client that still listens is told to look for the coordinator again.
func (s *Server) askTxn(ctx context.Context, c *Call, id string, req kmsg.Request) kmsg.Response {
	resp, err := s.Txns.Submit(ctx, id, coord.ClientInfo{ID: c.Client.ID, Host: "/" + c.Client.Host}, req)
	if err != nil {
		return txn.Refuse(req, req.GetVersion(), kerr.NotCoordinator)
	}
	return resp
}

// addPartitionsToTxn answers AddPartitionsToTxn (24). Up to version 3 clients ask, for one transaction; from 4 on leaders of
// partitions do, for any number of them.
func (s *Server) addPartitionsToTxn(ctx context.Context, c *Call, req *kmsg.AddPartitionsToTxnRequest) Response {
	if c.Version < 4 {
		if refused := s.refusePartitions(req); refused != nil {
			return refused
		}
		return s.askTxn(ctx, c, req.TransactionalID, req)
	}
	return s.AddPartitionsToTxn(ctx, req)
}

// mostAsked is how many transactions of one request are asked about at a time.
const mostAsked = 64

// AddPartitionsToTxn answers as the coordinator of every transaction that a request of version 4 or later names.
func (s *Server) AddPartitionsToTxn(ctx context.Context, req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	// Each waits for its own record: asked one after the other, the last would wait for all of them.
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(req.Transactions); i = int(next.Add(1)) - 1 {
			one := *req
			one.Transactions = req.Transactions[i : i+1]
			answer := s.askTxn(ctx, &Call{}, one.Transactions[0].TransactionalID, &one)
			resp.Transactions[i] = answer.(*kmsg.AddPartitionsToTxnResponse).Transactions[0]
		}
	}
	var others sync.WaitGroup
	for range min(len(req.Transactions), mostAsked) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return resp
}

// refusePartitions is the answer to a request that names partitions which are not there: then none is added.
func (s *Server) refusePartitions(req *kmsg.AddPartitionsToTxnRequest) Response {
	img, missing := s.Metadata.Image(), map[kafka.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			tp := kafka.TopicPartition{Topic: t.Topic, Partition: p}
			if _, ok := img.Partition(tp); !ok {
				missing[tp] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, t := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			one := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			one.Partition, one.ErrorCode = p, kerr.OperationNotAttempted.Code
			if missing[kafka.TopicPartition{Topic: t.Topic, Partition: p}] {
				one.ErrorCode = kerr.UnknownTopicOrPartition.Code
			}
			out.Partitions = append(out.Partitions, one)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// addOffsetsToTxn answers AddOffsetsToTxn (25).
func (s *Server) addOffsetsToTxn(ctx context.Context, c *Call, req *kmsg.AddOffsetsToTxnRequest) Response {
	return s.askTxn(ctx, c, req.TransactionalID, req)
}

// endTxn answers EndTxn (26).
func (s *Server) endTxn(ctx context.Context, c *Call, req *kmsg.EndTxnRequest) Response {
	return s.askTxn(ctx, c, req.TransactionalID, req)
}

// describeTransactions answers DescribeTransactions (65): each transactional id by the shard that owns it.
func (s *Server) describeTransactions(ctx context.Context, c *Call, req *kmsg.DescribeTransactionsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		one := *req
		one.TransactionalIDs = []string{id}
		resp.TransactionStates = append(resp.TransactionStates, s.askTxn(ctx, c, id, &one).(*kmsg.DescribeTransactionsResponse).TransactionStates...)
	}
	return resp
}

// listTransactions answers ListTransactions (66) over all shards of this node.
func (s *Server) listTransactions(ctx context.Context, _ *Call, req *kmsg.ListTransactionsRequest) Response {
	resp, err := s.Txns.ListTransactions(ctx, req)
	if err != nil {
		failed := req.ResponseKind().(*kmsg.ListTransactionsResponse)
		failed.ErrorCode = s.codeOf(err, "list transactions")
		return failed
	}
	return resp
}

package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// coordinators are nodes that answer after a second; script says what, by the number of the request.
type coordinators struct {
	mu       sync.Mutex
	requests []*kmsg.AddPartitionsToTxnRequest
	nodes    []kafka.NodeID
	busy     map[kafka.NodeID]int
	most     int
	answer   func(n int, id string, tp kafka.TopicPartition) int16
	fails    error
}

func (c *coordinators) ask(ctx context.Context, node kafka.NodeID, req *kmsg.AddPartitionsToTxnRequest) (*kmsg.AddPartitionsToTxnResponse, error) {
	c.mu.Lock()
	n := len(c.requests)
	c.requests, c.nodes = append(c.requests, req), append(c.nodes, node)
	c.busy[node]++
	c.most = max(c.most, c.busy[node])
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy[node]--
		c.mu.Unlock()
	}()
	if !pause(ctx, time.Second) {
		return nil, ctx.Err()
	}
	if c.fails != nil {
		return nil, c.fails
	}
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	for _, one := range req.Transactions {
		rt := kmsg.AddPartitionsToTxnResponseTransaction{TransactionalID: one.TransactionalID}
		for _, t := range one.Topics {
			topic := kmsg.AddPartitionsToTxnResponseTransactionTopic{Topic: t.Topic}
			for _, p := range t.Partitions {
				code := c.answer(n, one.TransactionalID, kafka.TopicPartition{Topic: t.Topic, Partition: p})
				topic.Partitions = append(topic.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p, ErrorCode: code})
			}
			rt.Topics = append(rt.Topics, topic)
		}
		resp.Transactions = append(resp.Transactions, rt)
	}
	return resp, nil
}

func (c *coordinators) verifier() *Verifier {
	if c.busy == nil {
		c.busy = map[kafka.NodeID]int{}
	}
	if c.answer == nil {
		c.answer = func(int, string, kafka.TopicPartition) int16 { return 0 }
	}
	return New(Config{
		Ask: c.ask,
		Coordinator: func(_ context.Context, id string) (kafka.NodeID, error) {
			if id == "" {
				return kafka.NoNode, kerr.CoordinatorNotAvailable
			}
			return kafka.NodeID(id[0] - 'a'), nil
		},
	})
}

func about(id string, add bool, partitions ...int32) Question {
	q := Question{TransactionalID: id, Producer: 5, Epoch: 2, Add: add}
	for _, p := range partitions {
		q.Partitions = append(q.Partitions, kafka.TopicPartition{Topic: fmt.Sprint("t", p%2), Partition: p})
	}
	return q
}

func TestWhatWaitsForACoordinatorGoesInOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &coordinators{answer: func(_ int, id string, tp kafka.TopicPartition) int16 {
			if id == "a7" && tp.Partition == 2 {
				return kerr.TransactionAbortable.Code
			}
			return 0
		}}
		v := c.verifier()
		defer v.Close()
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			id := fmt.Sprint(string(rune('a'+i%2)), i/2) // two nodes, ten transactions each
			wg.Go(func() {
				want := []error{nil, nil, nil}
				if id == "a7" {
					want[1] = kerr.TransactionAbortable
				}
				if got := v.Ask(t.Context(), about(id, false, 1, 2, 3)); !slices.Equal(got, want) {
					t.Errorf("%s: %v", id, got)
				}
			})
			if i == 1 {
				synctest.Wait() // the first of each node is asked about alone
			}
		}
		wg.Wait()
		if len(c.requests) != 4 || c.most != 1 || time.Since(begun) != 2*time.Second {
			t.Errorf("%d requests, %d of them to a node at once, in %v", len(c.requests), c.most, time.Since(begun))
		}
		one := c.requests[0].Transactions[0]
		if len(one.Topics) != 2 || len(one.Topics[0].Partitions) != 2 || !one.VerifyOnly || one.ProducerID != 5 || one.ProducerEpoch != 2 {
			t.Errorf("asked: %+v", one)
		}
	})
}

// A transactional id is in a request once: the second question about it waits for the next.
func TestOneTransactionalIDAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &coordinators{}
		v := c.verifier()
		defer v.Close()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { v.Ask(t.Context(), about("a", false, int32(i))) })
		}
		wg.Wait()
		for _, req := range c.requests {
			if len(req.Transactions) != 1 {
				t.Errorf("%d transactions in a request", len(req.Transactions))
			}
		}
		if len(c.requests) != 4 {
			t.Errorf("%d requests", len(c.requests))
		}
	})
}

// The producer's transaction before may still be ending: who adds waits for that a little, who only asks does not.
func TestAddingWaitsForTheEndOfTheTransactionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := 1
		c := &coordinators{answer: func(n int, _ string, _ kafka.TopicPartition) int16 {
			if n < ends {
				return kerr.ConcurrentTransactions.Code
			}
			return 0
		}}
		v := c.verifier()
		v.cfg.Backoff = func() (each, most time.Duration) { return 500 * time.Millisecond, 4 * time.Second }
		defer v.Close()
		if got := v.Ask(t.Context(), about("a", true, 1)); got[0] != nil || len(c.requests) != 2 {
			t.Errorf("%v after %d requests", got, len(c.requests))
		}
		c.requests = nil
		if got := v.Ask(t.Context(), about("a", false, 1)); got[0] != error(kerr.ConcurrentTransactions) || len(c.requests) != 1 {
			t.Errorf("%v after %d requests", got, len(c.requests))
		}
		c.requests, ends = nil, 100
		if got := v.Ask(t.Context(), about("a", true, 1)); got[0] != error(kerr.ConcurrentTransactions) || len(c.requests) != 3 {
			t.Errorf("%v after %d requests", got, len(c.requests))
		}
	})
}

func TestWhatProducersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[int16]error{
			kerr.ProducerFenced.Code: kerr.InvalidProducerEpoch, kerr.ClusterAuthorizationFailed.Code: kerr.InvalidTxnState,
			kerr.NotCoordinator.Code: kerr.NotCoordinator, kerr.InvalidProducerIDMapping.Code: kerr.InvalidProducerIDMapping,
		} {
			c := &coordinators{answer: func(int, string, kafka.TopicPartition) int16 { return code }}
			v := c.verifier()
			if got := v.Ask(t.Context(), about("a", true, 1)); got[0] != want {
				t.Errorf("%v, want %v", got, want)
			}
			v.Close()
		}
		c := &coordinators{}
		v := c.verifier()
		defer v.Close()
		if got := v.Ask(t.Context(), about("", true, 1)); got[0] != error(kerr.CoordinatorNotAvailable) {
			t.Errorf("without a coordinator: %v", got)
		}
		c.fails = errors.New("no such node")
		if got := v.Ask(t.Context(), about("a", true, 1)); got[0] != error(kerr.NetworkException) {
			t.Errorf("when it cannot be reached: %v", got)
		}
	})
}

// Nobody waits longer than they want to, or than the Verifier is there.
func TestWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &coordinators{}
		v := c.verifier()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got := v.Ask(ctx, about("a", false, 1, 2)); len(got) != 2 || got[1] != error(kerr.NetworkException) {
			t.Error(got)
		}
		hurried := c.verifier()
		hurried.cfg.Timeout = time.Millisecond
		if got := hurried.Ask(t.Context(), about("a", false, 1)); got[0] != error(kerr.NetworkException) {
			t.Error(got)
		}
		hurried.Close()
		told := make(chan []error, 1)
		go func() { told <- v.Ask(t.Context(), about("b", false, 1)) }()
		synctest.Wait()
		v.Close()
		if got := <-told; got[0] != error(kerr.NetworkException) {
			t.Error(got)
		}
		if got := v.Ask(t.Context(), about("a", false, 1)); got[0] != error(kerr.NetworkException) {
			t.Error(got)
		}
	})
}

// Package txns is the transaction coordinator of this node: core/txn, run by node/coord on the partitions of __transaction_state that
// the node leads. node/api submits requests, app publishes metadata. Goroutines are those of node/coord, and one for each producer id that
// is asked for; the markers of ended transactions are node/markers' to write. Close waits for the first two.
package txns

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/txn"
	"github.com/headrace/headrace/internal/node/coord"
)

// Markers has partitions get their markers: markers.Sender is the one implementation.
type Markers interface {
	// Write calls done when every partition has its marker, once, from any goroutine; not at all once ctx has ended.
	Write(ctx context.Context, w txn.WriteMarkers, done func())
}

// Config is what Txns need. Every field is required.
type Config struct {
	Partitions int32      // of __transaction_state (transaction.state.log.num.partitions)
	Txn        txn.Config // its Epoch is not used
	// ProducerID gives an id that no producer has.
	ProducerID func(ctx context.Context) (kafka.ProducerID, error)
	Markers    Markers
	Rand       *rand.Rand
	Log        *slog.Logger
}

// Txns coordinates the transactional ids of the partitions led here.
type Txns struct {
	*coord.Runtime
	cfg   Config
	ctx   context.Context // ends with Close
	end   context.CancelFunc
	tasks sync.WaitGroup

	mu    sync.Mutex
	terms map[int32]*term
}

// New makes Txns that lead nothing.
func New(c Config) *Txns {
	t := &Txns{cfg: c, terms: map[int32]*term{}}
	t.ctx, t.end = context.WithCancel(context.Background())
	t.Runtime = coord.New(coord.Config{
		Topic: kafka.TxnTopic, Partitions: c.Partitions,
		New: func(at coord.Place) machine.Machine {
			cfg := c.Txn
			cfg.Epoch = at.Epoch
			return txn.New(cfg)
		},
		Refuse: txn.Refuse,
		Do:     t.do,
		Rand:   c.Rand, Log: c.Log,
	})
	return t
}

// Close ends all coordination and waits for the goroutines. The Markers are to be closed after it.
func (t *Txns) Close() {
	t.Runtime.Close()
	t.end()
	t.tasks.Wait()
}

// Lead begins to coordinate what is in partition p: see coord.Runtime. Markers of an earlier epoch are no longer this node's to write.
func (t *Txns) Lead(p int32, log coord.PartitionLog, epoch kafka.LeaderEpoch) {
	t.mu.Lock()
	if now := t.terms[p]; now == nil || epoch > now.epoch {
		if now != nil {
			now.end()
		}
		t.terms[p] = t.newTerm(epoch)
	}
	t.mu.Unlock()
	t.Runtime.Lead(p, log, epoch)
}

// Resign ends the coordination of partition p, and the writing of its markers.
func (t *Txns) Resign(p int32) {
	t.Runtime.Resign(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.terms[p]; now != nil {
		now.end()
		delete(t.terms, p)
	}
}

// idTime bounds the wait for a producer id: a client waits no longer for its answer.
const idTime = 20 * time.Second

func (t *Txns) do(at coord.Place, task machine.Task, tell func(machine.Event)) {
	switch task := task.(type) {
	case txn.NewProducerID:
		t.tasks.Go(func() {
			ctx, cancel := context.WithTimeout(t.ctx, idTime)
			defer cancel()
			id, err := t.cfg.ProducerID(ctx)
			if err != nil {
				err = fmt.Errorf("%w: %w", kerr.CoordinatorNotAvailable, err)
			}
			tell(txn.GotProducerID{Number: task.Number, ID: id, Err: err})
		})
	case txn.WriteMarkers:
		t.mu.Lock()
		now := t.terms[at.Partition]
		t.mu.Unlock()
		if now != nil && now.epoch == at.Epoch {
			now.write(t.cfg.Markers, task, tell)
		}
	}
}

// ListTransactions merges the lists of all partitions led here. While one of them loads, the answer is COORDINATOR_LOAD_IN_PROGRESS.
func (t *Txns) ListTransactions(ctx context.Context, req *kmsg.ListTransactionsRequest) (*kmsg.ListTransactionsResponse, error) {
	lists, err := t.SubmitAll(ctx, coord.ClientInfo{}, req)
	if err != nil {
		return nil, err
	}
	merged := kmsg.NewPtrListTransactionsResponse()
	merged.SetVersion(req.Version)
	for _, resp := range lists {
		list := resp.(*kmsg.ListTransactionsResponse)
		switch list.ErrorCode {
		case 0:
			merged.TransactionStates = append(merged.TransactionStates, list.TransactionStates...)
			merged.UnknownStateFilters = list.UnknownStateFilters // each says the same
		case kerr.NotCoordinator.Code:
		default:
			merged.ErrorCode, merged.TransactionStates = list.ErrorCode, nil
			return merged, nil
		}
	}
	slices.SortFunc(merged.TransactionStates, func(a, b kmsg.ListTransactionsResponseTransactionState) int {
		return strings.Compare(a.TransactionalID, b.TransactionalID)
	})
	return merged, nil
}

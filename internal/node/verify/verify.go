// Package verify asks transaction coordinators whether partitions are part of a producer's transaction, or has them made part of it, before
// anything of the transaction is written there (KIP-890). node/api asks; what waits for one coordinator goes to it in one request, and there is one
// under way to each. A Verifier owns a goroutine for each node that is being asked, which ends when nothing waits for that; Close ends them, and
// waits for them.
package verify

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Config is what a Verifier needs. Zero of what is not a function takes the default.
type Config struct {
	// Coordinator finds the node that coordinates a transactional id; the error is what the producer is told.
	Coordinator func(ctx context.Context, transactionalID string) (kafka.NodeID, error)
	// Ask has a node answer, which may be this one. An error means that it could not be asked.
	Ask     func(ctx context.Context, node kafka.NodeID, req *kmsg.AddPartitionsToTxnRequest) (*kmsg.AddPartitionsToTxnResponse, error)
	Timeout time.Duration // of one Ask (request.timeout.ms), 30 s
	// Backoff tells how long to wait while the producer's transaction before is being ended, and for how long to do so at most
	// (add.partitions.to.txn.retry.backoff.ms and .max.ms); nil means 20 ms and 100 ms.
	Backoff func() (each, most time.Duration)
}

// Question is about partitions and one transaction. It has each partition once.
type Question struct {
	TransactionalID string
	Producer        kafka.ProducerID
	Epoch           kafka.ProducerEpoch
	Add             bool // have them made part of the transaction, which may begin with it
	Partitions      []kafka.TopicPartition
}

// Verifier asks. It is safe for concurrent use.
type Verifier struct {
	cfg Config
	ctx context.Context // of what is asked; ends with Close
	end context.CancelFunc
	wg  sync.WaitGroup
	mu  struct {
		sync.Mutex
		// asked has who waits for a node, while a goroutine asks it. A connection waits for one answer at a time, so that the
		// number of connections is the bound.
		asked  map[kafka.NodeID][]*waiting
		closed bool
	}
}

// waiting is a Question that somebody waits with.
type waiting struct {
	*Question
	answer chan []error // room for the one answer: an error or nil for each partition
}

// maxTransactions bounds one request.
const maxTransactions = 1000

// New makes a Verifier.
func New(c Config) *Verifier {
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Backoff == nil {
		c.Backoff = func() (each, most time.Duration) { return 20 * time.Millisecond, 100 * time.Millisecond }
	}
	v := &Verifier{cfg: c}
	v.ctx, v.end = context.WithCancel(context.Background())
	v.mu.asked = map[kafka.NodeID][]*waiting{}
	return v
}

// Close ends all questions and waits for the goroutines. Who still waits, or asks later, is told NETWORK_EXCEPTION.
func (v *Verifier) Close() {
	v.end()
	v.mu.Lock()
	v.mu.closed = true
	v.mu.Unlock()
	v.wg.Wait()
}

// Ask returns why each partition may not be written to, or nil for those that may. The errors are the coordinator's, as producers know
// them, COORDINATOR_NOT_AVAILABLE and the like where there is none, and NETWORK_EXCEPTION where it could not be asked, or ctx has ended.
func (v *Verifier) Ask(ctx context.Context, q Question) []error {
	begun := time.Now()
	for {
		errs := v.once(ctx, &q)
		each, most := v.cfg.Backoff()
		if !q.Add || !slices.Contains(errs, error(kerr.ConcurrentTransactions)) || time.Since(begun) >= most || !pause(ctx, each) {
			return errs
		}
	}
}

func (v *Verifier) once(ctx context.Context, q *Question) []error {
	node, err := v.cfg.Coordinator(ctx, q.TransactionalID)
	if err != nil {
		return q.all(err)
	}
	w := &waiting{Question: q, answer: make(chan []error, 1)}
	if !v.queue(node, w) {
		return q.all(kerr.NetworkException)
	}
	select {
	case errs := <-w.answer:
		return errs
	case <-ctx.Done():
		return q.all(kerr.NetworkException)
	}
}

// queue adds w to those who wait for the node, and has it asked.
func (v *Verifier) queue(node kafka.NodeID, w *waiting) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.closed {
		return false
	}
	others, busy := v.mu.asked[node]
	v.mu.asked[node] = append(others, w)
	if !busy {
		v.wg.Go(func() { v.serve(node) })
	}
	return true
}

// serve asks a node until nobody waits for it.
func (v *Verifier) serve(node kafka.NodeID) {
	for {
		round := v.take(node)
		if len(round) == 0 {
			return
		}
		v.ask(node, round)
	}
}

// take takes who goes into one request: a transactional id may be in it once, so others of the same wait for the next.
func (v *Verifier) take(node kafka.NodeID) (round []*waiting) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var later []*waiting
	ids := map[string]bool{}
	for _, w := range v.mu.asked[node] {
		if ids[w.TransactionalID] || len(round) == maxTransactions {
			later = append(later, w)
			continue
		}
		ids[w.TransactionalID] = true
		round = append(round, w)
	}
	if len(round) == 0 {
		delete(v.mu.asked, node)
		return nil
	}
	v.mu.asked[node] = later
	return round
}

// ask asks the node for all of a round, and answers them.
func (v *Verifier) ask(node kafka.NodeID, round []*waiting) {
	ctx, cancel := context.WithTimeout(v.ctx, v.cfg.Timeout)
	defer cancel()
	resp, err := v.cfg.Ask(ctx, node, request(round))
	found := map[string]*kmsg.AddPartitionsToTxnResponseTransaction{}
	switch {
	case err != nil:
		err = kerr.NetworkException
	case resp.ErrorCode != 0:
		err = known(resp.ErrorCode)
	default:
		for i := range resp.Transactions {
			found[resp.Transactions[i].TransactionalID] = &resp.Transactions[i]
		}
	}
	for _, w := range round {
		w.answer <- w.read(found[w.TransactionalID], err)
	}
}

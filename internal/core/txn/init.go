package txn

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// needsID is a request that waits for a producer id.
type needsID interface {
	// goOn decides anew, with the id, by the state there is then.
	goOn(t *turn, id kafka.ProducerID)
	fail(t *turn, err error)
}

// need parks a request until it has a producer id.
func (t *turn) need(n needsID) {
	t.s.lastTask++
	t.s.ids[t.s.lastTask] = n
	t.out.Tasks = append(t.out.Tasks, NewProducerID{Number: t.s.lastTask})
}

func (t *turn) gotProducerID(ev GotProducerID) {
	n, ok := t.s.ids[ev.Number]
	delete(t.s.ids, ev.Number)
	switch {
	case !ok:
	case ev.Err != nil:
		n.fail(t, ev.Err)
	default:
		n.goOn(t, ev.ID)
	}
}

// initialising is an InitProducerId of a transactional id.
type initialising struct {
	waiter
	id       string
	timeout  int32 // milliseconds
	producer kafka.ProducerID
	epoch    kafka.ProducerEpoch // NoProducerEpoch where the producer does not say which it had (KIP-360)
}

func (t *turn) initProducerID(w waiter, req *kmsg.InitProducerIDRequest) {
	i := initialising{waiter: w, timeout: req.TransactionTimeoutMillis, producer: kafka.NoProducerID, epoch: kafka.NoProducerEpoch}
	if req.TransactionalID != nil {
		i.id = strings.Clone(*req.TransactionalID)
	}
	if w.version >= 3 {
		i.producer, i.epoch = kafka.ProducerID(req.ProducerID), kafka.ProducerEpoch(req.ProducerEpoch)
	}
	switch {
	case i.id == "" || len(i.id) > maxID:
		i.fail(t, fmt.Errorf("transactional id of %d bytes: %w", len(i.id), kerr.InvalidRequest))
	case i.timeout <= 0 || time.Duration(i.timeout)*time.Millisecond > t.s.cfg.MaxTimeout:
		i.fail(t, kerr.InvalidTransactionTimeout)
	case (i.producer == kafka.NoProducerID) != (i.epoch == kafka.NoProducerEpoch):
		i.fail(t, fmt.Errorf("producer id %d with epoch %d: %w", i.producer, i.epoch, kerr.InvalidRequest))
	default:
		i.goOn(t, kafka.NoProducerID)
	}
}

func (i initialising) fail(t *turn, err error) {
	t.replyAfterCommit(i.waiter, initError(i.version, err))
}

// goOn gives the producer an epoch that nobody had, by the rules of KIP-360: one that says which it had is fenced if another came
// meanwhile.
func (i initialising) goOn(t *turn, fresh kafka.ProducerID) {
	x, known := t.s.saved.Get(i.id)
	switch {
	case !known:
		if fresh == kafka.NoProducerID {
			t.need(i)
			return
		}
		i.succeed(t, transaction{producer: fresh, epoch: 0, previous: kafka.NoProducerID}, kafka.NoProducerEpoch)
	case x.brings(i.producer):
		i.fail(t, kerr.ConcurrentTransactions)
	case !i.mayBe(x):
		i.fail(t, kerr.ProducerFenced)
	case x.state.prepared():
		i.fail(t, kerr.ConcurrentTransactions)
	case x.state == Ongoing:
		// The transaction is aborted first, under an epoch that fences whoever has it open. The client comes again.
		if i.outdated(t, x) {
			i.fail(t, kerr.ProducerFenced)
			return
		}
		t.fence(i.id, x)
		i.fail(t, kerr.ConcurrentTransactions)
	case x.epoch >= exhausted:
		if i.outdated(t, x) {
			i.fail(t, kerr.ProducerFenced)
			return
		}
		if fresh == kafka.NoProducerID {
			t.need(i)
			return
		}
		i.succeed(t, transaction{producer: fresh, epoch: 0, previous: x.producer}, i.last(x))
	case i.epoch != kafka.NoProducerEpoch && i.epoch != x.epoch && i.epoch == t.s.lastEpoch(i.id):
		t.replyAfterCommit(i.waiter, initialised(x.producer, x.epoch)) // it came before, and its answer was lost
	case i.outdated(t, x):
		i.fail(t, kerr.ProducerFenced)
	default:
		i.succeed(t, transaction{producer: x.producer, epoch: x.epoch + 1, previous: x.previous}, i.last(x))
	}
}

// mayBe tells whether the producer that asks is, or was just before, the one of the transactional id.
func (i initialising) mayBe(x transaction) bool {
	return i.producer == kafka.NoProducerID || i.producer == x.producer || i.producer == x.previous && i.epoch >= exhausted
}

// outdated tells whether another producer was initialised after the one that asks.
func (i initialising) outdated(t *turn, x transaction) bool {
	return i.epoch != kafka.NoProducerEpoch && i.producer == x.producer && i.epoch != x.epoch && i.epoch != t.s.lastEpoch(i.id)
}

// last is the epoch before, if the producer proved to have it.
func (i initialising) last(x transaction) kafka.ProducerEpoch {
	if i.epoch == kafka.NoProducerEpoch {
		return kafka.NoProducerEpoch
	}
	return x.epoch
}

func (i initialising) succeed(t *turn, x transaction, last kafka.ProducerEpoch) {
	x.next, x.timeout, x.state, x.started = kafka.NoProducerID, i.timeout, Empty, -1
	t.save(i.id, x)
	t.s.noted[i.id] = last
	t.replyAfterCommit(i.waiter, initialised(x.producer, x.epoch))
}

// remember keeps the epoch that a client of transactions v2 has, whose end is decided: should it ask for a new one without having heard
// of that, it gets the one that the end brought.
func (s *Shard) remember(id string, x transaction) {
	s.noted[id] = kafka.NoProducerEpoch
	if x.version >= 2 {
		s.noted[id] = x.epoch
	}
}

// fence aborts the transaction that is open, under an epoch that its producer does not have.
func (t *turn) fence(id string, x transaction) {
	t.s.remember(id, x)
	x.state, x.epoch = PrepareAbort, x.epoch+1
	t.decide(id, x)
}

// timedOut aborts a transaction whose time is over.
func (t *turn) timedOut(id string) {
	x, ok := t.s.saved.Get(id)
	if !ok || x.state != Ongoing {
		return
	}
	if end := x.started + int64(x.timeout); t.millis() < end { // another one has begun since
		t.armTimeout(id, x)
		return
	}
	t.fence(id, x)
}

// sweep forgets the ids that nobody used for long.
func (t *turn) sweep() {
	t.s.sweeping = false
	oldest := t.now.Add(-t.s.cfg.Expiration).UnixMilli()
	for _, id := range t.s.sorted() {
		if x, _ := t.s.saved.Get(id); x.state.idle() && x.updated <= oldest {
			t.out.Records = append(t.out.Records, machine.Record{Key: keyOf(id)})
		}
	}
}

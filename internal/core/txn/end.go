package txn

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// endVersion is the first EndTxn of transactions v2.
const endVersion = 5

// ending is an EndTxn.
type ending struct {
	waiter
	id       string
	producer kafka.ProducerID
	epoch    kafka.ProducerEpoch
	commit   bool
}

func (t *turn) endTxn(w waiter, req *kmsg.EndTxnRequest) {
	e := ending{w, strings.Clone(req.TransactionalID), kafka.ProducerID(req.ProducerID), kafka.ProducerEpoch(req.ProducerEpoch), req.Commit}
	if e.id == "" {
		e.fail(t, kerr.InvalidRequest)
		return
	}
	e.goOn(t, kafka.NoProducerID)
}

func (e ending) fail(t *turn, err error) { t.replyAfterCommit(e.waiter, endError(e.version, err)) }

// v2 tells whether the client speaks transactions v2.
func (e ending) v2() bool { return e.version >= endVersion }

// decided is the answer to a request whose transaction has ended as it asks.
func (e ending) decided(t *turn, x transaction) {
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(x.producer), int16(x.epoch)
	if x.next != kafka.NoProducerID {
		resp.ProducerID, resp.ProducerEpoch = int64(x.next), 0
	}
	t.replyAfterCommit(e.waiter, resp)
}

// goOn ends the transaction if there is one to end. A request that was answered before and comes again is known, with transactions v2,
// by the epoch: the end that it asked for has moved it on.
func (e ending) goOn(t *turn, fresh kafka.ProducerID) {
	x, ok := t.s.saved.Get(e.id)
	again := e.again(x)
	switch {
	case ok && x.brings(e.producer):
		e.fail(t, kerr.ConcurrentTransactions)
	case !ok || x.producer != e.producer && !again:
		e.fail(t, kerr.InvalidProducerIDMapping)
	case x.epoch != e.epoch && !again:
		e.fail(t, kerr.ProducerFenced)
	case x.state == Ongoing:
		e.end(t, x, fresh)
	case x.state.prepared():
		if e.commit != (x.state == PrepareCommit) {
			e.fail(t, kerr.InvalidTxnState)
			return
		}
		e.fail(t, kerr.ConcurrentTransactions)
	case x.state == Empty:
		e.endNothing(t, x, fresh)
	case x.version >= 2 && !again: // the client has moved on, and has begun nothing since
		e.endNothing(t, x, fresh)
	case e.commit != (x.state == CompleteCommit):
		e.fail(t, kerr.InvalidTxnState)
	default:
		e.decided(t, x)
	}
}

// again tells whether the request is one of transactions v2 for the end that the state shows. The last epoch of a producer id is for
// markers alone: where a fence brought it, the client is fenced.
func (e ending) again(x transaction) bool {
	if x.epoch > exhausted && x.next == kafka.NoProducerID || x.version < 2 || !(x.state.prepared() || x.state == CompleteCommit || x.state == CompleteAbort) {
		return false
	}
	overflown := x.previous == e.producer && e.epoch == exhausted && x.epoch == 0
	return x.producer == e.producer && x.epoch == e.epoch+1 || overflown
}

// endNothing is for the end of a transaction in which nothing was done: an abort of transactions v2 is taken, so that its epoch is
// over too, anything else is a mistake of the client.
func (e ending) endNothing(t *turn, x transaction, fresh kafka.ProducerID) {
	if e.commit || !e.v2() {
		e.fail(t, kerr.InvalidTxnState)
		return
	}
	x.started, x.partitions = t.millis(), nil
	e.end(t, x, fresh)
}

// end decides. With transactions v2 the epoch goes up by one for the markers, and the client goes on with it; the last epoch of a
// producer id has the client go on with a fresh one.
func (e ending) end(t *turn, x transaction, fresh kafka.ProducerID) {
	x.state, x.version, x.next = PrepareAbort, 1, kafka.NoProducerID
	if e.commit {
		x.state = PrepareCommit
	}
	if e.v2() {
		if x.epoch >= exhausted {
			if fresh == kafka.NoProducerID {
				t.need(e)
				return
			}
			x.next = fresh
		}
		x.version = 2
		t.s.remember(e.id, x)
		x.epoch++
	} else {
		t.s.remember(e.id, x)
	}
	t.decide(e.id, x)
	e.decided(t, x)
}

// finish has the markers of an end written that is committed.
func (t *turn) finish(id string) {
	x, ok := t.s.saved.Get(id)
	switch {
	case !ok || !x.state.prepared():
	case len(x.partitions) == 0:
		t.complete(t.s.marker(id, x))
	default:
		t.out.Tasks = append(t.out.Tasks, WriteMarkers{Marker: t.s.marker(id, x), Partitions: x.partitions})
	}
}

func (s *Shard) marker(id string, x transaction) Marker {
	return Marker{
		TransactionalID: id, Producer: x.producer, Epoch: x.epoch, Commit: x.state == PrepareCommit, Coordinator: s.cfg.Epoch, Version: x.version,
		Began: x.started,
	}
}

// retryAfter is how long to wait before a look whether an end is committed by now.
const retryAfter = 500 * time.Millisecond

// failed is for records about an end that are not in the log, or not committed in time: then they may be yet.
func (t *turn) failed(id string) {
	switch x, ok := t.s.saved.Get(id); {
	case !ok:
	case x.state == Ongoing: // the end is not in the log
		t.armTimeout(id, x)
	case x.state.prepared():
		t.arm(machine.TimerID{Kind: RetryTimer, Of: id}, retryAfter)
	}
}

// retry has the markers of an end written, if it is committed by now.
func (t *turn) retry(id string) {
	x, _ := t.s.saved.Get(id)
	switch final, ok := t.s.saved.Committed(id); {
	case !x.state.prepared():
		t.failed(id)
	case ok && final.state == x.state && final.is(x.producer, x.epoch):
		t.finish(id)
	default:
		t.arm(machine.TimerID{Kind: RetryTimer, Of: id}, retryAfter)
	}
}

// complete says that every partition has its marker, unless that was said before, or of an earlier transaction: with transactions v1
// its producer and epoch are the same.
func (t *turn) complete(m Marker) {
	x, ok := t.s.saved.Get(m.TransactionalID)
	if !ok || !x.state.prepared() || t.s.marker(m.TransactionalID, x) != m {
		return
	}
	if x.state == PrepareCommit {
		x.state = CompleteCommit
	} else {
		x.state = CompleteAbort
	}
	if x.next != kafka.NoProducerID {
		x.previous, x.producer, x.epoch, x.next = x.producer, x.next, 0, kafka.NoProducerID
	}
	x.partitions = nil
	t.watch(m.TransactionalID, x)
}

package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/history"
)

const (
	// transactionTimeout is how long the records of a client that has crashed keep readers waiting, if none of its name follows.
	transactionTimeout = 15 * time.Second
	// abortedOneIn, abandonedOneIn: one transaction in so many is given up, and one in so many is left open by its client.
	abortedOneIn, abandonedOneIn = 5, 60
)

// transact is one transactional producer after another, all of one transactional id: each fences the one before, and ends what that
// left open.
func (l *Load) transact(i int) {
	chance := l.chance(uint64(i) + 400)
	for l.sending.Err() == nil {
		life, cancel := context.WithTimeout(l.sending, between(chance, shortLife, longLife))
		t, err := l.newTransactor(i, chance)
		if err != nil {
			cancel()
			l.cfg.Note("client", err.Error())
			return
		}
		for life.Err() == nil && t.transaction(l.ctx) == nil {
			pause(life, time.Duration(float64(t.size)*float64(producers)/float64(l.cfg.Rate)*float64(time.Second)))
		}
		cancel()
		t.cl.Close()
		pause(l.sending, retryPause)
	}
}

type transactor struct {
	producer
	chance *rand.Rand
	size   int // records of the last transaction
}

func (l *Load) newTransactor(i int, chance *rand.Rand) (*transactor, error) {
	t := &transactor{producer: producer{l: l, who: fmt.Sprintf("transactional producer %d", i), log: l.cfg.Recorder.Producer()}, chance: chance}
	var err error
	t.cl, err = l.client(fmt.Sprintf("transactor-%d", t.log.ID()),
		kgo.TransactionalID(fmt.Sprintf("transactor-%d", i)), kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProduceRequestTimeout(produceTimeout), kgo.UnknownTopicRetries(-1))
	return t, err
}

// transaction writes to every partition and commits, gives up, or leaves the transaction as it is. After an error the client is of no
// more use, and what became of the transaction is not known.
func (t *transactor) transaction(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := t.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	t.log.Begin()
	begun := time.Now()
	if err := t.fill(ctx); err != nil {
		return err
	}
	switch {
	case t.chance.IntN(abandonedOneIn) == 0:
		return fmt.Errorf("the transaction is left open")
	case t.chance.IntN(abortedOneIn) == 0:
		if err := t.cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
			return fmt.Errorf("abort: %w", err)
		}
		t.log.Ended(history.TxnAborted)
		return nil
	}
	t.log.Committing()
	if err := t.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.log.Ended(history.TxnCommitted)
	for partition := range t.l.cfg.Partitions {
		t.l.Acks.note(partition, begun)
	}
	return nil
}

// fill sends a few records to each partition and returns once all are acknowledged.
func (t *transactor) fill(ctx context.Context) error {
	var failed atomic.Pointer[error]
	t.size = 0
	for partition := range t.l.cfg.Partitions {
		for range 1 + t.chance.IntN(4) {
			v := t.log.Send(partition)
			t.size++
			r := &kgo.Record{Topic: t.l.cfg.Topic, Partition: partition, Value: encode(v)}
			t.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
				switch {
				case err != nil:
					failed.Store(&err)
				case r.Offset >= 0: // a batch that was known already comes back without its place
					t.log.Acked(v, r.Offset)
				default:
					t.log.Acked(v, history.Somewhere)
				}
			})
		}
	}
	if err := t.cl.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/history"
)

const (
	copiers     = 2
	copierGroup = "copiers"
)

// copyOn is one copier after another: a consumer of the topic in a group, which writes what it reads to the topic of copies, in
// transactions that hold the offsets read, too. They crash between whichever two steps their time ends.
func (l *Load) copyOn(i int) {
	chance := l.chance(uint64(i) + 500)
	for l.ctx.Err() == nil {
		life, cancel := context.WithTimeout(l.ctx, between(chance, shortLife, longLife))
		if err := l.copier(life, i); err != nil && l.ctx.Err() == nil && life.Err() == nil {
			fmt.Fprintf(l.cfg.Log, "copier-%d ends: %v\n", i, err)
		}
		cancel()
		pause(l.ctx, retryPause)
	}
}

func (l *Load) copier(ctx context.Context, i int) error {
	prefix := func() string { return fmt.Sprintf("%s copier-%d ", time.Now().Format("15:04:05.000"), i) }
	s, err := kgo.NewGroupTransactSession(append(append(impatient(), l.committedOnly()...),
		kgo.SeedBrokers(l.cfg.Seeds...), kgo.WithLogger(kgo.BasicLogger(l.cfg.Log, kgo.LogLevelInfo, prefix)),
		kgo.TransactionalID(fmt.Sprintf("copier-%d", i)), kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProduceRequestTimeout(produceTimeout), kgo.UnknownTopicRetries(-1),
		kgo.ConsumeTopics(l.cfg.Topic), kgo.ConsumerGroup(copierGroup), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second), kgo.RebalanceTimeout(15*time.Second),
		kgo.FetchMaxWait(500*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer s.Close()
	for ctx.Err() == nil {
		fetches := s.PollRecords(ctx, 500)
		if l.complaints(fmt.Sprintf("copier-%d", i), fetches) {
			return nil
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := l.copy(ctx, s, fetches); err != nil {
			return err
		}
	}
	return nil
}

// copy writes what was fetched and its offsets in one transaction. After an error the session is of no more use.
func (l *Load) copy(ctx context.Context, s *kgo.GroupTransactSession, fetches kgo.Fetches) error {
	if err := s.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var failed atomic.Bool
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Attrs.IsControl() {
			return
		}
		s.Produce(ctx, &kgo.Record{Topic: l.cfg.Copies, Partition: r.Partition, Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
	})
	if err := s.Client().Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if _, err := s.End(ctx, kgo.TransactionEndTry(!failed.Load())); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// committedOnly are the settings of readers of transactions. Markers are given as well, so that the readers see how far they have come.
func (l *Load) committedOnly() []kgo.Opt {
	if l.cfg.Copies == "" {
		return nil
	}
	return []kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()}
}

// CopiedUpTo waits until the offsets that the copiers committed are at the ends.
func (l *Load) CopiedUpTo(ctx context.Context, ends map[int32]int64) error {
	cl, err := l.client("copied")
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for {
		behind := l.uncopied(ctx, admin, ends)
		if behind == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the copiers did not get to the end in time: %w", behind)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func (l *Load) uncopied(ctx context.Context, admin *kadm.Client, ends map[int32]int64) error {
	committed, err := admin.FetchOffsets(ctx, copierGroup)
	if err != nil {
		return err
	}
	for p, end := range ends {
		if o, ok := committed.Lookup(l.cfg.Topic, p); !ok || o.At < end {
			return fmt.Errorf("partition %d at %d of %d", p, o.At, end)
		}
	}
	return nil
}

// ReadCopies reads the copies up to the given ends, and judges them against what the final reader of the input was given.
func (l *Load) ReadCopies(ctx context.Context, ends map[int32]int64) (history.Verdict, error) {
	var r history.Recorder
	if err := l.readAll(ctx, l.cfg.Copies, r.FinalConsumer("copies"), ends); err != nil {
		return nil, err
	}
	return history.Copied(finalValues(l.cfg.Recorder.History()), finalValues(r.History())), nil
}

// finalValues is what the final readers were given, by partition.
func finalValues(h history.History) map[int32][]history.Value {
	values := map[int32][]history.Value{}
	for _, c := range h.Consumers {
		if !c.Final {
			continue
		}
		for _, e := range c.Events {
			for _, r := range e.Reads {
				values[e.Partition] = append(values[e.Partition], r.Value)
			}
		}
	}
	return values
}

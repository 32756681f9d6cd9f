package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// copier moves one partition of a topic to another topic, with its offsets in the same transaction. It is a consumer without membership:
// franz-go's sessions of groups hold a mutex while they wait, which a bubble of synctest does not get over.
type copier struct {
	w         *world
	id        string
	partition int32
	v1        bool // it tells the coordinator of its partitions itself
	opts      []kgo.Opt
	copied    *atomic.Int64
}

func (c *copier) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.life(ctx)
		time.Sleep(10 * time.Millisecond)
	}
}

// life is one process, which ends after an error, or after some rounds in the middle of a transaction.
func (c *copier) life(ctx context.Context) {
	from, err := c.position(ctx)
	if err != nil {
		return
	}
	cl := c.w.client(append([]kgo.Opt{
		kgo.TransactionalID(c.id), kgo.TransactionTimeout(10 * time.Second), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"in": {c.partition: kgo.NewOffset().At(from)}}),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(500 * time.Millisecond), kgo.RequestTimeoutOverhead(time.Second),
	}, c.opts...)...)
	defer cl.Close()
	for rounds := 0; ctx.Err() == nil; rounds++ {
		records := cl.PollRecords(ctx, 20).Records()
		if len(records) == 0 {
			continue
		}
		if err := cl.BeginTransaction(); err != nil {
			return
		}
		failed := kgo.AbortingFirstErrPromise(cl)
		for _, r := range records {
			cl.Produce(ctx, &kgo.Record{Topic: "out", Partition: r.Partition, Value: r.Value}, failed.Promise())
		}
		if err := c.commit(ctx, cl, records[len(records)-1].Offset+1); err != nil || rounds == 30 {
			return
		}
		if err := errors.Join(cl.Flush(ctx), failed.Err()); err != nil {
			return
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return
		}
		c.copied.Add(int64(len(records)))
	}
}

// position is where the copier goes on: what a transaction has not committed yet is waited for.
func (c *copier) position(ctx context.Context) (int64, error) {
	cl := c.w.client()
	defer cl.Close()
	req := kmsg.NewPtrOffsetFetchRequest()
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = "in", []int32{c.partition}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "copiers", append(g.Topics, topic)
	req.Groups, req.RequireStable = append(req.Groups, g), true
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return 0, err
		}
		g := resp.Groups[0]
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return 0, err
		}
		p := g.Topics[0].Partitions[0]
		if p.ErrorCode == 0 {
			return max(p.Offset, 0), nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// commit writes the offset in the transaction that is open.
func (c *copier) commit(ctx context.Context, cl *kgo.Client, offset int64) error {
	id, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	if c.v1 {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = c.id, id, epoch, "copiers"
		for {
			resp, err := req.RequestWith(ctx, cl)
			if err == nil {
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			if err == nil {
				break
			}
			if err != kerr.ConcurrentTransactions {
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = c.id, id, epoch, "copiers"
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = c.partition, offset
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "in", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		if err == nil || !kerr.IsRetriable(err) && err != kerr.ConcurrentTransactions {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// feed writes numbers to each partition of a topic, and does after every hundred what it is told.
func (w *world) feed(topic string, partitions, each int, meanwhile func(i int)) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	defer cl.Close()
	for i := range each {
		for p := range partitions {
			cl.Produce(w.t.Context(), &kgo.Record{Partition: int32(p), Value: []byte(strconv.Itoa(i))}, func(_ *kgo.Record, err error) {
				if err != nil {
					w.t.Error(err)
				}
			})
		}
		if err := cl.Flush(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if time.Sleep(5 * time.Millisecond); i%100 == 99 {
			meanwhile(i / 100)
		}
	}
}

// fedOnce wants the numbers of feed in each partition of a topic, once and in order.
func (w *world) fedOnce(topic string, partitions, each int) {
	w.t.Helper()
	w.settled(topic, int32(partitions))
	w.settled(kafka.OffsetsTopic, 3)
	for p, values := range w.readCommitted(topic, int32(partitions)) {
		for i, v := range values {
			if v != strconv.Itoa(i) {
				w.t.Fatalf("partition %d has %s where %d is to be: %s", p, v, i, strings.Join(values[max(0, i-3):min(len(values), i+3)], " "))
			}
		}
		if len(values) != each {
			w.t.Errorf("partition %d has %d records of %d", p, len(values), each)
		}
	}
}

// TestCopiersCopyEachRecordOnce, while nodes and copiers die: what they consume and what they produce is one.
func TestCopiersCopyEachRecordOnce(t *testing.T) {
	for name, opts := range clientsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const partitions, each = 3, 600
				w := txnWorld(t, 3)
				w.topic("in", partitions)
				w.topic("out", partitions)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var copied atomic.Int64
				var copiers sync.WaitGroup
				for p := range int32(partitions) {
					c := &copier{w: w, id: fmt.Sprint("copier", p), partition: p, v1: name == "v1", opts: opts, copied: &copied}
					copiers.Go(func() { c.run(ctx) })
				}
				w.feed("in", partitions, each, func(i int) {
					id := w.coordinator("copier0")
					if i%2 == 1 {
						found := kadm.NewClient(w.client()).FindGroupCoordinators(ctx, "copiers")
						id = int(found["copiers"].NodeID)
					}
					if id < 1 || w.node(id).process == nil {
						return
					}
					w.kill(id, i == 3)
					time.Sleep(200 * time.Millisecond)
					w.start(id)
					w.inSync("out")
				})
				for began := time.Now(); copied.Load() < partitions*each && time.Since(began) < time.Minute; {
					time.Sleep(100 * time.Millisecond)
				}
				cancel()
				copiers.Wait()
				w.fedOnce("out", partitions, each)
			})
		})
	}
}

// session is a copier whose group gives it partitions, by franz-go's own means, until ctx ends; it makes room for the others after some rounds.
func (w *world) session(ctx context.Context, id string, copied *atomic.Int64, opts ...kgo.Opt) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(w.options(append([]kgo.Opt{
			kgo.ConsumerGroup("sessions"), kgo.ConsumeTopics("in"), kgo.HeartbeatInterval(100 * time.Millisecond), kgo.SessionTimeout(6 * time.Second),
			kgo.TransactionalID(id), kgo.TransactionTimeout(10 * time.Second), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(500 * time.Millisecond), kgo.RequestTimeoutOverhead(time.Second),
		}, opts...)...)...)
		if err != nil {
			w.t.Error(err)
			return
		}
		for rounds := 0; rounds < 15 && w.round(ctx, s, copied); rounds++ {
		}
		s.Close()
	}
}

// round copies what one poll brings, and tells whether the session is of use.
func (w *world) round(ctx context.Context, s *kgo.GroupTransactSession, copied *atomic.Int64) bool {
	records := s.PollRecords(ctx, 20).Records()
	if ctx.Err() != nil || s.Begin() != nil {
		return false
	}
	failed := kgo.AbortingFirstErrPromise(s.Client())
	for _, r := range records {
		s.Produce(ctx, &kgo.Record{Topic: "out", Partition: r.Partition, Value: r.Value}, failed.Promise())
	}
	ok, err := s.End(ctx, kgo.TransactionEndTry(failed.Err() == nil))
	if ok {
		copied.Add(int64(len(records)))
	}
	return err == nil
}

// TestSessionsOfGroupsCopyEachRecordOnce, while their members come and go. It is in real time: see copier.
func TestSessionsOfGroupsCopyEachRecordOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, opts := range clientsOf {
		t.Run(name, func(t *testing.T) {
			const partitions, each = 4, 200
			w := txnWorld(t, 3)
			w.topic("in", partitions)
			w.topic("out", partitions)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var copied atomic.Int64
			var sessions sync.WaitGroup
			for i := range 2 {
				sessions.Go(func() { w.session(ctx, fmt.Sprint("session", i), &copied, opts...) })
			}
			w.feed("in", partitions, each, func(i int) {
				sessions.Go(func() { w.session(ctx, fmt.Sprint("session", 2+i), &copied, opts...) })
			})
			for began := time.Now(); copied.Load() < partitions*each && time.Since(began) < 30*time.Second; {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			sessions.Wait()
			w.fedOnce("out", partitions, each)
		})
	}
}

package cluster

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// clientsOf are clients of transactions v2, which have partitions added by their batches, and of v1, which add them themselves and are
// verified.
var clientsOf = map[string][]kgo.Opt{"v2": nil, "v1": {kgo.MaxVersions(kversion.V3_6_0())}}

// coordinator is the node that coordinates a transactional id.
func (w *world) coordinator(id string) int {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	for range 600 {
		found := kadm.NewClient(cl).FindTxnCoordinators(w.t.Context(), id)
		if c := found[id]; c.Err == nil && w.node(int(c.NodeID)).process != nil {
			return int(c.NodeID)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("nobody coordinates %s for a minute", id)
	return 0
}

func TestTransactionsAreWholeWhenNodesDie(t *testing.T) {
	for name, opts := range clientsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := txnWorld(t, 3)
				w.topic("t", 3)
				l := w.transactions("t", 3, 3, opts...)
				l.goesOn(20)
				for i := range 6 {
					id := w.coordinator("p0")
					if i%2 == 1 {
						id = int(w.partition("t").Leader)
					}
					w.kill(id, i >= 4)
					within(t, "six more transactions after a kill", l.goesOn(6), 20*time.Second)
					w.start(id)
					w.inSync("t")
				}
				l.goesOn(20)
				l.check()
			})
		})
	}
}

func TestTransactionsOutliveTheLossOfPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := txnWorld(t, 3)
		w.topic("t", 2)
		l := w.transactions("t", 2, 2)
		for range 3 {
			l.goesOn(12)
			for id := 1; id <= 3; id++ {
				w.kill(id, true)
			}
			w.startAll()
		}
		l.goesOn(12)
		l.check()
	})
}

func TestTransactionsGoOnDuringARollingRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := txnWorld(t, 3)
		w.topic("t", 2)
		l := w.transactions("t", 2, 3)
		l.goesOn(20)
		for id := 1; id <= 3; id++ {
			w.stop(id)
			w.start(id)
			w.inSync("t")
			within(t, "six more transactions after a restart", l.goesOn(6), 10*time.Second)
		}
		l.check()
	})
}

// TestASilentNodeHangsNoTransaction: partitions whose node cannot be heard get others, and the markers go there.
func TestASilentNodeHangsNoTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := txnWorld(t, 3)
		w.topic("t", 3)
		l := w.transactions("t", 3, 2)
		l.goesOn(12)
		for range 2 {
			silent := w.node(w.coordinator("p1"))
			silent.host.silence()
			time.Sleep(5 * time.Second)
			l.goesOn(6)
			silent.host.heal()
			w.inSync("t")
		}
		l.check()
	})
}

// A second process with the transactional id of a first ends the first's transaction, and the first is told.
func TestTheLaterOfTwoWithATransactionalIDGoesOn(t *testing.T) {
	for name, opts := range clientsOf {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := txnWorld(t, 3)
				w.topic("t", 1)
				opts := append(opts, kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
				first, second := w.client(opts...), w.client(opts...)
				write := func(cl *kgo.Client, value string) error {
					return cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr()
				}
				must := func(err error) {
					if t.Helper(); err != nil {
						t.Fatal(err)
					}
				}
				must(first.BeginTransaction())
				must(write(first, "lost"))
				must(second.BeginTransaction())
				must(write(second, "kept"))
				if err := write(first, "late"); !fenced(err) {
					t.Errorf("the first writes: %v", err)
				}
				if err := first.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
					t.Error("the first commits")
				}
				must(second.EndTransaction(t.Context(), kgo.TryCommit))
				w.settled("t", 1)
				if got := fmt.Sprint(w.readCommitted("t", 1)); got != "[[kept]]" {
					t.Errorf("read: %s", got)
				}
			})
		})
	}
}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// rawProducer is a client of transactions v1 that does what no client should.
type rawProducer struct {
	w     *world
	cl    *kgo.Client
	id    int64
	epoch int16
	seq   int32
}

// ask repeats a request while its producer is to come again.
func (r *rawProducer) ask(req kmsg.Request, code func(kmsg.Response) int16) {
	r.w.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		resp, err := r.cl.Request(r.w.t.Context(), req)
		if err == nil {
			err = kerr.ErrorForCode(code(resp))
		}
		if err == nil {
			return
		}
		if !kerr.IsRetriable(err) && err != kerr.ConcurrentTransactions || time.Since(began) > time.Minute {
			r.w.t.Fatalf("%T: %v", req, err)
		}
	}
}

func (r *rawProducer) init() {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = kmsg.StringPtr("x"), 60_000, -1, -1
	r.ask(req, func(resp kmsg.Response) int16 {
		is := resp.(*kmsg.InitProducerIDResponse)
		r.id, r.epoch = is.ProducerID, is.ProducerEpoch
		return is.ErrorCode
	})
}

func (r *rawProducer) add(topic string) {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = "x", r.id, r.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	r.ask(req, func(resp kmsg.Response) int16 {
		return resp.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	})
}

func (r *rawProducer) end(commit bool) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = "x", r.id, r.epoch, commit
	r.ask(req, func(resp kmsg.Response) int16 { return resp.(*kmsg.EndTxnResponse).ErrorCode })
}

// write sends one batch to partition 0 of a topic.
func (r *rawProducer) write(topic, value string) error {
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: kafka.ProducerID(r.id), Epoch: kafka.ProducerEpoch(r.epoch), BaseSequence: r.seq, Transactional: true, ZeroProducer: true})
	b.Append(time.Now().UnixMilli(), nil, []byte(value), nil)
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = kmsg.StringPtr("x"), -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{{Records: b.Bytes(nil)}}
	req.Topics = append(req.Topics, t)
	resp, err := r.cl.Broker(int(r.w.partition(topic).Leader)).Request(r.w.t.Context(), req)
	if err != nil {
		return err
	}
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if p.ErrorCode == 0 {
		r.seq++
	}
	return kerr.ErrorForCode(p.ErrorCode)
}

// A batch that comes when its transaction has ended begins nothing that no marker would end: clients of transactions v1 have the same epoch
// in the next, and only the coordinator knows.
func TestABatchThatComesLateBeginsNothing(t *testing.T) {
	for want, versions := range map[*kerr.Error]*kversion.Versions{kerr.InvalidTxnState: kversion.V3_6_0(), kerr.TransactionAbortable: kversion.V3_9_0()} {
		synctest.Test(t, func(t *testing.T) {
			w := txnWorld(t, 3)
			w.topic("t", 1)
			r := &rawProducer{w: w, cl: w.client(kgo.DisableIdempotentWrite(), kgo.MaxVersions(versions))}
			r.init()
			for range 2 {
				r.add("t")
				r.end(false)
				err := r.write("t", "late")
				for errors.Is(err, kerr.NotEnoughReplicas) { // the markers are under way
					time.Sleep(10 * time.Millisecond)
					err = r.write("t", "late")
				}
				if !errors.Is(err, want) {
					t.Errorf("a late batch is answered %v, want %v", err, want)
				}
				w.settled("t", 1)
			}
			r.add("t")
			if err := r.write("t", "in time"); err != nil {
				t.Error(err)
			}
			r.end(true)
			w.settled("t", 1)
			if got := fmt.Sprint(w.readCommitted("t", 1)); got != "[[in time]]" {
				t.Errorf("read: %s", got)
			}
		})
	}
}

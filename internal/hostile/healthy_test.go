package hostile

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// healthy is a client that goes on with its work while a node is attacked: it produces numbers one after the other, each
// acknowledged before the next, and consumes them in a group.
type healthy struct {
	t    testing.TB
	v    *victim
	most time.Duration // that one record may take to be acknowledged
	stop context.CancelFunc

	acked     atomic.Int64 // numbers acknowledged: all below
	settled   atomic.Bool  // no more are produced
	latencies []time.Duration
	produced  chan error // the producer's end
	consumed  chan error // the consumer's
}

const healthyTopic = "healthy"

// patience bounds what anybody waits for a node that is not stuck, on a machine that is busy with other tests.
const patience = raceCost * 15 * time.Second

// beside starts a healthy client, and returns when it is at work; it is judged when the test ends, before the node stops.
func (v *victim) beside(most time.Duration) *healthy {
	v.t.Helper()
	h := &healthy{t: v.t, v: v, most: most, produced: make(chan error, 1), consumed: make(chan error, 1)}
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	// A flood that comes before it has all its connections keeps it out, as it does any new client.
	writes, reads := make(chan struct{}), make(chan struct{})
	go func() { h.produced <- h.produce(ctx, writes) }()
	consumer := v.client(kgo.ConsumeTopics(healthyTopic), kgo.ConsumerGroup("healthy-group"), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	reading, cancel := context.WithCancel(context.Background())
	go func() { h.consumed <- h.consume(reading, consumer, reads) }()
	v.t.Cleanup(func() {
		h.finish(cancel)
		consumer.Close()
	})
	for _, begun := range []chan struct{}{writes, reads} {
		select {
		case <-begun:
		case <-time.After(patience):
			v.t.Fatal("the healthy client did not begin")
		}
	}
	return h
}

func (h *healthy) produce(ctx context.Context, begun chan<- struct{}) error {
	cl := h.v.client(kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0), kgo.UnknownTopicRetries(20))
	defer cl.Close()
	next := time.NewTicker(5 * time.Millisecond)
	defer next.Stop()
	for {
		n := uint64(h.acked.Load())
		sent := time.Now()
		limited, cancel := context.WithTimeout(context.Background(), h.most+patience)
		err := cl.ProduceSync(limited, &kgo.Record{Topic: healthyTopic, Value: binary.BigEndian.AppendUint64(nil, n)}).FirstErr()
		cancel()
		if err != nil {
			return err
		}
		h.latencies = append(h.latencies, time.Since(sent))
		if h.acked.Add(1) == 1 {
			close(begun)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
	}
}

// consume reads until ctx ends, and tells of the first number that is out of order. It sends nil for all that was acked.
func (h *healthy) consume(ctx context.Context, cl *kgo.Client, begun chan<- struct{}) error {
	next := uint64(0)
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		for r := range fetches.RecordsAll() {
			if got := binary.BigEndian.Uint64(r.Value); got != next {
				h.t.Errorf("the healthy client read %d instead of %d", got, next)
				return nil
			}
			if next++; next == 1 {
				close(begun)
			}
		}
		if h.settled.Load() && next == uint64(h.acked.Load()) {
			return nil
		}
	}
}

// finish waits for the client's last record and judges it.
func (h *healthy) finish(cancel context.CancelFunc) {
	h.t.Helper()
	h.stop()
	if err := <-h.produced; err != nil {
		h.t.Errorf("the healthy client cannot produce: %v", err)
	}
	h.settled.Store(true)
	late := time.AfterFunc(patience, cancel)
	defer late.Stop()
	defer cancel()
	// One more record wakes the consumer if it has read the last one before it could know.
	cl := h.v.client()
	defer cl.Close()
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	n := h.acked.Add(1) - 1
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: healthyTopic, Value: binary.BigEndian.AppendUint64(nil, uint64(n))}).FirstErr(); err != nil {
		h.t.Errorf("the healthy client's last record: %v", err)
	}
	if err := <-h.consumed; err != nil {
		h.t.Errorf("the healthy client has not read all %d records: %v", n+1, err)
	}
	if len(h.latencies) == 0 {
		return
	}
	slices.Sort(h.latencies)
	at := func(part float64) time.Duration {
		return h.latencies[int(part*float64(len(h.latencies)-1))].Round(10 * time.Microsecond)
	}
	h.t.Logf("healthy client: %d records, acknowledged in %v (half), %v (99%%), %v (all)", n+1, at(0.5), at(0.99), at(1))
	if at(1) > h.most {
		h.t.Errorf("the healthy client waited %v for an acknowledgement, more than %v", at(1), h.most)
	}
}

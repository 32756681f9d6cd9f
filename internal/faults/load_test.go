package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic      = "promises"
	partitions = 4
)

// load is an idempotent acks=all producer that writes 0, 1, 2, … into every partition until it is stopped, through
// whatever happens to the node, and remembers what was acknowledged.
type load struct {
	t    *testing.T
	addr string
	wire *wire
	cl   *kgo.Client
	stop context.CancelFunc
	done sync.WaitGroup

	mu struct {
		sync.Mutex
		moved  chan struct{}                // closed and replaced at every acknowledgement
		acked  [partitions]map[uint64]int64 // value → offset
		total  int
		failed error
	}
}

func startLoad(t *testing.T, addr string) *load {
	t.Helper()
	l := &load{t: t, addr: addr, wire: newWire()}
	l.mu.moved = make(chan struct{})
	for p := range l.mu.acked {
		l.mu.acked[p] = map[uint64]int64{}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr),
		kgo.Dialer(l.wire.dial),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(64<<10),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(4000),
		kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.RequestRetries(1<<30),
		kgo.RetryTimeout(time.Hour),
		kgo.UnknownTopicRetries(-1),
		kgo.ProducerOnDataLossDetected(func(topic string, p int32) {
			l.fail(fmt.Errorf("the client detected data loss in %s-%d: its sequence numbers were not accepted", topic, p))
		}))
	if err != nil {
		t.Fatal(err)
	}
	l.cl = cl
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	for p := range int32(partitions) {
		l.done.Go(func() { l.write(ctx, p) })
	}
	// Closing the client first frees the writers that wait for room in its buffer.
	t.Cleanup(func() { cancel(); cl.Close(); l.done.Wait() })
	return l
}

func (l *load) write(ctx context.Context, p int32) {
	for v := uint64(0); ctx.Err() == nil; v++ {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, 128), v)
		r := &kgo.Record{Topic: topic, Partition: p, Value: value[:100]}
		// Produce blocks while the buffer is full; the record itself is never cancelled.
		l.cl.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) { l.acknowledged(p, v, r.Offset, err) })
	}
}

func (l *load) acknowledged(p int32, v uint64, offset int64, err error) {
	if err != nil {
		l.fail(fmt.Errorf("record %d of partition %d: %w", v, p, err))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.acked[p][v] = offset
	l.mu.total++
	close(l.mu.moved)
	l.mu.moved = make(chan struct{})
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed == nil {
		l.mu.failed = err
	}
}

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.total
}

// progress returns once n more records were acknowledged than at the call.
func (l *load) progress(n int) {
	l.t.Helper()
	deadline := time.After(30 * time.Second)
	want := l.total() + n
	for {
		l.mu.Lock()
		total, moved, failed := l.mu.total, l.mu.moved, l.mu.failed
		l.mu.Unlock()
		if failed != nil {
			l.diagnose(failed)
		}
		if total >= want {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			l.diagnose(fmt.Errorf("only %d records acknowledged of %d within half a minute", total, want))
		}
	}
}

// diagnose ends the test after a failure of the load, and tells what of the acknowledged records is missing: a client whose
// acknowledged records are gone mostly sees no more than sequence numbers that are refused.
func (l *load) diagnose(failure error) {
	l.t.Helper()
	l.t.Error(failure)
	l.stop()
	l.cl.Close() // nothing is acknowledged from here on
	l.check(l.addr)
	l.t.FailNow()
}

// finish ends the load with every record acknowledged.
func (l *load) finish() {
	l.t.Helper()
	l.stop()
	l.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.cl.Flush(ctx); err != nil {
		l.t.Fatalf("flush the producer: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		l.t.Error(l.mu.failed)
	}
}

// check reads the topic whole and compares: every acknowledged record is there at its offset, none twice, order kept.
func (l *load) check(addr string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		l.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		l.t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	next := [partitions]uint64{}
	read, wrong := 0, 0
	for len(left) > 0 && wrong < 10 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			l.t.Fatalf("read back: %v (%d records read, ends left %v)", err, read, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !l.compare(r, &next[r.Partition]) {
				wrong++
			}
			read++
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	for p := range l.mu.acked {
		for v, offset := range l.mu.acked[p] {
			if v < next[p] {
				continue
			}
			if lost++; lost < 10 {
				l.t.Errorf("lost: record %d of partition %d, acknowledged at offset %d; the log ends before record %d", v, p, offset, next[p])
			}
		}
	}
	l.t.Logf("%d records acknowledged, %d read back, %d lost, %d twice or out of order", l.mu.total, read, lost, wrong)
}

// compare holds one record against what must come next: values count up from 0 without a gap or a repetition.
func (l *load) compare(r *kgo.Record, next *uint64) (right bool) {
	v := binary.BigEndian.Uint64(r.Value)
	right = v == *next
	switch {
	case v < *next:
		l.t.Errorf("partition %d offset %d: record %d again or out of order, want %d", r.Partition, r.Offset, v, *next)
	case v > *next:
		l.t.Errorf("partition %d offset %d: record %d, but %d to %d are missing", r.Partition, r.Offset, v, *next, v-1)
	}
	*next = v + 1
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.mu.acked[r.Partition][v]; ok && at != r.Offset {
		l.t.Errorf("partition %d: record %d was acknowledged at offset %d and is read at %d", r.Partition, v, at, r.Offset)
		return false
	}
	return right
}

// createTopic makes the topic under test.
func createTopic(t *testing.T, addr string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}, topic); err != nil {
		t.Fatal(err)
	}
}

package cluster

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load is a producer of numbers, one after the other, that notes which were acknowledged.
type load struct {
	w      *world
	topic  string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	acked   []int
	last    time.Time     // the last acknowledgement
	longest time.Duration // between two
}

func (w *world) load(topic string) *load {
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &load{w: w, topic: topic, cancel: cancel, last: time.Now()}
	cl := w.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProduceRequestTimeout(500*time.Millisecond), kgo.RequestTimeoutOverhead(500*time.Millisecond))
	l.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			err := cl.ProduceSync(ctx, &kgo.Record{Value: []byte(strconv.Itoa(i))}).FirstErr()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				w.t.Errorf("the client was told of an error for record %d: %v", i, err)
				return
			}
			l.ack(i)
			time.Sleep(5 * time.Millisecond)
		}
	})
	return l
}

func (l *load) ack(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, i)
	now := time.Now()
	l.longest = max(l.longest, now.Sub(l.last))
	l.last = now
}

// gap is the longest time between two acknowledgements since the last call.
func (l *load) gap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := l.longest
	l.longest = 0
	return longest
}

// goesOn waits until more is acknowledged, and tells how long that took.
func (l *load) goesOn() time.Duration {
	l.w.t.Helper()
	l.mu.Lock()
	was := len(l.acked)
	l.mu.Unlock()
	began := time.Now()
	for time.Since(began) < time.Minute {
		l.mu.Lock()
		now := len(l.acked)
		l.mu.Unlock()
		if now > was+1 { // the first may have been acknowledged before
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	l.w.t.Fatal("nothing was acknowledged for a minute")
	return 0
}

// check ends the load and compares what was acknowledged with what is there: all of it, once, in order.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.cancel()
	l.done.Wait()
	read := l.w.read(l.topic, len(l.acked))
	next := 0
	for i, v := range read {
		if i > 0 && v <= read[i-1] {
			t.Fatalf("record %d comes after record %d", v, read[i-1])
		}
		for next < len(l.acked) && l.acked[next] < v {
			t.Fatalf("record %d was acknowledged and is not there; before %d at offset %d of %d acknowledged", l.acked[next], v, i, len(l.acked))
		}
		if next < len(l.acked) && l.acked[next] == v {
			next++
		}
	}
	if next < len(l.acked) {
		t.Fatalf("record %d was acknowledged and is not there: %d of %d were read", l.acked[next], len(read), len(l.acked))
	}
}

// read gives the numbers in partition 0 of a topic: at least so many, if they are there.
func (w *world) read(topic string, least int) (numbers []int) {
	w.t.Helper()
	cl := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for quiet := 0; quiet < 3; {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		fetches := cl.PollFetches(ctx)
		cancel()
		quiet++
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := strconv.Atoi(string(r.Value))
			if err != nil {
				w.t.Errorf("a record that nobody wrote: %q", r.Value)
			}
			numbers = append(numbers, n)
			quiet = 0
		})
		if len(numbers) > least {
			quiet++
		}
	}
	return numbers
}

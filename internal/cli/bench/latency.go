package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// stampSize is what each record begins with: the number of the run and the moment at which it was due.
const stampSize = 16

func (c *command) latency() *cobra.Command {
	o := &options{from: "end", clients: 1}
	cmd := &cobra.Command{
		Use:   "latency",
		Short: "Measure the time from a producer to a consumer",
		Long: "Measures how long a record takes from the producer through the cluster to a consumer: one record at a time, or at a rate, where\n" +
			"the time counts from the moment at which the rate wanted the record sent.",
		Args:    noArguments,
		Example: "  headrace bench latency\n  headrace bench latency --rate 1000 --partitions 6 --duration 30s",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.recordSize < stampSize {
				return term.Usage("--record-size must be at least %d here", stampSize)
			}
			if o.acks == "0" {
				return term.Usage("--acks 0 loses what the latency is measured of; use all or 1")
			}
			return c.run(cmd, o, workLatency, c.throughCluster)
		},
	}
	c.at.Flags(cmd)
	o.flags(cmd, 1)
	o.producing(cmd, 100)
	return cmd
}

// trip sends records and sees them arrive.
type trip struct {
	*senders
	run      uint64
	begin    time.Time
	producer *kgo.Client
	consumer *kgo.Client
}

func (c *command) throughCluster(ctx context.Context, o *options, m *meter) error {
	opts, err := o.producer()
	if err != nil {
		return err
	}
	shares, err := c.shares(ctx, o) // before anything is sent, so that nothing is missed
	if err != nil {
		return err
	}
	producer, closeProducer, err := c.connect(ctx, 1, opts)
	if err != nil {
		return err
	}
	defer closeProducer()
	consumer, closeConsumer, err := c.connect(ctx, 1, shares[0].client(o.topic))
	if err != nil {
		return err
	}
	defer closeConsumer()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	t := &trip{
		senders: &senders{o: o, meter: m, values: payload(o.recordSize), fail: end},
		run:     rand.Uint64(), begin: time.Now(), producer: producer[0], consumer: consumer[0],
	}
	t.counts = m.start(t.begin)
	if o.rate == 0 {
		return t.oneByOne(ctx)
	}
	return t.atRate(ctx, end)
}

// oneByOne sends a record when the one before has arrived.
func (t *trip) oneByOne(ctx context.Context) error {
	for {
		due := time.Now()
		if t.ends(due) {
			return nil
		}
		if err := t.producer.ProduceSync(ctx, t.record(due)).FirstErr(); err != nil {
			return target.Explain(err, "")
		}
		for arrived := 0; arrived == 0; {
			var err error
			if arrived, err = t.receive(ctx, nil); err != nil {
				return err
			}
		}
	}
}

// atRate sends on schedule, and receives meanwhile, until all that was sent has arrived.
func (t *trip) atRate(ctx context.Context, end context.CancelCauseFunc) error {
	var receiving sync.WaitGroup
	open := newBalance()
	receiving.Go(func() {
		for ctx.Err() == nil {
			if _, err := t.receive(ctx, open); err != nil {
				end(err)
			}
		}
	})
	p := newPace(t.begin, t.o.rate, 0, 1)
	for number := int64(0); ; number++ {
		due := p.due(number)
		if t.ends(due) || !wait(ctx, due) {
			break
		}
		open.add(1)
		t.producer.Produce(ctx, t.record(due), func(_ *kgo.Record, err error) {
			if err != nil {
				end(target.Explain(err, ""))
			}
		})
	}
	select {
	case <-open.whenZero():
		end(errEnough)
	case <-ctx.Done():
	case <-time.After(drainTimeout):
		end(fmt.Errorf("records did not arrive within %s", drainTimeout))
	}
	receiving.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errEnough) {
		return cause
	}
	return nil
}

// record makes a record that tells when it was due.
func (t *trip) record(due time.Time) *kgo.Record {
	value := append([]byte(nil), t.value()...)
	binary.BigEndian.PutUint64(value, t.run)
	binary.BigEndian.PutUint64(value[8:], uint64(due.Sub(t.begin)))
	return &kgo.Record{Value: value}
}

// receive takes what has arrived, and counts the records of this run, each in open too.
func (t *trip) receive(ctx context.Context, open *balance) (arrived int, err error) {
	fetches := t.consumer.PollFetches(ctx)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err := fetches.Err(); err != nil {
		return 0, target.Explain(err, "")
	}
	now := time.Now()
	fetches.EachRecord(func(r *kgo.Record) {
		if len(r.Value) < stampSize || binary.BigEndian.Uint64(r.Value) != t.run {
			return // somebody else's
		}
		due := t.begin.Add(time.Duration(binary.BigEndian.Uint64(r.Value[8:])))
		t.meter.done(due, now, 1, int64(len(r.Value)))
		arrived++
	})
	if open != nil {
		open.add(-arrived)
	}
	return arrived, nil
}

// balance counts what is on its way.
type balance struct {
	mu struct {
		sync.Mutex
		n    int
		zero chan struct{} // closed when n is zero; nil while nobody waits
	}
}

func newBalance() *balance { return &balance{} }

func (b *balance) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.n += n
	if b.mu.n == 0 && b.mu.zero != nil {
		close(b.mu.zero)
		b.mu.zero = nil
	}
}

// whenZero is closed when nothing is on its way; nothing may be added after it was called.
func (b *balance) whenZero() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	zero := make(chan struct{})
	if b.mu.n == 0 {
		close(zero)
	} else {
		b.mu.zero = zero
	}
	return zero
}

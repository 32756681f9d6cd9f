// Package crowd is a load of many clients that each do little: idle connections, producers of a few records a second, and consumer
// groups that read what comes. The benchmark's work on connections calls it. Gather starts the goroutines, Leave ends them.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/bench/wire"
)

// Load is how many there are of each.
type Load struct {
	Idle       int // connections that ask for ApiVersions and then nothing
	Producers  int // spread over the topics
	Every      time.Duration
	RecordSize int
	Topics     []string // each has a group of one member that reads it
}

// Crowd is a load that runs.
type Crowd struct {
	idle     []*wire.Conn
	clients  []*kgo.Client
	end      context.CancelFunc
	done     sync.WaitGroup
	produced atomic.Int64
	consumed atomic.Int64
	failure  atomic.Pointer[error] // the first
}

// Gather connects everybody and starts the load.
func Gather(ctx context.Context, address string, l Load) (*Crowd, error) {
	ctx, end := context.WithCancel(ctx)
	c := &Crowd{end: end}
	if err := c.gather(ctx, address, l); err != nil {
		c.Leave()
		return nil, err
	}
	return c, nil
}

func (c *Crowd) gather(ctx context.Context, address string, l Load) error {
	for range l.Idle {
		conn, err := wire.Dial(ctx, address)
		if err != nil {
			return err
		}
		c.idle = append(c.idle, conn)
		if _, err := conn.Ask(&kmsg.ApiVersionsRequest{Version: 3, ClientSoftwareName: "bench", ClientSoftwareVersion: "1"}); err != nil {
			return fmt.Errorf("idle connection: %w", err)
		}
	}
	for _, topic := range l.Topics {
		client, err := c.client(address, kgo.ConsumerGroup("tail-"+topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		c.done.Go(func() { c.tail(ctx, client) })
	}
	for i := range l.Producers {
		client, err := c.client(address, kgo.DefaultProduceTopic(l.Topics[i%len(l.Topics)]), kgo.ProducerLinger(0))
		if err != nil {
			return err
		}
		// They begin spread over the period, so that they do not all send at once.
		begin := l.Every * time.Duration(i) / time.Duration(l.Producers)
		c.done.Go(func() { c.send(ctx, client, begin, l.Every, make([]byte, l.RecordSize)) })
	}
	return nil
}

func (c *Crowd) client(address string, opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address))...)
	if err == nil {
		c.clients = append(c.clients, client)
	}
	return client, err
}

func (c *Crowd) tail(ctx context.Context, client *kgo.Client) {
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		c.consumed.Add(int64(fetches.NumRecords()))
		if err := fetches.Err(); err != nil && ctx.Err() == nil && !kerr.IsRetriable(err) {
			c.fail(fmt.Errorf("consume: %w", err))
			return
		}
	}
}

func (c *Crowd) send(ctx context.Context, client *kgo.Client, begin, every time.Duration, value []byte) {
	timer := time.NewTimer(begin)
	defer timer.Stop()
	for due := time.Now().Add(begin); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err == nil {
				c.produced.Add(1)
			} else if ctx.Err() == nil {
				c.fail(fmt.Errorf("produce: %w", err))
			}
		})
		due = due.Add(every) // a producer that was late catches up, so that the load stays the same
		timer.Reset(time.Until(due))
	}
}

func (c *Crowd) fail(err error) { c.failure.CompareAndSwap(nil, &err) }

// Count tells how many records were acknowledged and how many were read until now.
func (c *Crowd) Count() (produced, consumed int64, err error) {
	if e := c.failure.Load(); e != nil {
		err = *e
	}
	return c.produced.Load(), c.consumed.Load(), err
}

// Leave ends the load and closes all connections. It is to be called once.
func (c *Crowd) Leave() error {
	c.end()
	c.done.Wait()
	for _, client := range c.clients {
		client.CloseAllowingRebalance()
	}
	var errs []error
	for _, conn := range c.idle {
		errs = append(errs, conn.Close())
	}
	_, _, err := c.Count()
	return errors.Join(append(errs, err)...)
}

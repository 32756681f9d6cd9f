package kcat

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where the run is in a partition.
type place struct {
	next, end int64
	atEnd     bool // that was told
	stopped   bool // by e@
}

// reading is a run with -C or -G.
type reading struct {
	*run
	printer printer
	places  map[string]map[int32]*place
	leaders map[string]map[int32]int32
	count   int64
	done    bool

	// What the group gave and took since the loop looked last; its callbacks run beside the loop.
	mu struct {
		sync.Mutex
		given, taken []topicOffset
	}
}

func (r *run) newReading() (*reading, error) {
	p, err := newPrinter(r.o)
	return &reading{run: r, printer: p, places: map[string]map[int32]*place{}, leaders: map[string]map[int32]int32{}}, err
}

func (r *run) consumeOptions() ([]kgo.Opt, error) {
	wait, err := r.o.props.duration("fetch.wait.max.ms", 500*time.Millisecond)
	if err != nil {
		return nil, err
	}
	// Control records move a partition on, and are not printed.
	opts := []kgo.Opt{kgo.FetchMaxWait(wait), kgo.KeepControlRecords()}
	if r.o.props.or("isolation.level", "read_committed") == "read_committed" {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return opts, nil
}

func (r *run) consume() error {
	c, err := r.newReading()
	if err != nil {
		return err
	}
	opts, err := r.consumeOptions()
	if err != nil {
		return err
	}
	if err := r.connect(opts...); err != nil {
		return fatal("Failed to query metadata for topic %s: %w", r.o.topic, err)
	}
	defer r.client.Close()
	partitions, err := c.partitions(r.o.topic)
	if err != nil {
		return err
	}
	places, err := c.startsOf(r.o.topic, partitions)
	if err != nil {
		return err
	}
	starts := map[int32]kgo.Offset{}
	for p, at := range places {
		c.add(r.o.topic, p, at)
		starts[p] = kgo.NewOffset().At(at.next)
	}
	c.tellEnds()
	if c.done {
		return nil
	}
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{r.o.topic: starts})
	return c.loop()
}

func (c *reading) add(topic string, p int32, at place) {
	if c.places[topic] == nil {
		c.places[topic] = map[int32]*place{}
	}
	c.places[topic][p] = &at
}

// loop prints records until there are enough, the ends are reached, or somebody stops it.
func (c *reading) loop() error {
	for !c.done && (c.o.count < 0 || c.count < c.o.count) {
		fetches := c.poll()
		if c.ctx.Err() != nil {
			return nil
		}
		if err := c.settle(); err != nil {
			return err
		}
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if failed == nil && !c.done {
				failed = c.take(p)
			}
		})
		if failed != nil {
			return failed
		}
		if c.out.Flush() != nil {
			return nil // nobody reads any more
		}
		if c.o.mode == 'G' {
			c.client.AllowRebalance()
		}
	}
	return nil
}

const groupPoll = 100 * time.Millisecond

// poll waits for records; in a group not for long, since it may have given new partitions.
func (c *reading) poll() kgo.Fetches {
	if c.o.mode != 'G' {
		return c.client.PollFetches(c.ctx)
	}
	ctx, cancel := context.WithTimeout(c.ctx, groupPoll)
	defer cancel()
	fetches := c.client.PollFetches(ctx)
	if ctx.Err() != nil && fetches.NumRecords() == 0 {
		return nil // what it has is that nothing came in time
	}
	return fetches
}

// take prints what came of a partition.
func (c *reading) take(f kgo.FetchTopicPartition) error {
	if f.Err != nil {
		err := fatal("Topic %s [%d] error: %s", f.Topic, f.Partition, cause(f.Err))
		if c.o.keepOnError && !kerr.IsRetriable(f.Err) {
			c.flush()
			fmt.Fprintf(c.env.Stderr, "%% ERROR: %s\n", err)
			return nil
		}
		return err
	}
	if c.places[f.Topic][f.Partition] == nil {
		c.add(f.Topic, f.Partition, place{})
	}
	at := c.places[f.Topic][f.Partition]
	for _, r := range f.Records {
		at.next = r.Offset + 1
		if r.Attrs.IsControl() || at.stopped {
			continue
		}
		at.atEnd = false
		if c.o.stopTime > 0 && r.Timestamp.UnixMilli() >= c.o.stopTime {
			c.stop(r, at)
			continue
		}
		if err := c.printer.print(c.out, r, c.leaders[r.Topic][r.Partition]); err != nil {
			if !c.o.keepOnError {
				return fatal("%w: terminating", err)
			}
			c.flush()
			fmt.Fprintf(c.env.Stderr, "%% ERROR: %s\n", err)
		}
		if c.o.unbuffered {
			c.flush()
		}
		if c.o.mode == 'G' {
			c.client.MarkCommitRecords(r)
		}
		if c.count++; c.count == c.o.count {
			c.done = true
			return nil
		}
	}
	at.end = f.HighWatermark
	if f.LastStableOffset >= 0 && c.o.props.or("isolation.level", "read_committed") == "read_committed" {
		at.end = f.LastStableOffset
	}
	c.tellEnds()
	return nil
}

// stop ends a partition at the time of e@.
func (c *reading) stop(r *kgo.Record, at *place) {
	at.stopped = true
	c.done = c.allStopped()
	exiting := ""
	if c.done {
		exiting = ": exiting"
	}
	c.info(1, "Reached stop timestamp for topic %s [%d] at offset %d%s", r.Topic, r.Partition, r.Offset, exiting)
}

func (c *reading) allStopped() bool {
	for _, parts := range c.places {
		for _, at := range parts {
			if !at.stopped && !(c.o.exitAtEnd && at.atEnd) {
				return false
			}
		}
	}
	return true
}

// tellEnds tells of partitions that are at their end; with -e the run ends at the last one.
func (c *reading) tellEnds() {
	for topic, parts := range c.places {
		for p, at := range parts {
			if at.atEnd || at.stopped || at.next < at.end {
				continue
			}
			at.atEnd = true
			exiting := ""
			if c.o.exitAtEnd && c.allStopped() {
				c.done, exiting = true, ": exiting"
			}
			c.info(1, "Reached end of topic %s [%d] at offset %d%s", topic, p, at.next, exiting)
		}
	}
}

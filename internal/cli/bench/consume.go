package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) consume() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "consume",
		Short: "Read records at a rate or as fast as can be",
		Long: "Reads a topic, without a group, and measures throughput. With --rate it also measures how late records come: the time from the\n" +
			"moment at which the rate wanted a record to when it was there. From the start it ends where the topic ended when it began;\n" +
			"from the end it reads what comes. Without --topic it first fills a topic of its own, with --records of --record-size.",
		Args:    noArguments,
		Example: "  headrace bench consume --topic orders\n  headrace bench consume --topic orders --rate 50000 --consumers 3 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			own := o.topic == ""
			o.toEnd = o.from == "start"
			if own && o.from == "end" {
				return term.Usage("--from end needs a --topic that somebody writes to")
			}
			return c.run(cmd, o, workConsume, func(ctx context.Context, o *options, m *meter) error {
				if own {
					if err := c.fill(ctx, o); err != nil {
						return err
					}
				}
				return c.readAll(ctx, o, m)
			})
		},
	}
	c.at.Flags(cmd)
	o.flags(cmd, 6)
	o.producing(cmd, 1024)
	f := cmd.Flags()
	f.IntVarP(&o.clients, "consumers", "c", 1, "consumers, which share the partitions")
	f.StringVar(&o.from, "from", "start", "start or end of the topic")
	return cmd
}

const filledRecords = 1_000_000

// fill writes what a load without a topic reads.
func (c *command) fill(ctx context.Context, o *options) error {
	with := *o
	with.clients, with.rate, with.duration = 1, 0, 0
	if with.records == 0 {
		with.records = filledRecords
	}
	return c.sendAll(ctx, &with, newMeter(0))
}

// reading is what the consumers of a load share.
type reading struct {
	o      *options
	meter  *meter
	counts time.Time
	left   atomic.Int64 // records until the end of the load, where it has a number of them
}

func (c *command) readAll(ctx context.Context, o *options, m *meter) error {
	shares, err := c.shares(ctx, o)
	if err != nil {
		return err
	}
	var clients []*kgo.Client
	for _, s := range shares {
		client, closeAll, err := c.connect(ctx, 1, s.client(o.topic))
		if err != nil {
			return err
		}
		defer closeAll()
		clients = append(clients, client...)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &reading{o: o, meter: m}
	r.left.Store(o.records)
	begin := time.Now()
	r.counts = m.start(begin)
	if o.duration > 0 {
		defer time.AfterFunc(o.warmup+o.duration, func() { end(errEnough) }).Stop()
	}
	var all sync.WaitGroup
	for i, client := range clients {
		all.Go(func() {
			if err := r.consumer(ctx, client, shares[i], newPace(begin, o.rate, i, len(clients))); err != nil {
				end(err)
			}
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errEnough) {
		return cause
	}
	return nil
}

// errEnough ends a load that is done.
var errEnough = errors.New("the load is done")

// share is what one consumer reads.
type share struct {
	from map[int32]kgo.Offset
	ends map[int32]int64 // of partitions that are not read to their end yet; nil where there is no end
}

// client are the options for reading it. Control records are wanted because one of them may be the last of a partition.
func (s share) client(topic string) []kgo.Opt {
	return []kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: s.from}), kgo.KeepControlRecords()}
}

// reached notes that a record was read, and tells whether it was the last of the share.
func (s share) reached(r *kgo.Record) bool {
	if end, open := s.ends[r.Partition]; open && r.Offset+1 >= end {
		delete(s.ends, r.Partition)
		return len(s.ends) == 0
	}
	return false
}

// shares divides the partitions that have something to read among the consumers.
func (c *command) shares(ctx context.Context, o *options) (shares []share, err error) {
	err = c.at.Admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		starts, err := admin.ListStartOffsets(ctx, o.topic)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return target.Explain(err, "")
		}
		ends, err := admin.ListEndOffsets(ctx, o.topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return target.Explain(err, "")
		}
		shares = divide(starts, ends, o)
		return nil
	})
	if err == nil && len(shares) == 0 {
		err = fmt.Errorf("topic %s is empty", o.topic)
	}
	return shares, err
}

func divide(starts, ends kadm.ListedOffsets, o *options) []share {
	var shares []share
	next := 0
	for _, end := range ends.Offsets().Sorted() {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if o.from == "start" && start.Offset == end.At {
			continue
		}
		if len(shares) < o.clients {
			shares = append(shares, share{from: map[int32]kgo.Offset{}})
		}
		s := &shares[next%o.clients]
		next++
		if o.from == "end" {
			s.from[end.Partition] = kgo.NewOffset().At(end.At)
			continue
		}
		s.from[end.Partition] = kgo.NewOffset().At(start.Offset)
		if s.ends == nil {
			s.ends = map[int32]int64{}
		}
		s.ends[end.Partition] = end.At
	}
	return shares
}

// pollAtMost is how many records one poll takes.
const pollAtMost = 10_000

// consumer reads with one client at the pace. It returns nil at the end of its share, and errEnough at the end of the load.
func (r *reading) consumer(ctx context.Context, client *kgo.Client, s share, p pace) error {
	for number := int64(0); ; {
		begin := time.Now()
		want := int64(pollAtMost)
		if p.period > 0 {
			if !wait(ctx, p.due(number)) {
				return errEnough
			}
			want = min(want, max(p.dueBy(time.Now())-number, 1))
		}
		fetches := client.PollRecords(ctx, int(want))
		if ctx.Err() != nil {
			return errEnough
		}
		if err := fetches.Err(); err != nil {
			return target.Explain(err, "")
		}
		arrived := time.Now()
		for i := fetches.RecordIter(); !i.Done(); {
			record, due := i.Next(), begin
			if p.period > 0 {
				due = p.due(number)
			}
			last := s.reached(record)
			if !record.Attrs.IsControl() {
				number++
				if r.count(record, due, arrived) {
					return errEnough
				}
			}
			if last {
				return nil
			}
		}
	}
}

// count counts a record, and tells whether the load has all it wants.
func (r *reading) count(record *kgo.Record, due, arrived time.Time) (enough bool) {
	left := int64(1)
	if r.o.records > 0 && !due.Before(r.counts) {
		left = r.left.Add(-1)
	}
	if left >= 0 {
		r.meter.done(due, arrived, 1, int64(len(record.Key)+len(record.Value)))
	}
	return left <= 0
}

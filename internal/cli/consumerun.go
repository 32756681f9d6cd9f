package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) runConsume(ctx context.Context, o *consumeOptions) error {
	var plan readPlan
	err := c.at.Ask(ctx, func(ctx context.Context, client *kgo.Client) error {
		var err error
		plan, err = makePlan(ctx, client, o)
		return err
	})
	if err != nil {
		return err
	}
	if o.ends() && plan.finished() && o.group == "" {
		return nil
	}
	r := &run{o: o, plan: plan, out: shower{o: &o.show, out: bufio.NewWriterSize(c.env.Stdout, 64<<10)}, env: c.env}
	opts := []kgo.Opt{
		kgo.KeepControlRecords(), kgo.FetchMaxWait(500 * time.Millisecond), kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
	}
	if o.place.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if o.group != "" {
		opts = append(opts, r.groupOptions()...)
	} else {
		opts = append(opts, kgo.ConsumePartitions(plan.starts(o.follow)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	}
	if r.client, err = c.at.Connect(ctx, opts...); err != nil {
		return err
	}
	err = r.all(ctx)
	if term.Unread(err) {
		err = nil // the reader of our output has what it wanted
	}
	err = errors.Join(err, r.leave(ctx))
	r.tellFailures()
	if ctx.Err() != nil && (o.follow || err == nil) {
		return nil // Ctrl-C is how following ends
	}
	return c.at.Diagnose(err)
}

// run is one run of consume: the loop that polls, prints and keeps the plan.
type run struct {
	o      *consumeOptions
	client *kgo.Client
	plan   readPlan
	group  membership
	out    shower
	env    term.Env
	seen   int64 // records that the plan wants
	count  int64 // records printed
}

const (
	pollTick   = 250 * time.Millisecond
	idleBefore = 5 * time.Second // without a record, before asking whether there are any
)

// all polls until the plan is finished, the count is reached or ctx is done.
func (r *run) all(ctx context.Context) error {
	idle := time.Now()
	for {
		tick, cancel := context.WithTimeout(ctx, pollTick)
		fetches := r.client.PollFetches(tick)
		cancel()
		before := r.seen
		err := errors.Join(r.print(fetches), r.out.out.Flush())
		switch {
		case err != nil:
			r.group.toMark = nil // not printed
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case r.full():
			return nil
		}
		if r.o.group != "" {
			if err := r.updateGroup(ctx); err != nil {
				return err
			}
		}
		if r.o.ends() && r.finished() {
			return nil
		}
		if r.seen > before || !r.o.ends() {
			idle = time.Now()
		} else if time.Since(idle) > idleBefore {
			if done, err := r.stalled(ctx); done || err != nil {
				return err
			}
			idle = time.Now()
		}
	}
}

// stalled decides what it means that no record came for long although the plan has some left: the cluster is gone, or what is
// left holds no record for readers, such as what compaction emptied.
func (r *run) stalled(ctx context.Context) (done bool, err error) {
	if r.o.group != "" {
		return false, nil // another member may be reading it
	}
	ping, cancel := context.WithTimeout(ctx, target.AnswerTimeout)
	defer cancel()
	if err := r.client.Ping(ping); err != nil {
		return false, fmt.Errorf("no records come, and the cluster does not answer: %w", err)
	}
	r.env.Warn("no further records come; the rest of the range holds none")
	return true, nil
}

func (r *run) finished() bool {
	if r.o.group != "" {
		return r.group.finished(r.plan)
	}
	return r.plan.finished()
}

// print writes the records that the plan wants.
func (r *run) print(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		return readError(e)
	}
	var err error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, rec := range p.Records {
			if err != nil || r.full() {
				return
			}
			err = r.one(rec, p.FetchPartition)
		}
	})
	return err
}

// full tells whether as many records as were asked for are printed.
func (r *run) full() bool { return r.o.count > 0 && r.count >= r.o.count }

// one moves the plan behind a record and prints it where it belongs to the plan and passes the filter.
func (r *run) one(rec *kgo.Record, fetch kgo.FetchPartition) error {
	if !r.plan.step(rec, r.o) {
		return nil
	}
	r.seen++
	if !rec.Attrs.IsControl() && (r.o.filter == nil || r.o.filter.Match(rec)) {
		r.count++
		if err := r.out.write(rec, r.count, fetch); err != nil {
			return err
		}
	}
	if r.o.group != "" {
		r.group.toMark = append(r.group.toMark, rec)
	}
	return nil
}

// tellFailures tells of records that the filter could not judge.
func (r *run) tellFailures() {
	if r.o.filter == nil {
		return
	}
	if n, first := r.o.filter.Failures(); n > 0 {
		r.env.Warn("--filter failed on %d %s, not printed; the first: %s", n, term.Plural(int(n), "record"), term.OneLine(first))
	}
}

// leave ends the client; a group first commits what was printed.
func (r *run) leave(ctx context.Context) error {
	var err error
	if r.o.group != "" {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), target.AnswerTimeout)
		defer cancel()
		r.mark()
		err = r.client.CommitMarkedOffsets(last)
	}
	r.client.CloseAllowingRebalance()
	return err
}

func readError(e kgo.FetchError) error {
	if errors.Is(e.Err, kerr.OffsetOutOfRange) {
		return target.Refused(e.Err, "partition %d of %s no longer holds the records to read next: they were deleted meanwhile", e.Partition, e.Topic)
	}
	return fmt.Errorf("read partition %d of %s: %w", e.Partition, e.Topic, target.Explain(e.Err, ""))
}

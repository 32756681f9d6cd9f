package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// consumeOptions are the flags of headrace consume.
type consumeOptions struct {
	fromText, toText         string
	count                    int64
	partitions               []int32
	group                    string
	follow                   bool
	format, print, separator string

	topics   []string
	from, to position
	fields   []string
}

func (c *command) consume() *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use: "consume TOPIC...", Short: "Print the records of topics",
		Long: "Prints the records that topics hold now, one a line, and ends. With --follow, or --from end, it goes on with records as they come, until Ctrl-C.\n" +
			"Text shows null as nothing; --format json tells null, text and binary data apart, and produce --format json reads it.\n" +
			"With --group the reading is shared with the other members of the group and goes on where the group stopped; --from is for the first time.",
		Args: term.AtLeastOne("TOPIC"),
		Example: "  headrace consume orders --print key,value\n" +
			"  headrace consume orders --from -10 --follow\n" +
			"  headrace consume orders --from @2026-01-02T00:00:00Z --to @2026-01-03T00:00:00Z --format json",
		RunE: func(cmd *cobra.Command, args []string) error {
			slices.Sort(args)
			o.topics = slices.Compact(args)
			if err := o.check(cmd); err != nil {
				return err
			}
			return c.runConsume(cmd.Context(), o)
		},
	}
	c.at.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.fromText, "from", "start", "where to begin: "+positionHelp)
	f.StringVar(&o.toText, "to", "", "where to stop, in the same words; the record there is not printed (default: end, or nowhere with --follow)")
	f.Int64VarP(&o.count, "count", "n", 0, "stop after so many records")
	f.Int32SliceVarP(&o.partitions, "partition", "p", nil, "partitions to read (default: all)")
	f.StringVarP(&o.group, "group", "g", "", "consumer group to read as")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on at the end")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.StringVar(&o.print, "print", "value", "what a line of text shows: topic, partition, offset, timestamp, key, headers, value, or all")
	f.StringVar(&o.separator, "separator", `\t`, `what stands between these; \t, \n and \x1f are understood`)
	return cmd
}

// check reads the flags that have a language of their own, and refuses those that contradict each other.
func (o *consumeOptions) check(cmd *cobra.Command) error {
	var err error
	if o.from, err = parsePosition("--from", o.fromText); err != nil {
		return err
	}
	if o.fields, err = parseFields(o.print); err != nil {
		return err
	}
	if o.from.kind == fromEnd && o.toText == "" {
		o.follow = true
	}
	o.to = position{kind: fromEnd}
	if o.toText != "" {
		if o.to, err = parsePosition("--to", o.toText); err != nil {
			return err
		}
	}
	if o.separator, err = unescape("--separator", o.separator); err != nil {
		return err
	}
	switch {
	case o.format != "text" && o.format != "json":
		return term.Usage("--format must be text or json, not %q", o.format)
	case o.format == "json" && (cmd.Flags().Changed("print") || cmd.Flags().Changed("separator")):
		return term.Usage("--print and --separator are for --format text")
	case cmd.Flags().Changed("count") && o.count < 1:
		return term.Usage("--count must be at least 1")
	case o.follow && o.toText != "" && o.to.kind != atOffset:
		return term.Usage("--follow has no end: --to can only be an offset with it")
	case o.group != "" && (len(o.partitions) > 0 || o.toText != ""):
		return term.Usage("--group reads all partitions to their ends: --partition and --to cannot be used with it")
	case o.group != "" && (o.from.kind == atOffset || o.from.kind == beforeEnd):
		return term.Usage("--group remembers where it stopped: --from can only be start, end or @TIME with it")
	}
	return nil
}

// ends tells whether there is a place to stop at.
func (o *consumeOptions) ends() bool { return !o.follow || o.toText != "" }

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
	r := &run{o: o, plan: plan, out: bufio.NewWriterSize(c.env.Stdout, 64<<10), warn: func(text string) { fmt.Fprintln(c.env.Stderr, "headrace: "+text) }}
	opts := []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
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
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the reader of our output has what it wanted
	}
	err = errors.Join(err, r.leave(ctx))
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
	out    *bufio.Writer
	warn   func(text string)
	line   []byte
	count  int64
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
		before := r.count
		err := errors.Join(r.print(fetches), r.out.Flush())
		switch {
		case err != nil:
			r.group.toMark = nil // not printed
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case r.o.count > 0 && r.count >= r.o.count:
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
		if r.count > before || !r.o.ends() {
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
	r.warn("no further records come; the rest of the range holds none")
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
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		if r.o.count > 0 && r.count >= r.o.count {
			return nil
		}
		wanted := r.plan.step(rec, r.o)
		if wanted && !rec.Attrs.IsControl() {
			if err := r.write(rec); err != nil {
				return err
			}
			r.count++
		}
		if wanted && r.o.group != "" {
			r.group.toMark = append(r.group.toMark, rec)
		}
	}
	return nil
}

func (r *run) write(rec *kgo.Record) error {
	if r.o.format == "json" {
		r.line = appendJSON(r.line[:0], rec)
	} else {
		r.line = appendText(r.line[:0], rec, r.o.fields, r.o.separator)
	}
	r.line = append(r.line, '\n')
	_, err := r.out.Write(r.line)
	return err
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

// readPlan is what is left to read: the next offset of each partition and the one to stop before.
type readPlan map[partition]*span

type span struct {
	next, limit int64
	read        bool // a record was seen
}

// makePlan finds the partitions and their ranges, and refuses topics and partitions that do not exist.
func makePlan(ctx context.Context, client *kgo.Client, o *consumeOptions) (readPlan, error) {
	details, err := kadm.NewClient(client).ListTopicsWithInternal(ctx, o.topics...)
	if err != nil {
		return nil, err
	}
	for _, t := range o.topics {
		d, ok := details[t]
		if !ok || d.Err != nil {
			return nil, topicError("read", t, cmpError(d.Err, kerr.UnknownTopicOrPartition), "")
		}
		for _, p := range o.partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, fmt.Errorf("topic %s has no partition %d: it has %d, from 0 on", t, p, len(d.Partitions))
			}
		}
	}
	parts := partitionsOf(details)
	if len(o.partitions) > 0 {
		parts = slices.DeleteFunc(parts, func(p partition) bool { return !slices.Contains(o.partitions, p.number) })
	}
	at, err := listBounds(ctx, client, parts)
	if err != nil {
		return nil, err
	}
	for p, b := range at {
		if b.err != nil {
			return nil, fmt.Errorf("ask for the offsets of partition %d of %s: %w", p.number, p.topic, target.Explain(b.err, ""))
		}
	}
	return planBetween(ctx, client, at, o)
}

func planBetween(ctx context.Context, client *kgo.Client, at bounds, o *consumeOptions) (readPlan, error) {
	from, err := o.from.resolve(ctx, client, at)
	if err != nil {
		return nil, err
	}
	to, err := o.to.resolve(ctx, client, at)
	if err != nil {
		return nil, err
	}
	plan := readPlan{}
	for p, b := range at {
		s := &span{next: from[p], limit: to[p]}
		if !o.follow {
			s.limit = min(s.limit, b.end)
		}
		plan[p] = s
	}
	return plan, nil
}

// starts are the places where a client begins, without the partitions that have nothing to read.
func (p readPlan) starts(follow bool) map[string]map[int32]kgo.Offset {
	all := map[string]map[int32]kgo.Offset{}
	for part, s := range p {
		if !follow && s.next >= s.limit {
			continue
		}
		if all[part.topic] == nil {
			all[part.topic] = map[int32]kgo.Offset{}
		}
		all[part.topic][part.number] = kgo.NewOffset().At(s.next)
	}
	return all
}

// step moves the plan behind a record and tells whether the record belongs to it.
func (p readPlan) step(rec *kgo.Record, o *consumeOptions) bool {
	s := p[partition{rec.Topic, rec.Partition}]
	if s == nil {
		return o.follow // a partition that was added meanwhile
	}
	s.next, s.read = max(s.next, rec.Offset+1), true
	return !o.ends() || rec.Offset < s.limit
}

func (p readPlan) finished() bool {
	for _, s := range p {
		if s.next < s.limit {
			return false
		}
	}
	return true
}

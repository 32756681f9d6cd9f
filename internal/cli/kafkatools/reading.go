package kafkatools

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

func (r *reading) run() error {
	opts, err := r.options()
	if err != nil {
		return err
	}
	r.k, err = r.connect(r.p, r.line.text("bootstrap-server"), "console-consumer", "metadata", opts...)
	if err != nil && r.ctx.Err() == nil {
		return err
	}
	if err == nil {
		err = r.readAll()
		r.leave()
	}
	r.out.Flush()
	r.complain("Processed a total of " + strconv.Itoa(r.count) + " messages")
	if r.line.has("enable-systest-events") {
		r.printf("shutdown_complete\n")
	}
	if err == nil && r.ctx.Err() != nil {
		return ended(term.ExitInterrupted)
	}
	return err
}

const leaveLimit = 5 * time.Second

// leave commits what was printed and leaves the group.
func (r *reading) leave() {
	if r.group != "" && r.p.or("enable.auto.commit", "true") != "false" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), leaveLimit)
		defer cancel()
		r.k.MarkCommitRecords(r.unmarked...)
		if err := r.k.CommitMarkedOffsets(ctx); err != nil {
			r.log("WARN", consumerLogger, "The offsets were not committed: %s", err)
		}
	}
	r.k.CloseAllowingRebalance()
}

// readAll prints records until there are enough, none comes any more, or somebody stops it.
func (r *reading) readAll() error {
	limit := math.MaxInt
	if r.line.has("max-messages") && r.line.num("max-messages") >= 0 {
		limit = int(r.line.num("max-messages"))
	}
	for r.count < limit {
		fetches, err := r.poll()
		if errors.Is(err, context.DeadlineExceeded) {
			r.out.Flush()
			r.log("ERROR", consumerLogger, "Error processing message, terminating consumer process: ")
			r.complain(apiErrors + "TimeoutException")
			return nil
		}
		if err != nil {
			return nil
		}
		for it := fetches.RecordIter(); !it.Done() && r.count < limit && err == nil; {
			err = r.print(it.Next())
		}
		// Without a reader at the other end there is no point in going on.
		flushed := r.out.Flush()
		if err != nil && flushed == nil {
			return err
		}
		if flushed != nil {
			r.complain("Unable to write to standard out, closing consumer.")
			return nil
		}
		if r.group != "" {
			r.k.MarkCommitRecords(r.unmarked...)
			r.unmarked = r.unmarked[:0]
			r.k.AllowRebalance()
		}
	}
	return nil
}

// poll waits for records; an error of a partition is told, and ends the tool if it cannot pass.
func (r *reading) poll() (kgo.Fetches, error) {
	ctx, cancel := r.ctx, context.CancelFunc(func() {})
	if ms := r.line.num("timeout-ms"); r.line.has("timeout-ms") && ms >= 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
	}
	defer cancel()
	for {
		fetches, err := r.pollOnce(ctx)
		switch {
		case fetches.NumRecords() > 0:
			return fetches, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			r.log("ERROR", consumerLogger, "Error processing message, terminating consumer process: ")
			r.complain(asFailure(err).named())
			return nil, err
		}
		if r.group != "" {
			r.k.AllowRebalance()
		}
	}
}

// pollOnce waits for records until ctx is done, or it is time to look for topics.
func (r *reading) pollOnce(ctx context.Context) (kgo.Fetches, error) {
	if r.include == nil {
		fetches := r.k.PollFetches(ctx)
		return fetches, fetches.Err()
	}
	if err := r.include.look(ctx, r.k); err != nil {
		return nil, err
	}
	short, cancel := context.WithDeadline(ctx, r.include.next)
	defer cancel()
	fetches := r.k.PollFetches(short)
	if short.Err() != nil {
		return fetches, nil
	}
	return fetches, fetches.Err()
}

func (r *reading) print(rec *kgo.Record) error {
	r.count++
	if r.group != "" {
		r.unmarked = append(r.unmarked, rec)
	}
	err := r.format.write(r.out, rec)
	if err != nil && r.line.has("skip-message-on-error") {
		r.out.Flush()
		r.log("ERROR", consumerLogger, "Error processing message, skipping this message: ")
		r.complain(asFailure(err).named())
		return nil
	}
	return err
}

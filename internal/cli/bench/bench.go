// Package bench is headrace bench: loads for any Kafka cluster at a fixed rate or as fast as can be, with latencies counted from the
// moment at which the rate wanted a record sent, so that a cluster that stalls cannot hide it by slowing the load down. The root
// command calls New. Each load owns the goroutines of its clients, producers and progress line, and has ended them when it returns.
package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

const (
	cleanupTimeout = 10 * time.Second
	// drainTimeout is how long a record may take; it is that of Java producers (delivery.timeout.ms).
	drainTimeout = 2 * time.Minute
	// impatience is what is left of that after Ctrl-C.
	impatience = 5 * time.Second
)

// New makes the command group.
func New(t *target.Target, e term.Env) *cobra.Command {
	c := &command{at: t, env: e}
	return term.Group("bench", "Measure throughput and latency of a cluster", c.produce(), c.consume(), c.latency(), c.compare())
}

type command struct {
	at  *target.Target
	env term.Env
}

// load is what one command does between its preparation and its result.
type load func(ctx context.Context, o *options, m *meter) error

// run does a load: it finds or makes the topic, meters, prints, and removes what it made. A load that is interrupted or fails still
// tells what was measured.
func (c *command) run(cmd *cobra.Command, o *options, work string, do load) (err error) {
	ctx := cmd.Context()
	if err := o.check(); err != nil {
		return err
	}
	remove, err := c.topicOf(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	m := newMeter(o.warmup)
	line := c.showProgress(o, m)
	failure := do(ctx, o, m)
	line.end()
	r := m.result(work, o, ctx.Err() != nil)
	if r.Records == 0 && failure != nil {
		return c.at.Diagnose(failure)
	}
	if err := c.publish(o, r); err != nil {
		return errors.Join(failure, err)
	}
	if failure == nil {
		failure = ctx.Err()
	}
	return c.at.Diagnose(failure)
}

// publish prints a result, and writes it to the file that was asked for.
func (c *command) publish(o *options, r Result) error {
	if o.file != "" {
		f, err := os.Create(o.file)
		if err != nil {
			return err
		}
		if err := errors.Join(term.WriteJSON(f, r), f.Close()); err != nil {
			return err
		}
	}
	return c.env.Print(*o.form, r, r.forPeople)
}

// topicOf finds the topic that was named, or makes one of the load's own, which remove takes away again.
func (c *command) topicOf(ctx context.Context, o *options) (remove func() error, err error) {
	remove = func() error { return nil }
	own := o.topic == ""
	if own {
		o.topic = "headrace-bench-" + strings.ToLower(rand.Text()[:10])
	}
	err = c.at.Admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		if own {
			made, err := admin.CreateTopic(ctx, o.partitions, -1, nil, o.topic)
			if err != nil {
				return fmt.Errorf("cannot create a topic for the load: %w", target.Explain(err, made.ErrMessage))
			}
		}
		return o.findTopic(ctx, admin, own)
	})
	if own {
		remove = func() error { return c.removeTopic(context.WithoutCancel(ctx), o.topic) }
		if err != nil { // it may have been made all the same
			_ = remove()
		}
	}
	return remove, err
}

// findTopic takes the number of partitions from the topic. A topic that was just made may take a moment to be known.
func (o *options) findTopic(ctx context.Context, admin *kadm.Client, made bool) error {
	for {
		topics, err := admin.ListTopics(ctx, o.topic)
		if err != nil {
			return err
		}
		t := topics[o.topic]
		if t.Err == nil {
			o.partitions = int32(len(t.Partitions))
			return nil
		}
		if !made || !wait(ctx, time.Now().Add(50*time.Millisecond)) {
			return fmt.Errorf("cannot use topic %s: %w", o.topic, target.Explain(t.Err, ""))
		}
	}
}

func (c *command) removeTopic(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	return c.at.Admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		if _, err := admin.DeleteTopic(ctx, topic); err != nil {
			return fmt.Errorf("topic %s of the load is left behind: %w", topic, target.Explain(err, ""))
		}
		return nil
	})
}

package kcat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeGroup reads as a member of a group.
func (r *run) consumeGroup() error {
	c, err := r.newReading()
	if err != nil {
		return err
	}
	opts, err := r.consumeOptions()
	if err != nil {
		return err
	}
	more, err := c.groupOptions()
	if err != nil {
		return err
	}
	if err := r.connect(append(opts, more...)...); err != nil {
		return fatal("Failed to subscribe to %d topics: %w", len(r.o.args), err)
	}
	r.info(1, "Waiting for group rebalance")
	err = c.loop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.o.metadataTimeout)
	defer cancel()
	if r.o.props.or("enable.auto.commit", "true") == "true" {
		if commit := r.client.CommitMarkedOffsets(ctx); commit != nil && err == nil {
			err = fatal("Failed to commit offsets: %s", cause(commit))
		}
	}
	r.client.CloseAllowingRebalance()
	return err
}

func (c *reading) groupOptions() ([]kgo.Opt, error) {
	p := c.o.props
	opts := []kgo.Opt{kgo.ConsumerGroup(c.o.group), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, parts map[string][]int32) { c.rebalanced("assigned", parts) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, client *kgo.Client, parts map[string][]int32) { c.rebalanced("revoked", parts) }),
		kgo.OnPartitionsLost(func(_ context.Context, client *kgo.Client, parts map[string][]int32) { c.rebalanced("revoked", parts) })}
	topics := slices.Clone(c.o.args)
	if c.o.topic != "" {
		topics = append(topics, c.o.topic)
	}
	if slices.ContainsFunc(topics, func(t string) bool { return strings.HasPrefix(t, "^") }) {
		for i, t := range topics {
			if !strings.HasPrefix(t, "^") {
				topics[i] = "^" + strings.NewReplacer(".", `\.`).Replace(t) + "$"
			}
		}
		opts = append(opts, kgo.ConsumeRegex())
	}
	opts = append(opts, kgo.ConsumeTopics(topics...))
	start := kgo.NewOffset().AtEnd()
	switch reset := p.or("auto.offset.reset", "largest"); {
	case c.o.offset == atBeginning, c.o.offset == notGiven && (reset == "smallest" || reset == "earliest" || reset == "beginning"):
		start = kgo.NewOffset().AtStart()
	case c.o.offset >= 0 || c.o.tail > 0:
		return nil, fatal("-o: with -G headrace kcat takes beginning, end and stored; a group goes on from where it is")
	}
	opts = append(opts, kgo.ConsumeResetOffset(start))
	balancers := []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.RoundRobinBalancer()}
	if p["partition.assignment.strategy"] == "cooperative-sticky" {
		balancers = []kgo.GroupBalancer{kgo.CooperativeStickyBalancer()}
	}
	opts = append(opts, kgo.Balancers(balancers...))
	if id := p["group.instance.id"]; id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	for name, option := range map[string]func(time.Duration) kgo.GroupOpt{
		"session.timeout.ms": kgo.SessionTimeout, "heartbeat.interval.ms": kgo.HeartbeatInterval, "auto.commit.interval.ms": kgo.AutoCommitInterval,
	} {
		d, err := p.duration(name, 0)
		if err != nil {
			return nil, err
		}
		if d > 0 {
			opts = append(opts, option(d))
		}
	}
	return opts, nil
}

// rebalanced tells what the group gave or took.
func (c *reading) rebalanced(what string, parts map[string][]int32) {
	var list []string
	c.mu.Lock()
	for topic, numbers := range parts {
		for _, p := range numbers {
			list = append(list, fmt.Sprintf("%s [%d]", topic, p))
			if t := (topicOffset{topic: topic, partition: p}); what == "assigned" {
				c.mu.given = append(c.mu.given, t)
			} else {
				c.mu.taken = append(c.mu.taken, t)
			}
		}
	}
	c.mu.Unlock()
	slices.Sort(list)
	if c.o.verbosity >= 1 {
		member, _ := c.client.GroupMetadata()
		fmt.Fprintf(c.env.Stderr, "%% Group %s rebalanced (memberid %s): %s: %s\n", c.o.group, member, what, strings.Join(list, ", "))
	}
}

// settle finds out where the partitions stand that the group gave, and forgets those that it took.
func (c *reading) settle() error {
	c.mu.Lock()
	given, taken := c.mu.given, c.mu.taken
	c.mu.given, c.mu.taken = nil, nil
	c.mu.Unlock()
	for _, t := range taken {
		delete(c.places[t.topic], t.partition)
	}
	byTopic := map[string][]int32{}
	for _, g := range given {
		byTopic[g.topic] = append(byTopic[g.topic], g.partition)
	}
	for topic, numbers := range byTopic {
		if c.leaders[topic] == nil {
			if _, err := c.partitions(topic); err != nil {
				return err
			}
		}
		bounds, err := c.bounds(topic, numbers)
		if err != nil {
			return err
		}
		stored, err := c.stored(c.o.group, topic)
		if err != nil {
			return err
		}
		for p, at := range bounds {
			at.next = c.storedOr(stored, p, at)
			c.add(topic, p, at)
		}
	}
	if given != nil {
		c.tellEnds()
	}
	return nil
}

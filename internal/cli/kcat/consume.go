package kcat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	starts := map[int32]kgo.Offset{}
	for _, p := range partitions {
		at, err := c.startOf(r.o.topic, p)
		if err != nil {
			return err
		}
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

// partitions are those of the topic that -p asks for. It notes leaders, since records are printed with theirs.
func (c *reading) partitions(topic string) ([]int32, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.metadataTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = c.o.props["allow.auto.create.topics"] == "true"
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fatal("Failed to query metadata for topic %s: %s", topic, cause(err))
	}
	if len(resp.Topics) == 0 {
		return nil, fatal("No such topic in cluster: %s", topic)
	}
	if w := words(resp.Topics[0].ErrorCode); w != "" {
		return nil, fatal("Topic %s error: %s", topic, w)
	}
	all := resp.Topics[0].Partitions
	var wanted []int32
	c.leaders[topic] = map[int32]int32{}
	for _, p := range all {
		c.leaders[topic][p.Partition] = p.Leader
		if c.o.partition < 0 || c.o.partition == p.Partition {
			wanted = append(wanted, p.Partition)
		}
	}
	switch {
	case len(all) == 0:
		return nil, fatal("Topic %s has no partitions", topic)
	case wanted == nil:
		return nil, fatal("Topic %s (with partitions 0..%d): partition %d does not exist", topic, len(all)-1, c.o.partition)
	}
	slices.Sort(wanted)
	return wanted, nil
}

// startOf is where the options have a partition begin.
func (c *reading) startOf(topic string, p int32) (place, error) {
	start, code, err := c.offsetAt(topic, p, atBeginning)
	end := int64(0)
	if err == nil && code == 0 {
		end, code, err = c.offsetAt(topic, p, atEnd)
	}
	at := place{next: start, end: end}
	switch {
	case err != nil || code != 0:
	case c.o.startTime != 0:
		if at.next, code, err = c.offsetAt(topic, p, c.o.startTime); at.next < 0 {
			at.next = end
		}
	case c.o.tail > 0:
		at.next = max(start, end-c.o.tail)
	case c.o.offset == atEnd:
		at.next = end
	case c.o.offset == atStored:
		at.next, err = c.stored(c.o.props["group.id"], topic, p, start, end)
	case c.o.offset >= 0:
		at.next = c.o.offset
		if at.next < start || at.next > end {
			at.next = c.fallback(start, end)
		}
	}
	switch {
	case err != nil:
		return at, fatal("Failed to start consuming topic %s [%d]: %s", topic, p, cause(err))
	case code != 0:
		return at, fatal("Failed to start consuming topic %s [%d]: %s", topic, p, words(code))
	}
	return at, nil
}

// fallback is where auto.offset.reset has a partition begin that has no offset, or none that is there.
func (c *reading) fallback(start, end int64) int64 {
	switch c.o.props.or("auto.offset.reset", "largest") {
	case "smallest", "earliest", "beginning":
		return start
	}
	if c.o.mode == 'G' && c.o.offset == atBeginning {
		return start
	}
	return end
}

// stored is what a group has committed.
func (c *reading) stored(group, topic string, p int32, start, end int64) (int64, error) {
	if group == "" {
		return c.fallback(start, end), nil
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(c.ctx, c.client)
	if err != nil {
		return 0, err
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, part := range t.Partitions {
				if t.Topic == topic && part.Partition == p && part.Offset >= 0 {
					return part.Offset, nil
				}
			}
		}
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if t.Topic == topic && part.Partition == p && part.Offset >= 0 {
				return part.Offset, nil
			}
		}
	}
	return c.fallback(start, end), nil
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

// settle finds out where the partitions stand that the group gave, and forgets those that it took.
func (c *reading) settle() error {
	c.mu.Lock()
	given, taken := c.mu.given, c.mu.taken
	c.mu.given, c.mu.taken = nil, nil
	c.mu.Unlock()
	for _, t := range taken {
		delete(c.places[t.topic], t.partition)
	}
	for _, g := range given {
		if c.leaders[g.topic] == nil {
			if _, err := c.partitions(g.topic); err != nil {
				return err
			}
		}
		start, _, err := c.offsetAt(g.topic, g.partition, atBeginning)
		if err != nil {
			return err
		}
		end, _, err := c.offsetAt(g.topic, g.partition, atEnd)
		if err != nil {
			return err
		}
		next, err := c.stored(c.o.group, g.topic, g.partition, start, end)
		if err != nil {
			return err
		}
		c.add(g.topic, g.partition, place{next: next, end: end})
	}
	if given != nil {
		c.tellEnds()
	}
	return nil
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

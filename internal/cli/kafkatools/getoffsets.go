package kafkatools

import (
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Timestamps of ListOffsets that stand for places in a partition.
const (
	timeLatest   = -1
	timeEarliest = -2
)

var namedTimes = map[string]int64{
	"latest": timeLatest, "earliest": timeEarliest, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5, "earliest-pending-upload": -6,
}

const timesHelp = "-1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload"

func runOffsets(c *call) error {
	p := &c.p
	p.value("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "REQUIRED. Nodes to ask first.")
	p.value("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3", "Topics, as regular expressions, with numbers or ranges of partitions.")
	p.value("topic", "topic", "A topic, or a regular expression; all topics if it is left out.")
	p.value("partitions", "partition ids", "Numbers of partitions with commas between; all if it is left out.")
	p.value("time", "<timestamp> / "+timesHelp, "Which offsets: those of a place, or of the first record at or after a timestamp.").or("latest")
	p.value("command-config", "config file", "A file of client properties, such as those for TLS and logins.")
	p.flag("exclude-internal-topics", "Leave out the cluster's own topics.")
	const about = "An interactive shell for getting topic-partition offsets."
	err := c.begin()
	if len(c.args) == 0 {
		return usage("%s", about)
	}
	if err != nil {
		return occurred(err)
	}
	if err := c.aboutItself(about); err != nil {
		return err
	}
	if err := c.line.need("bootstrap-server"); err != nil {
		return err
	}
	if err := validBootstrap(c.line.text("bootstrap-server")); err != nil {
		return err
	}
	return occurred(c.printOffsets())
}

// occurred is an error in the words of this tool.
func occurred(err error) error {
	if err == nil {
		return nil
	}
	f := asFailure(err)
	return &failure{f.class, "Error occurred: " + f.text, err}
}

func (c *call) printOffsets() error {
	l := c.line
	if err := l.check(); err != nil {
		return err
	}
	if l.has("topic-partitions") && l.count("topic", "partitions") > 0 {
		return illegal("--topic-partitions cannot be used with --topic or --partitions")
	}
	at, err := offsetTime(l.text("time"))
	if err != nil {
		return err
	}
	filter, err := c.partitionFilter()
	if err != nil {
		return err
	}
	p, err := l.readPropsOf("command-config")
	if err != nil {
		return err
	}
	k, err := c.connect(p, l.text("bootstrap-server"), "GetOffsetShell", "listTopics")
	if err != nil {
		return err
	}
	defer k.Close()
	chosen, err := c.chosenPartitions(k, filter)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		return illegal("Could not match any topic-partitions with the specified filters")
	}
	found, err := k.offsetsAt(c.ctx, chosen, at)
	if err != nil {
		return err
	}
	// The tool's order is that of topic-partition as text.
	slices.SortFunc(chosen, func(a, b topicPartition) int { return strings.Compare(a.String(), b.String()) })
	for _, tp := range chosen {
		switch o := found[tp]; {
		case o.err != nil:
			c.complain(fmt.Sprintf("Skip getting offsets for topic-partition %s due to error: %s", tp, asFailure(o.err).named()))
		case o.offset >= 0:
			c.printf("%s:%d:%d\n", tp.topic, tp.number, o.offset)
		}
	}
	return nil
}

func (tp topicPartition) String() string { return tp.topic + "-" + strconv.Itoa(int(tp.number)) }

func offsetTime(text string) (int64, error) {
	if t, ok := namedTimes[text]; ok {
		return t, nil
	}
	t, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, illegal("Malformed time argument %s. Please use %s, or a specified long format timestamp", text, timesHelp)
	}
	return t, nil
}

// partitionRule is a pattern of topics and which partitions of them are meant.
type partitionRule struct {
	topic    matcher
	from, to int64          // [from, to)
	only     map[int32]bool // nil: all in the range
}

func (r partitionRule) allows(tp topicPartition) bool {
	return r.topic.matches(tp.topic) && int64(tp.number) >= r.from && int64(tp.number) < r.to && (r.only == nil || r.only[tp.number])
}

func (c *call) partitionFilter() ([]partitionRule, error) {
	if c.line.has("topic-partitions") {
		var rules []partitionRule
		for spec := range strings.SplitSeq(c.line.text("topic-partitions"), ",") {
			r, err := newRule(spec)
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
		return rules, nil
	}
	pattern := ".*"
	if c.line.has("topic") {
		pattern = c.line.text("topic")
	}
	topic, err := includeList(pattern)
	if err != nil {
		return nil, err
	}
	rule := partitionRule{topic: topic, to: math.MaxInt32}
	if list := c.line.text("partitions"); list != "" {
		rule.only = map[int32]bool{}
		for id := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(id, 10, 32)
			if err != nil {
				return nil, illegal("--partitions expects a comma separated list of numeric partition ids, but received: %s", list)
			}
			rule.only[int32(n)] = true
		}
	}
	return []partitionRule{rule}, nil
}

var ruleSpec = regexp.MustCompile(`^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$`)

func newRule(spec string) (partitionRule, error) {
	m := ruleSpec.FindStringSubmatch(spec)
	if m == nil {
		return partitionRule{}, javaError("java.lang.RuntimeException", "org.apache.kafka.tools.TerseException: Invalid rule specification: %s", spec)
	}
	pattern := ".*"
	if m[1] != "" {
		pattern = m[1]
	}
	topic, err := includeList(pattern)
	rule := partitionRule{topic: topic, to: math.MaxInt32}
	number := func(text string, fallback int64) int64 {
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return n
		}
		return fallback
	}
	if m[2] != "" {
		rule.from = number(m[2], 0)
		rule.to = rule.from + 1
	} else {
		rule.from, rule.to = number(m[3], 0), number(m[4], math.MaxInt32)
	}
	return rule, err
}

// chosenPartitions are the partitions that the rules allow.
func (c *call) chosenPartitions(k *cluster, rules []partitionRule) ([]topicPartition, error) {
	all, err := k.metadata(c.ctx, nil)
	if err != nil {
		return nil, err
	}
	var chosen []topicPartition
	for _, t := range all.Topics {
		if t.Topic == nil || c.line.has("exclude-internal-topics") && internalTopic(*t.Topic) {
			continue
		}
		for _, p := range t.Partitions {
			tp := topicPartition{*t.Topic, p.Partition}
			if slices.ContainsFunc(rules, func(r partitionRule) bool { return r.allows(tp) }) {
				chosen = append(chosen, tp)
			}
		}
	}
	return chosen, nil
}

// offsetResult is the offset of a partition; -1 if there is none at that time.
type offsetResult struct {
	offset int64
	err    error
}

// offsetsAt lists the offsets of partitions at a time, or at a place.
func (k *cluster) offsetsAt(ctx context.Context, partitions []topicPartition, at int64) (map[topicPartition]offsetResult, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	found := map[topicPartition]offsetResult{}
	if len(partitions) == 0 {
		return found, nil
	}
	byTopic := map[string][]kmsg.ListOffsetsRequestTopicPartition{}
	for _, tp := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = tp.number, at, -1
		byTopic[tp.topic] = append(byTopic[tp.topic], p)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic, t.Partitions = name, byTopic[name]
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, k.Client)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			found[topicPartition{t.Topic, p.Partition}] = offsetResult{p.Offset, ofCode(p.ErrorCode, nil)}
		}
	}
	return found, nil
}

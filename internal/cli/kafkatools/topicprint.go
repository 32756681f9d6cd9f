package kafkatools

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *call) describeTopics(ctx context.Context, k *cluster) error {
	names, err := c.describedTopics(ctx, k)
	if err != nil || len(names) == 0 {
		return err
	}
	topics, err := k.describe(ctx, names)
	if err != nil {
		return err
	}
	configs, err := k.configsOf(ctx, kmsg.ConfigResourceTypeTopic, names, false, -1)
	if err != nil {
		return err
	}
	nodes, err := k.metadata(ctx, []string{})
	if err != nil {
		return err
	}
	moves, err := k.reassignments(ctx)
	if err != nil {
		return err
	}
	d := topicPrinter{c: c, moves: moves}
	for _, b := range nodes.Brokers {
		d.live = append(d.live, b.NodeID)
	}
	for _, t := range topics {
		d.print(t, configs[t.name])
	}
	return nil
}

// describedTopics are the names that --topic-id, --topic or nothing ask for.
func (c *call) describedTopics(ctx context.Context, k *cluster) ([]string, error) {
	if c.line.has("topic-id") {
		id, err := topicID(c.line.text("topic-id"))
		if err != nil {
			return nil, err
		}
		if id != ([16]byte{}) {
			return c.topicOfID(ctx, k, id)
		}
	}
	names, err := c.chosenTopics(ctx, k)
	if err == nil {
		err = c.mustExist(names)
	}
	return names, err
}

func (c *call) topicOfID(ctx context.Context, k *cluster, id [16]byte) ([]string, error) {
	all, err := k.metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range all.Topics {
		if t.TopicID == id && t.Topic != nil && !(c.line.has("exclude-internal") && internalTopic(*t.Topic)) {
			return []string{*t.Topic}, nil
		}
	}
	if c.line.has("if-exists") {
		return nil, nil
	}
	return nil, illegal("TopicId '%s' does not exist as expected", printID(id))
}

type topicPrinter struct {
	c     *call
	live  []int32
	moves map[topicPartition]kmsg.ListPartitionReassignmentsResponseTopicPartition
}

func (d *topicPrinter) print(t topicInfo, configs []kmsg.DescribeConfigsResponseResourceConfig) {
	l := d.c.line
	var own []string
	minISR := 1
	for _, kv := range configs {
		value := "null"
		if kv.Value != nil {
			value = *kv.Value
		}
		if kv.Source != kmsg.ConfigSourceDefaultConfig {
			own = append(own, kv.Name+"="+value)
		}
		if kv.Name == "min.insync.replicas" {
			minISR, _ = strconv.Atoi(value)
		}
	}
	report := l.count("unavailable-partitions", "under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions") > 0
	if !report && (!l.has("topics-with-overrides") || own != nil) && len(t.partitions) > 0 {
		d.c.printf("Topic: %s", t.name)
		if t.id != ([16]byte{}) {
			d.c.printf("\tTopicId: %s", printID(t.id))
		}
		d.c.printf("\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n", len(t.partitions), d.replicas(t.name, t.partitions[0]), strings.Join(own, ","))
	}
	if l.has("topics-with-overrides") {
		return
	}
	for _, p := range t.partitions {
		if !report || d.reported(t.name, p, minISR) {
			d.printPartition(t.name, p)
		}
	}
}

func (d *topicPrinter) reported(topic string, p partitionInfo, minISR int) bool {
	l := d.c.line
	return l.has("under-replicated-partitions") && d.replicas(topic, p) > len(p.isr) ||
		l.has("unavailable-partitions") && (p.leader < 0 || !slices.Contains(d.live, p.leader)) ||
		l.has("under-min-isr-partitions") && (p.leader < 0 || len(p.isr) < minISR) ||
		l.has("at-min-isr-partitions") && len(p.isr) == minISR
}

// replicas is how many replicas a partition is meant to have: while it moves, those it moves to are counted.
func (d *topicPrinter) replicas(topic string, p partitionInfo) int {
	move, ok := d.moves[topicPartition{topic, p.number}]
	if ok && slices.ContainsFunc(p.replicas, func(id int32) bool {
		return slices.Contains(move.AddingReplicas, id) || slices.Contains(move.RemovingReplicas, id)
	}) {
		return len(move.Replicas) - len(move.AddingReplicas)
	}
	return len(p.replicas)
}

func (d *topicPrinter) printPartition(topic string, p partitionInfo) {
	leader := "none"
	if p.leader >= 0 {
		leader = strconv.Itoa(int(p.leader))
	}
	d.c.printf("\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", topic, p.number, leader, join(p.replicas, ","), join(p.isr, ","))
	if move, ok := d.moves[topicPartition{topic, p.number}]; ok {
		d.c.printf("\tAdding Replicas: %s\tRemoving Replicas: %s", join(move.AddingReplicas, ","), join(move.RemovingReplicas, ","))
	}
	if p.elrKnown {
		d.c.printf("\tElr: %s\tLastKnownElr: %s\n", join(p.elr, ","), join(p.lastELR, ","))
	} else {
		d.c.printf("\tElr: N/A\tLastKnownElr: N/A\n")
	}
}

package kafkatools

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// plan is the new offset of each partition.
type plan map[topicPartition]int64

func (g *groupCall) reset() error {
	names, err := g.groups()
	if err != nil {
		return err
	}
	plans := map[string]plan{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		info, err := g.describeGroups([]string{name})
		switch {
		case hasCode(err, kerr.GroupIDNotFound):
		case err != nil:
			return runtimeError(execution(err))
		case info[0].state != "Empty" && info[0].state != "Dead":
			g.printError("Assignments can only be reset if the group '" + name + "' is inactive, but the current state is " + info[0].state + ".")
			plans[name] = plan{}
			continue
		}
		if plans[name], err = g.resetOne(name); err != nil {
			return err
		}
	}
	if g.line.has("export") {
		g.exportPlans(plans)
	} else {
		g.printPlans(plans)
	}
	return nil
}

func (g *groupCall) resetOne(group string) (plan, error) {
	partitions, err := g.resetScope(group)
	if err != nil {
		return nil, err
	}
	if err := g.mustBeThere(partitions); err != nil {
		return nil, err
	}
	p, err := g.newOffsets(group, partitions)
	if err != nil {
		return nil, err
	}
	if g.line.has("execute") {
		err = g.commit(group, p)
	}
	return p, err
}

// resetScope are the partitions whose offsets are to change.
func (g *groupCall) resetScope(group string) ([]topicPartition, error) {
	switch {
	case g.line.has("all-topics"):
		committed, err := g.committed(group)
		if err != nil {
			return nil, runtimeError(execution(err))
		}
		return slices.SortedFunc(maps.Keys(committed), compare), nil
	case g.line.has("topic"):
		return g.named(g.line.all("topic"))
	case g.line.has("from-file"):
		return nil, nil
	}
	return nil, usage("One of the reset scopes should be defined: --all-topics, --topic.")
}

// named are the partitions that arguments such as topic and topic:0,1 mean.
func (g *groupCall) named(args []string) ([]topicPartition, error) {
	var all []topicPartition
	var whole []string
	for _, arg := range args {
		if !strings.Contains(arg, ":") {
			whole = append(whole, arg)
			continue
		}
		some, err := namedPartitions(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	topics, err := g.k.describe(g.ctx, whole)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		for _, p := range t.partitions {
			all = append(all, topicPartition{t.name, p.number})
		}
	}
	return all, nil
}

func namedPartitions(arg string) ([]topicPartition, error) {
	topic, list, _ := strings.Cut(arg, ":")
	if list == "" || strings.Contains(list, ":") {
		return nil, illegal("Invalid topic arg '%s', expected topic name and partitions", arg)
	}
	var all []topicPartition
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, illegal("Invalid partition '%s' specified in topic arg '%s''", text, arg)
		}
		all = append(all, topicPartition{topic, int32(n)})
	}
	return all, nil
}

// mustBeThere wants the partitions to exist and to have leaders.
func (g *groupCall) mustBeThere(all []topicPartition) error {
	var names []string
	for _, tp := range all {
		names = append(names, tp.topic)
	}
	topics, err := g.k.describe(g.ctx, slices.Compact(slices.Sorted(slices.Values(names))))
	if err != nil {
		return runtimeError(execution(err))
	}
	leaders := map[topicPartition]int32{}
	for _, t := range topics {
		for _, p := range t.partitions {
			leaders[topicPartition{t.name, p.number}] = p.leader
		}
	}
	var missing, idle []string
	for _, tp := range all {
		if leader, ok := leaders[tp]; !ok {
			missing = append(missing, tp.String())
		} else if leader < 0 {
			idle = append(idle, tp.String())
		}
	}
	switch {
	case missing != nil:
		return javaError(apiErrors+"UnknownTopicOrPartitionException", "The partitions \"%s\" do not exist", strings.Join(missing, ","))
	case idle != nil:
		return javaError(apiErrors+"LeaderNotAvailableException", "The partitions \"%s\" have no leader", strings.Join(idle, ","))
	}
	return nil
}

func (g *groupCall) commit(group string, p plan) error {
	ctx, cancel := g.k.bounded(g.ctx)
	defer cancel()
	ids, err := g.topicIDs()
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.RetentionTimeMillis = group, -1, -1
	for _, tp := range slices.SortedFunc(maps.Keys(p), compare) {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != tp.topic {
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = tp.topic, ids[tp.topic]
			req.Topics = append(req.Topics, t)
		}
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = tp.number, p[tp], -1, kmsg.StringPtr("")
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, part)
	}
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, part := range t.Partitions {
			if err := ofCode(part.ErrorCode, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *groupCall) printPlans(plans map[string]plan) {
	name, topic := 15, 15
	for group, p := range plans {
		name = max(name, len(group))
		for tp := range p {
			topic = max(topic, len(tp.topic))
		}
	}
	if len(plans) > 0 {
		g.printf("\n%-*s %-*s %-10s %s", name, "GROUP", topic, "TOPIC", "PARTITION", "NEW-OFFSET")
	}
	for _, group := range slices.Sorted(maps.Keys(plans)) {
		for _, tp := range slices.SortedFunc(maps.Keys(plans[group]), compare) {
			g.printf("\n%-*s %-*s %-10d %d", name, group, topic, tp.topic, tp.number, plans[group][tp])
		}
	}
	g.printf("\n")
}

func (g *groupCall) exportPlans(plans map[string]plan) {
	for _, group := range slices.Sorted(maps.Keys(plans)) {
		for _, tp := range slices.SortedFunc(maps.Keys(plans[group]), compare) {
			if len(g.line.all("group")) != 1 {
				g.printf("%s,", csvField(group))
			}
			g.printf("%s,%d,%d\n", csvField(tp.topic), tp.number, plans[group][tp])
		}
	}
	g.printf("\n")
}

// csvField quotes what would not be one field.
func csvField(s string) string {
	if strings.ContainsAny(s, "\", \n") {
		return fmt.Sprintf(`"%s"`, strings.ReplaceAll(s, `"`, `""`))
	}
	return s
}

package kafkatools

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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

func (g *groupCall) newOffsets(group string, partitions []topicPartition) (plan, error) {
	l := g.line
	switch {
	case l.has("to-offset"):
		wanted := plan{}
		for _, tp := range partitions {
			wanted[tp] = l.num("to-offset")
		}
		return g.inRange(wanted)
	case l.has("to-earliest"):
		return g.at(partitions, timeEarliest)
	case l.has("to-latest"):
		return g.at(partitions, timeLatest)
	case l.has("shift-by"):
		return g.shifted(group, partitions)
	case l.has("to-datetime"):
		t, err := dateTime(l.text("to-datetime"))
		if err != nil {
			return nil, err
		}
		return g.since(partitions, t)
	case l.has("by-duration"):
		d, err := isoDuration(l.text("by-duration"))
		if err != nil {
			return nil, err
		}
		return g.since(partitions, time.Now().Add(-d))
	case l.has("from-file"):
		return g.fromFile(group)
	case l.has("to-current"):
		return g.current(group, partitions)
	}
	return nil, usage("Option '[reset-offsets]' requires one of the following scenarios: [[%s]]", strings.Join(resetScenarios, "], ["))
}

func (g *groupCall) at(partitions []topicPartition, place int64) (plan, error) {
	found, err := g.k.offsetsAt(g.ctx, partitions, place)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	p := plan{}
	for tp, o := range found {
		if o.err != nil {
			return nil, runtimeError(execution(o.err))
		}
		p[tp] = o.offset
	}
	return p, nil
}

const offsetsLogger = "org.apache.kafka.tools.OffsetsUtils"

// inRange moves offsets that are outside of a partition to its nearest end.
func (g *groupCall) inRange(wanted plan) (plan, error) {
	partitions := slices.SortedFunc(maps.Keys(wanted), compare)
	starts, err := g.at(partitions, timeEarliest)
	if err != nil {
		return nil, err
	}
	ends, err := g.at(partitions, timeLatest)
	if err != nil {
		return nil, err
	}
	for _, tp := range partitions {
		switch o := wanted[tp]; {
		case o > ends[tp]:
			g.log("WARN", offsetsLogger, "New offset (%d) is higher than latest offset for topic partition %s. Value will be set to %d", o, tp, ends[tp])
			wanted[tp] = ends[tp]
		case o < starts[tp]:
			g.log("WARN", offsetsLogger, "New offset (%d) is lower than earliest offset for topic partition %s. Value will be set to %d", o, tp, starts[tp])
			wanted[tp] = starts[tp]
		}
	}
	return wanted, nil
}

func (g *groupCall) shifted(group string, partitions []topicPartition) (plan, error) {
	committed, err := g.committed(group)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	wanted := plan{}
	for _, tp := range partitions {
		now, ok := committed[tp]
		if !ok {
			return nil, illegal("Cannot shift offset for partition %s since there is no current committed offset", tp)
		}
		wanted[tp] = now.offset + g.line.num("shift-by")
	}
	return g.inRange(wanted)
}

// since is the first record at or after a time, or the end where there is none.
func (g *groupCall) since(partitions []topicPartition, t time.Time) (plan, error) {
	p, err := g.at(partitions, t.UnixMilli())
	if err != nil {
		return nil, err
	}
	var none []topicPartition
	for _, tp := range partitions {
		if p[tp] < 0 {
			g.printf("\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", tp.number, tp.topic)
			none = append(none, tp)
		}
	}
	ends, err := g.at(none, timeLatest)
	maps.Copy(p, ends)
	return p, err
}

func (g *groupCall) current(group string, partitions []topicPartition) (plan, error) {
	committed, err := g.committed(group)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	p := plan{}
	var none []topicPartition
	for _, tp := range partitions {
		if now, ok := committed[tp]; ok {
			p[tp] = now.offset
		} else {
			none = append(none, tp)
		}
	}
	ends, err := g.at(none, timeLatest)
	maps.Copy(p, ends)
	return p, err
}

// fromFile reads lines of topic,partition,offset where one group is meant, or of group,topic,partition,offset.
func (g *groupCall) fromFile(group string) (plan, error) {
	path := g.line.text("from-file")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &failure{"java.lang.RuntimeException", "java.io.IOException: Unable to read file " + path, err}
	}
	wanted := plan{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		for i := range fields {
			fields[i] = strings.Trim(fields[i], `"`)
		}
		if len(fields) == 3 && len(g.line.all("group")) == 1 {
			fields = append([]string{group}, fields...)
		}
		if len(fields) != 4 {
			return nil, illegal("%s: %q is neither topic,partition,offset nor group,topic,partition,offset", path, strings.TrimSpace(line))
		}
		partition, perr := strconv.ParseInt(fields[2], 10, 32)
		offset, oerr := strconv.ParseInt(fields[3], 10, 64)
		if err := errors.Join(perr, oerr); err != nil {
			return nil, illegal("%s: %q: %s", path, strings.TrimSpace(line), perr)
		}
		if fields[0] == group {
			wanted[topicPartition{fields[1], int32(partition)}] = offset
		}
	}
	if len(wanted) == 0 {
		g.printError("No reset plan for group " + group + " found")
		return wanted, nil
	}
	return g.inRange(wanted)
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

package kafkatools

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

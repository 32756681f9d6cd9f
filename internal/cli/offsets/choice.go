package offsets

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/cli/target"
)

// Choice is a topic, or some of its partitions, as TOPIC or TOPIC:0,3-5 names them.
type Choice struct {
	Topic      string
	Partitions []int32 // empty: all
}

// Choices are several; none stand for everything.
type Choices []Choice

// ParseChoices reads choices.
func ParseChoices(texts []string) (Choices, error) {
	var all Choices
	for _, text := range texts {
		topic, list, some := strings.Cut(text, ":")
		c := Choice{Topic: topic}
		if some {
			for _, part := range strings.Split(list, ",") {
				numbers, ok := parseNumbers(part)
				if !ok {
					return nil, fmt.Errorf("%q is not TOPIC or TOPIC:PARTITIONS, such as orders:0,3-5", text)
				}
				c.Partitions = append(c.Partitions, numbers...)
			}
		}
		if topic == "" {
			return nil, fmt.Errorf("%q has no topic", text)
		}
		all = append(all, c)
	}
	return all, nil
}

// parseNumbers reads N or FIRST-LAST.
func parseNumbers(text string) ([]int32, bool) {
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 31)
	last, err2 := strconv.ParseUint(to, 10, 31)
	if err1 != nil || err2 != nil || last < first || last-first > 100_000 {
		return nil, false
	}
	var numbers []int32
	for n := first; n <= last; n++ {
		numbers = append(numbers, int32(n))
	}
	return numbers, true
}

// Has tells whether a partition is chosen.
func (cs Choices) Has(topic string, partition int32) bool {
	return len(cs) == 0 || slices.ContainsFunc(cs, func(c Choice) bool {
		return c.Topic == topic && (len(c.Partitions) == 0 || slices.Contains(c.Partitions, partition))
	})
}

// Find lists the chosen partitions, in order, and refuses those that do not exist.
func (cs Choices) Find(ctx context.Context, a *kadm.Client) ([]Partition, error) {
	var names []string
	for _, c := range cs {
		names = append(names, c.Topic)
	}
	topics, err := a.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, c := range cs {
		d, ok := topics[c.Topic]
		if !ok || d.Err != nil {
			return nil, target.Refused(kerr.UnknownTopicOrPartition, "topic %s does not exist (headrace topic list shows those that do)", c.Topic)
		}
		for _, p := range c.Partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, fmt.Errorf("topic %s has no partition %d: it has %d, from 0 on", c.Topic, p, len(d.Partitions))
			}
		}
	}
	return slices.DeleteFunc(Of(topics), func(p Partition) bool { return !cs.Has(p.Topic, p.Number) }), nil
}

// Known fails where the bounds of a partition are not known.
func (b Bounds) Known() error {
	for p, at := range b {
		if at.Err != nil {
			return fmt.Errorf("ask for the offsets of partition %d of %s: %w", p.Number, p.Topic, target.Explain(at.Err, ""))
		}
	}
	return nil
}

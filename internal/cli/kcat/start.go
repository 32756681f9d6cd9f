package kcat

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/offsets"
)

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

// startsOf is where the options have partitions begin.
func (c *reading) startsOf(topic string, numbers []int32) (map[int32]place, error) {
	all, err := c.bounds(topic, numbers)
	if err != nil {
		return nil, err
	}
	var since, stored map[int32]int64
	switch {
	case c.o.startTime != 0:
		since, err = c.listed(topic, numbers, c.o.startTime)
	case c.o.offset == atStored:
		stored, err = c.stored(c.o.props["group.id"], topic)
	}
	if err != nil {
		return nil, err
	}
	for p, at := range all {
		switch {
		case c.o.startTime != 0:
			if at.next = since[p]; at.next < 0 {
				at.next = at.end
			}
		case c.o.tail > 0:
			at.next = max(at.next, at.end-c.o.tail)
		case c.o.offset == atEnd:
			at.next = at.end
		case c.o.offset == atStored:
			at.next = c.storedOr(stored, p, at)
		case c.o.offset >= 0:
			if c.o.offset < at.next || c.o.offset > at.end {
				at.next = c.fallback(at.next, at.end)
			} else {
				at.next = c.o.offset
			}
		}
		all[p] = at
	}
	return all, nil
}

// bounds are places at the first records of partitions, with their ends.
func (c *reading) bounds(topic string, numbers []int32) (map[int32]place, error) {
	starts, err := c.listed(topic, numbers, atBeginning)
	if err != nil {
		return nil, err
	}
	ends, err := c.listed(topic, numbers, atEnd)
	if err != nil {
		return nil, err
	}
	all := map[int32]place{}
	for _, p := range numbers {
		all[p] = place{next: starts[p], end: ends[p]}
	}
	return all, nil
}

// listed asks for the offsets of partitions at a time, or at an end: one question a node, however many partitions there are.
func (c *reading) listed(topic string, numbers []int32, at int64) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.metadataTimeout)
	defer cancel()
	isolation := offsets.ReadUncommitted
	if c.o.props.or("isolation.level", "read_committed") == "read_committed" {
		isolation = offsets.ReadCommitted
	}
	var parts []offsets.Partition
	for _, p := range numbers {
		parts = append(parts, offsets.Partition{Topic: topic, Number: p})
	}
	found, err := offsets.List(ctx, c.client, parts, at, isolation)
	if err != nil {
		return nil, fatal("Failed to start consuming topic %s: %s", topic, cause(err))
	}
	all := map[int32]int64{}
	for part, l := range found {
		var code *kerr.Error
		if errors.As(l.Err, &code) {
			return nil, fatal("Failed to start consuming topic %s [%d]: %s", topic, part.Number, words(code.Code))
		}
		all[part.Number] = l.Offset
	}
	return all, nil
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

// stored is what a group has committed in a topic.
func (c *reading) stored(group, topic string) (map[int32]int64, error) {
	if group == "" {
		return nil, nil
	}
	committed, err := kadm.NewClient(c.client).FetchOffsets(c.ctx, group)
	if err != nil {
		return nil, fatal("Failed to start consuming topic %s: %s", topic, cause(err))
	}
	all := map[int32]int64{}
	for p, o := range committed[topic] {
		if o.Err == nil && o.At >= 0 {
			all[p] = o.At
		}
	}
	return all, nil
}

// storedOr is what is stored of a partition, or the place where one begins of which nothing is.
func (c *reading) storedOr(stored map[int32]int64, p int32, at place) int64 {
	if next, ok := stored[p]; ok {
		return next
	}
	return c.fallback(at.next, at.end)
}

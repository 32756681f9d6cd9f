package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/term"
)

// readPlan is what is left to read: the next offset of each partition and the one to stop before.
type readPlan map[offsets.Partition]*span

type span struct {
	next, limit int64
	read        bool // a record was seen
}

// makePlan finds the partitions and their ranges, and refuses topics and partitions that do not exist.
func makePlan(ctx context.Context, client *kgo.Client, o *consumeOptions) (readPlan, error) {
	details, err := topicsToRead(ctx, client, o)
	if err != nil {
		return nil, err
	}
	wanted := o.place.partitions
	for _, d := range details {
		for _, p := range wanted {
			if _, ok := d.Partitions[p]; !ok {
				return nil, fmt.Errorf("topic %s has no partition %d: it has %d, from 0 on", d.Topic, p, len(d.Partitions))
			}
		}
	}
	parts := offsets.Of(details)
	if len(wanted) > 0 {
		parts = slices.DeleteFunc(parts, func(p offsets.Partition) bool { return !slices.Contains(wanted, p.Number) })
	}
	at, err := offsets.ListBounds(ctx, client, parts, o.place.isolation())
	if err != nil {
		return nil, err
	}
	if err := at.Known(); err != nil {
		return nil, err
	}
	return planBetween(ctx, client, at, o)
}

// topicsToRead looks the topics up: those that are named, or those that an expression finds, where the cluster's own are left out.
func topicsToRead(ctx context.Context, client *kgo.Client, o *consumeOptions) (kadm.TopicDetails, error) {
	a := kadm.NewClient(client)
	if !o.regex {
		details, err := a.ListTopicsWithInternal(ctx, o.topics...)
		if err != nil {
			return nil, err
		}
		for _, t := range o.topics {
			if d, ok := details[t]; !ok || d.Err != nil {
				return nil, topicError("read", t, cmpError(d.Err, kerr.UnknownTopicOrPartition), "")
			}
		}
		return details, nil
	}
	var patterns []*regexp.Regexp
	for _, t := range o.topics {
		pattern, err := regexp.Compile(t)
		if err != nil {
			return nil, term.Usage("--regex: %s", err)
		}
		patterns = append(patterns, pattern)
	}
	details, err := a.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	for name := range details {
		if !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) }) {
			delete(details, name)
		}
	}
	if len(details) == 0 && !(o.group != "" && o.follow) {
		return nil, fmt.Errorf("no topic is found by %s (headrace topic list shows those there are)", strings.Join(o.topics, ", "))
	}
	return details, nil
}

func planBetween(ctx context.Context, client *kgo.Client, at offsets.Bounds, o *consumeOptions) (readPlan, error) {
	from, err := o.place.from.Resolve(ctx, client, at, o.place.isolation())
	if err != nil {
		return nil, err
	}
	to, err := o.place.to.Resolve(ctx, client, at, o.place.isolation())
	if err != nil {
		return nil, err
	}
	plan := readPlan{}
	for p, b := range at {
		s := &span{next: from[p], limit: to[p]}
		if !o.follow {
			s.limit = min(s.limit, b.End)
		}
		plan[p] = s
	}
	return plan, nil
}

// starts are the places where a client begins, without the partitions that have nothing to read.
func (p readPlan) starts(follow bool) map[string]map[int32]kgo.Offset {
	all := map[string]map[int32]kgo.Offset{}
	for part, s := range p {
		if !follow && s.next >= s.limit {
			continue
		}
		if all[part.Topic] == nil {
			all[part.Topic] = map[int32]kgo.Offset{}
		}
		all[part.Topic][part.Number] = kgo.NewOffset().At(s.next)
	}
	return all
}

// step moves the plan behind a record and tells whether the record belongs to it.
func (p readPlan) step(rec *kgo.Record, o *consumeOptions) bool {
	s := p[offsets.Partition{Topic: rec.Topic, Number: rec.Partition}]
	if s == nil {
		return o.follow // a partition that was added meanwhile
	}
	s.next, s.read = max(s.next, rec.Offset+1), true
	return !o.ends() || rec.Offset < s.limit
}

func (p readPlan) finished() bool {
	for _, s := range p {
		if s.next < s.limit {
			return false
		}
	}
	return true
}

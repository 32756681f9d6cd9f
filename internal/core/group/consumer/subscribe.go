package consumer

import (
	"hash/fnv"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// Topics is the cluster's topics at the time of a Turn.
type Topics interface {
	assign.Topics
	ID(name string) (kafka.TopicID, bool)
	Name(id kafka.TopicID) (string, bool)
	// Version changes with everything else that Topics says.
	Version() uint64
	// Created changes when a topic is created: it grows.
	Created() int64
}

// view is the members as they will be when the records of a Turn are applied: but for those in without, and with plus.
type view struct {
	g       *Group
	without map[string]bool
	plus    *Member
}

func (v view) members() iter.Seq[*Member] {
	return func(yield func(*Member) bool) {
		for id, m := range v.g.members.All() {
			if !v.without[id] && (v.plus == nil || id != v.plus.ID) && !yield(m) {
				return
			}
		}
		if v.plus != nil {
			yield(v.plus)
		}
	}
}

// topics is all that the members subscribe to, sorted.
func (v view) topics() []string {
	all, regexes := make(map[string]struct{}), make(map[string]struct{})
	var last []string
	for m := range v.members() {
		if m.Regex != "" {
			regexes[m.Regex] = struct{}{}
		}
		if len(m.Topics) == 0 || len(m.Topics) == len(last) && &m.Topics[0] == &last[0] {
			continue
		}
		for _, name := range m.Topics {
			all[name] = struct{}{}
		}
		last = m.Topics
	}
	for regex := range regexes {
		if r, ok := v.g.regexes.Get(regex); ok {
			for _, name := range r.Topics {
				all[name] = struct{}{}
			}
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// topics is what the members subscribe to now, sorted.
func (g *Group) topics() []string {
	if g.subscribed == nil {
		g.subscribed = view{g: g}.topics()
	}
	return g.subscribed
}

// users is how many members have each regular expression.
func (g *Group) users() map[string]int {
	if g.uses == nil {
		g.uses = make(map[string]int)
		for _, m := range g.members.All() {
			if m.Regex != "" {
				g.uses[m.Regex]++
			}
		}
	}
	return g.uses
}

// hash is a number for all of the topics that assignors look at: when it changes, so may the target. 0 is for no topics.
func (t *Turn) hash(names []string) int64 {
	h, none := fnv.New64a(), true
	var b []byte
	for _, name := range names {
		id, ok := t.Topics.ID(name)
		if !ok {
			continue
		}
		none = false
		n := t.Topics.Partitions(id)
		b = append(b[:0], id[:]...)
		b = kbin.AppendCompactString(b, name)
		b = kbin.AppendInt32(b, n)
		for p := range n {
			racks := slices.Sorted(slices.Values(t.Topics.Racks(id, p)))
			b = kbin.AppendInt32(b, int32(len(racks)))
			for _, r := range racks {
				b = kbin.AppendCompactString(b, r)
			}
		}
		h.Write(b)
	}
	if none {
		return 0
	}
	return int64(h.Sum64())
}

// ids is what a member subscribes to, by name and by regular expression, as far as it exists.
func (t *Turn) ids(g *Group, m *Member) []kafka.TopicID {
	names := m.Topics
	if r, ok := g.regexes.Get(m.Regex); ok {
		names = slices.Concat(names, r.Topics)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	ids := make([]kafka.TopicID, 0, len(names))
	for _, name := range names {
		if id, ok := t.Topics.ID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// wants tells whether a member subscribes to the topic. A regular expression that is not resolved is no topic.
func (t *Turn) wants(g *Group, m *Member) func(kafka.TopicID) bool {
	regex, _ := g.regexes.Get(m.Regex)
	return func(id kafka.TopicID) bool {
		name, ok := t.Topics.Name(id)
		if !ok {
			return false
		}
		if _, ok := slices.BinarySearch(m.Topics, name); ok {
			return true
		}
		if regex == nil {
			return false
		}
		_, ok = slices.BinarySearch(regex.Topics, name)
		return ok
	}
}

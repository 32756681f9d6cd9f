package share

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// initialize asks for the state of partitions that members subscribe to and that have none. What was asked for a while ago
// without an answer is asked for again.
func (t *Turn) initialize(v view, e epochs) {
	g, s := v.g, v.g.state().copy()
	ask := &Initialize{StateEpoch: e.group}
	for _, name := range v.topics() {
		id, ok := t.Topics.ID(name)
		if !ok {
			continue
		}
		has := s.initialized[id].partitions
		if at, ok := g.asked[id]; ok && t.Now.Sub(at) < t.Config.InitializeRetry {
			has = union(has, s.initializing[id].partitions)
		}
		missing := without(t.Topics.Partitions(id), has)
		if len(missing) == 0 {
			continue
		}
		g.asked[id] = t.Now
		ask.Topics = append(ask.Topics, Partitions{Topic: id, Partitions: missing})
		s.initializing[id] = topicState{name: name, partitions: union(s.initializing[id].partitions, missing)}
		delete(s.deleting, id)
	}
	if len(ask.Topics) > 0 {
		t.record(stateRecord(g.ID, s))
		t.Out.Initialize = ask
	}
}

// Initialized says that partitions have state by now: they can be assigned.
func (t *Turn) Initialized(g *Group, done []Partitions) {
	s := g.state().copy()
	for _, p := range done {
		s.initialized[p.Topic] = topicState{name: t.nameOf(p.Topic, s), partitions: union(s.initialized[p.Topic].partitions, p.Partitions)}
		s.notInitializing(p)
	}
	t.record(stateRecord(g.ID, s))
}

// NotInitialized says that the share coordinator could not begin the state of partitions. The next heartbeat asks again.
func (t *Turn) NotInitialized(g *Group, failed []Partitions) {
	s := g.state().copy()
	for _, p := range failed {
		s.notInitializing(p)
	}
	t.record(stateRecord(g.ID, s))
}

// TopicsDeleted forgets the state of topics that are gone, when there was any.
func (t *Turn) TopicsDeleted(g *Group, topics []kafka.TopicID) {
	s, found := g.state().copy(), false
	for _, id := range topics {
		_, initializing := s.initializing[id]
		_, initialized := s.initialized[id]
		_, deleting := s.deleting[id]
		found = found || initializing || initialized || deleting
		delete(s.initializing, id)
		delete(s.initialized, id)
		delete(s.deleting, id)
	}
	if found {
		t.record(stateRecord(g.ID, s))
	}
}

func (t *Turn) nameOf(id kafka.TopicID, s states) string {
	if name, ok := t.Topics.Name(id); ok {
		return name
	}
	return s.initializing[id].name
}

func (s states) notInitializing(p Partitions) {
	was := s.initializing[p.Topic]
	left := slices.DeleteFunc(slices.Clone(was.partitions), func(i int32) bool { return slices.Contains(p.Partitions, i) })
	if len(left) == 0 {
		delete(s.initializing, p.Topic)
		return
	}
	s.initializing[p.Topic] = topicState{name: was.name, partitions: left}
}

func union(a, b []int32) []int32 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// without lists the partitions of n that are not in has, which is ascending.
func without(n int32, has []int32) []int32 {
	var missing []int32
	for p := range n {
		if _, ok := slices.BinarySearch(has, p); !ok {
			missing = append(missing, p)
		}
	}
	return missing
}

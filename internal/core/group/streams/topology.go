package streams

import (
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topology is what an application does, as its first member said. It is never changed.
type Topology struct {
	Epoch         int32
	Subtopologies []Subtopology // as they came

	sourceOf map[string]string // topic → the subtopology that reads it
}

// Subtopology is a part of a topology whose tasks are worked on together.
type Subtopology struct {
	ID                 string
	Sources            []string
	SourceRegexes      []string
	Changelogs         []InternalTopic
	RepartitionSinks   []string
	RepartitionSources []InternalTopic
	Copartitioned      []Copartitioned
}

// InternalTopic is a topic that an application needs for itself: the coordinator has it made.
type InternalTopic struct {
	Name              string
	Partitions        int32 // 0 for as many as its sources have
	ReplicationFactor int16 // 0 for the cluster's default
	Configs           []Pair
}

// Copartitioned is topics of a Subtopology that must have the same number of partitions, by their places in its lists.
type Copartitioned struct {
	Sources, SourceRegexes, RepartitionSources []int16
}

// names are the names of the topics. A place that there is not is left out.
func (c Copartitioned) names(s *Subtopology) []string {
	var names []string
	for _, i := range c.Sources {
		if i >= 0 && int(i) < len(s.Sources) {
			names = append(names, s.Sources[i])
		}
	}
	for _, i := range c.RepartitionSources {
		if i >= 0 && int(i) < len(s.RepartitionSources) {
			names = append(names, s.RepartitionSources[i].Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// inputs are all topics that the subtopology reads, sorted.
func (s *Subtopology) inputs() []string {
	names := slices.Clone(s.Sources)
	for _, t := range s.RepartitionSources {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t *Topology) finish() *Topology {
	t.sourceOf = make(map[string]string)
	for i := range t.Subtopologies {
		for _, name := range t.Subtopologies[i].inputs() {
			t.sourceOf[name] = t.Subtopologies[i].ID
		}
	}
	return t
}

// required is all topics that there must be, sorted.
func (t *Topology) required() []string {
	var names []string
	for i := range t.Subtopologies {
		names = append(names, t.Subtopologies[i].inputs()...)
		for _, c := range t.Subtopologies[i].Changelogs {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// same tells whether both are the same topology, in whichever order their parts came.
func (t *Topology) same(other *Topology) bool {
	byID := func(subs []Subtopology) []Subtopology {
		return slices.SortedFunc(slices.Values(subs), func(a, b Subtopology) int { return strings.Compare(a.ID, b.ID) })
	}
	return t.Epoch == other.Epoch && reflect.DeepEqual(byID(t.Subtopologies), byID(other.Subtopologies))
}

// topologyOf copies the topology of a request.
func topologyOf(req *kmsg.StreamsGroupHeartbeatRequestTopology) *Topology {
	t := &Topology{Epoch: req.Epoch}
	for _, s := range req.Subtopologies {
		sub := Subtopology{
			ID: strings.Clone(s.SubtopologyID), Sources: copyStrings(s.SourceTopics), SourceRegexes: copyStrings(s.SourceTopicRegex),
			Changelogs: copyTopics(s.StateChangelogTopics), RepartitionSinks: copyStrings(s.RepartitionSinkTopics),
			RepartitionSources: copyTopics(s.RepartitionSourceTopics),
		}
		for _, c := range s.CopartitionGroups {
			sub.Copartitioned = append(sub.Copartitioned, Copartitioned{
				Sources: copyOf(c.SourceTopics), SourceRegexes: copyOf(c.SourceTopicRegex), RepartitionSources: copyOf(c.RepartitionSourceTopics),
			})
		}
		t.Subtopologies = append(t.Subtopologies, sub)
	}
	return t.finish()
}

// copyOf is nil for nothing, as what is read from a record is.
func copyOf[T any](all []T) []T { return append([]T(nil), all...) }

func copyStrings(all []string) []string {
	c := copyOf(all)
	for i := range c {
		c[i] = strings.Clone(c[i])
	}
	return c
}

func copyTopics(all []kmsg.TopicInfo) []InternalTopic {
	var c []InternalTopic
	for _, t := range all {
		topic := InternalTopic{Name: strings.Clone(t.Topic), Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
		for _, p := range t.Configs {
			topic.Configs = append(topic.Configs, Pair{strings.Clone(p.Key), strings.Clone(p.Value)})
		}
		c = append(c, topic)
	}
	return c
}

package consumer

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// The consumer protocol that is embedded in the classic one: what a member says of itself as the metadata of its JoinGroup, and what
// it is told to have in the answer to its SyncGroup.

const (
	subscriptionOwned      = 1 // versions from which a subscription has the partitions that the member has,
	subscriptionGeneration = 2 // the generation that it has them from,
	subscriptionRack       = 3 // and its rack; later ones are read like this one
)

// subscription is what a classic member says of itself.
type subscription struct {
	version    int16
	topics     []string // sorted, without duplicates
	owned      []named
	generation int32 // of owned; -1 when it is not said
	rack       *string
}

// named is partitions of a topic.
type named struct {
	topic      string
	partitions []int32
}

// readSubscription copies what it returns. Counts are not trusted: each loop ends with the bytes.
func readSubscription(metadata []byte) (subscription, error) {
	r := kbin.Reader{Src: metadata}
	s := subscription{version: r.Int16(), generation: -1}
	for n := r.ArrayLen(); n > 0 && r.Ok(); n-- {
		s.topics = append(s.topics, r.String())
	}
	r.NullableBytes()
	if s.version >= subscriptionOwned {
		s.owned = readNamed(&r)
	}
	if s.version >= subscriptionGeneration {
		s.generation = r.Int32()
	}
	if s.version >= subscriptionRack {
		s.rack = r.NullableString()
	}
	if s.version < 0 || !r.Ok() {
		return s, fmt.Errorf("a subscription of version %d and %d bytes cannot be read", s.version, len(metadata))
	}
	slices.Sort(s.topics)
	s.topics = slices.Compact(s.topics)
	return s, nil
}

func readNamed(r *kbin.Reader) (all []named) {
	for n := r.ArrayLen(); n > 0 && r.Ok(); n-- {
		t := named{topic: r.String()}
		for k := r.ArrayLen(); k > 0 && r.Ok(); k-- {
			t.partitions = append(t.partitions, r.Int32())
		}
		all = append(all, t)
	}
	return all
}

// readEmbedded reads an assignment; own tells that it has data of an assignor of the user's own.
func readEmbedded(assignment []byte) (all []named, own bool, _ error) {
	if len(assignment) == 0 {
		return nil, false, nil
	}
	r := kbin.Reader{Src: assignment}
	version := r.Int16()
	all = readNamed(&r)
	own = len(r.NullableBytes()) > 0
	if version < 0 || !r.Ok() {
		return nil, false, fmt.Errorf("an assignment of version %d and %d bytes cannot be read", version, len(assignment))
	}
	return all, own, nil
}

// embed is the assignment in the version of the member's subscription, by the names of its topics.
func (t *Turn) embed(a assign.Assignment, metadata []byte) []byte {
	version := (&kbin.Reader{Src: metadata}).Int16()
	var all []named
	for id, partitions := range a {
		if name, ok := t.Topics.Name(id); ok {
			all = append(all, named{name, partitions})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return compareNames(a.topic, b.topic) })
	b := kbin.AppendInt16(nil, min(version, subscriptionRack))
	b = kbin.AppendArrayLen(b, len(all))
	for _, topic := range all {
		b = kbin.AppendString(b, topic.topic)
		b = kbin.AppendArrayLen(b, len(topic.partitions))
		for _, p := range topic.partitions {
			b = kbin.AppendInt32(b, p)
		}
	}
	return kbin.AppendNullableBytes(b, nil)
}

// known calls for each of the partitions whose topic exists.
func (t *Turn) known(all []named, each func(kafka.TopicID, int32)) {
	for _, topic := range all {
		if id, ok := t.Topics.ID(topic.topic); ok {
			for _, p := range topic.partitions {
				each(id, p)
			}
		}
	}
}

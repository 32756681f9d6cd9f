package streams

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/core/machine"
)

// The kinds of records in __consumer_offsets that are a group's of this package, by the number that their key begins with.
const (
	EpochKind       int16 = 17 // group → its epoch, the hash of its topics, what the last target went by
	MemberKind      int16 = 19 // group, member → what the member said of itself
	TargetEpochKind int16 = 20 // group → the epoch of the target assignment
	TargetKind      int16 = 21 // group, member → its target
	AssignmentKind  int16 = 22 // group, member → what it has
	TopologyKind    int16 = 23 // group → its topology

	valueVersion = 0
	validatedTag = 0
	configsTag   = 1
	timestampTag = 0
	epochsTag    = 0
)

// ReadKey reads what follows the kind in a key: the group, and the member for kinds that have it.
func ReadKey(kind int16, r *kbin.Reader) (group, member string, err error) {
	group = r.String()
	switch kind {
	case MemberKind, TargetKind, AssignmentKind:
		member = r.String()
	}
	if err := r.Complete(); err != nil {
		return "", "", fmt.Errorf("key of kind %d: %w", kind, err)
	}
	return group, member, nil
}

func key(kind int16, names ...string) []byte {
	b := kbin.AppendInt16(nil, kind)
	for _, n := range names {
		b = kbin.AppendString(b, n)
	}
	return b
}

func epochRecord(group string, e epochs) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, e.group)
	v = kbin.AppendInt64(v, e.hash)
	var tags []tagged
	if e.validated != -1 {
		tags = append(tags, tagged{validatedTag, kbin.AppendInt32(nil, e.validated)})
	}
	if len(e.configs) > 0 {
		tags = append(tags, tagged{configsTag, appendPairs(nil, e.configs)})
	}
	return machine.Record{Key: key(EpochKind, group), Value: appendTags(v, tags...)}
}

func targetEpochRecord(group string, e epochs) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, e.target)
	var tags []tagged
	if e.targetAt != 0 {
		tags = []tagged{{timestampTag, kbin.AppendInt64(nil, e.targetAt)}}
	}
	return machine.Record{Key: key(TargetEpochKind, group), Value: appendTags(v, tags...)}
}

func memberRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendCompactNullableString(v, m.Instance)
	v = kbin.AppendCompactNullableString(v, m.Rack)
	v = kbin.AppendCompactString(v, m.Client)
	v = kbin.AppendCompactString(v, m.Host)
	v = kbin.AppendInt32(v, int32(m.RebalanceTimeout/time.Millisecond))
	v = kbin.AppendInt32(v, m.TopologyEpoch)
	v = kbin.AppendCompactString(v, m.Process)
	if e := m.Endpoint; e != nil {
		v = kbin.AppendInt8(v, 1)
		v = kbin.AppendCompactString(v, e.Host)
		v = appendTags(kbin.AppendUint16(v, e.Port))
	} else {
		v = kbin.AppendInt8(v, -1)
	}
	v = appendPairs(v, m.Tags)
	return machine.Record{Key: key(MemberKind, group, m.ID), Value: appendTags(v)}
}

func targetRecord(group, member string, target Assignment) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	for _, tasks := range target {
		v = appendTasks(v, tasks, false)
	}
	return machine.Record{Key: key(TargetKind, group, member), Value: appendTags(v)}
}

func assignmentRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, m.Epoch)
	v = kbin.AppendInt32(v, m.Previous)
	v = kbin.AppendInt8(v, int8(m.State))
	for _, a := range []Assignment{m.Assigned, m.Revoking} {
		for role := range a {
			v = appendTasks(v, a[role], Role(role) == Active)
		}
	}
	return machine.Record{Key: key(AssignmentKind, group, m.ID), Value: appendTags(v)}
}

func topologyRecord(group string, t *Topology) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, t.Epoch)
	v = kbin.AppendCompactArrayLen(v, len(t.Subtopologies))
	for _, s := range t.Subtopologies {
		v = kbin.AppendCompactString(v, s.ID)
		v = appendStrings(v, s.Sources)
		v = appendStrings(v, s.SourceRegexes)
		v = appendTopics(v, s.Changelogs)
		v = appendStrings(v, s.RepartitionSinks)
		v = appendTopics(v, s.RepartitionSources)
		v = kbin.AppendCompactArrayLen(v, len(s.Copartitioned))
		for _, c := range s.Copartitioned {
			for _, places := range [][]int16{c.Sources, c.SourceRegexes, c.RepartitionSources} {
				v = kbin.AppendCompactArrayLen(v, len(places))
				for _, i := range places {
					v = kbin.AppendInt16(v, i)
				}
			}
			v = appendTags(v)
		}
		v = appendTags(v)
	}
	return machine.Record{Key: key(TopologyKind, group), Value: appendTags(v)}
}

func tombstone(kind int16, names ...string) machine.Record {
	return machine.Record{Key: key(kind, names...)}
}

// memberTombstones take a member out of the log.
func memberTombstones(group, member string) []machine.Record {
	return []machine.Record{
		tombstone(AssignmentKind, group, member), tombstone(TargetKind, group, member), tombstone(MemberKind, group, member),
	}
}

func appendStrings(v []byte, all []string) []byte {
	v = kbin.AppendCompactArrayLen(v, len(all))
	for _, s := range all {
		v = kbin.AppendCompactString(v, s)
	}
	return v
}

func appendTopics(v []byte, topics []InternalTopic) []byte {
	v = kbin.AppendCompactArrayLen(v, len(topics))
	for _, t := range topics {
		v = kbin.AppendCompactString(v, t.Name)
		v = kbin.AppendInt32(v, t.Partitions)
		v = kbin.AppendInt16(v, t.ReplicationFactor)
		v = appendTags(appendPairs(v, t.Configs))
	}
	return v
}

func appendPairs(v []byte, pairs []Pair) []byte {
	v = kbin.AppendCompactArrayLen(v, len(pairs))
	for _, p := range pairs {
		v = kbin.AppendCompactString(v, p.Key)
		v = appendTags(kbin.AppendCompactString(v, p.Value))
	}
	return v
}

func appendTasks(v []byte, tasks Tasks, withEpochs bool) []byte {
	parts := tasks.sorted()
	v = kbin.AppendCompactArrayLen(v, len(parts))
	for _, p := range parts {
		v = kbin.AppendCompactString(v, p.subtopology)
		v = appendInts(v, p.partitions)
		if withEpochs {
			v = appendTags(v, tagged{epochsTag, appendInts(nil, p.epochs)})
		} else {
			v = appendTags(v)
		}
	}
	return v
}

func appendInts(v []byte, ints []int32) []byte {
	v = kbin.AppendCompactArrayLen(v, len(ints))
	for _, i := range ints {
		v = kbin.AppendInt32(v, i)
	}
	return v
}

// tagged is a tagged field.
type tagged struct {
	tag   uint32
	value []byte
}

func appendTags(v []byte, tags ...tagged) []byte {
	v = kbin.AppendUvarint(v, uint32(len(tags)))
	for _, t := range tags {
		v = kbin.AppendUvarint(v, t.tag)
		v = kbin.AppendUvarint(v, uint32(len(t.value)))
		v = append(v, t.value...)
	}
	return v
}

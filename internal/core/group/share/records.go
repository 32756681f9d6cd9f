package share

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
	"github.com/headrace/headrace/internal/core/machine"
)

// The kinds of records in __consumer_offsets that are a share group's, by the number that their key begins with.
const (
	MemberKind      int16 = 10 // group, member → what the member said of itself
	EpochKind       int16 = 11 // group → its epoch and the hash of its topics
	TargetEpochKind int16 = 12 // group → the epoch of the target assignment
	TargetKind      int16 = 13 // group, member → its target
	AssignmentKind  int16 = 14 // group, member → what it has
	StateKind       int16 = 15 // group → partitions whose state is kept, or about to be

	valueVersion = 0
	timestampTag = 0
	stable       = 0 // the one state that a member has in its AssignmentKind record
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

func memberRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendCompactNullableString(v, m.Rack)
	v = kbin.AppendCompactString(v, m.Client)
	v = kbin.AppendCompactString(v, m.Host)
	v = kbin.AppendCompactArrayLen(v, len(m.Topics))
	for _, t := range m.Topics {
		v = kbin.AppendCompactString(v, t)
	}
	return machine.Record{Key: key(MemberKind, group, m.ID), Value: noTags(v)}
}

func epochRecord(group string, e epochs) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, e.group)
	v = kbin.AppendInt64(v, e.hash)
	return machine.Record{Key: key(EpochKind, group), Value: noTags(v)}
}

func targetEpochRecord(group string, e epochs) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, e.target)
	if e.targetAt == 0 {
		v = noTags(v)
	} else {
		v = append(v, 1, timestampTag, 8)
		v = kbin.AppendInt64(v, e.targetAt)
	}
	return machine.Record{Key: key(TargetEpochKind, group), Value: v}
}

func targetRecord(group, member string, target assign.Assignment) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	return machine.Record{Key: key(TargetKind, group, member), Value: noTags(appendAssignment(v, target))}
}

func assignmentRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, m.Epoch)
	v = kbin.AppendInt32(v, m.Previous)
	v = kbin.AppendInt8(v, stable)
	return machine.Record{Key: key(AssignmentKind, group, m.ID), Value: noTags(appendAssignment(v, m.Assigned))}
}

func stateRecord(group string, s states) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	for _, topics := range []map[kafka.TopicID]topicState{s.initializing, s.initialized} {
		v = kbin.AppendCompactArrayLen(v, len(topics))
		for _, id := range sortedIDs(topics) {
			v = kbin.AppendUuid(v, id)
			v = kbin.AppendCompactString(v, topics[id].name)
			v = noTags(appendInts(v, topics[id].partitions))
		}
	}
	v = kbin.AppendCompactArrayLen(v, len(s.deleting))
	for _, id := range sortedIDs(s.deleting) {
		v = kbin.AppendUuid(v, id)
		v = noTags(kbin.AppendCompactString(v, s.deleting[id]))
	}
	return machine.Record{Key: key(StateKind, group), Value: noTags(v)}
}

func tombstone(kind int16, names ...string) machine.Record {
	return machine.Record{Key: key(kind, names...)}
}

func appendAssignment(v []byte, a assign.Assignment) []byte {
	v = kbin.AppendCompactArrayLen(v, len(a))
	for _, id := range sortedIDs(a) {
		v = kbin.AppendUuid(v, id)
		v = noTags(appendInts(v, a[id]))
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

func noTags(v []byte) []byte { return append(v, 0) }

func sortedIDs[V any](m map[kafka.TopicID]V) []kafka.TopicID {
	return slices.SortedFunc(maps.Keys(m), func(a, b kafka.TopicID) int { return slices.Compare(a[:], b[:]) })
}

// reader reads the value of a record. What it returns does not alias the value.
type reader struct{ kbin.Reader }

func newReader(value []byte) (*reader, error) {
	r := &reader{kbin.Reader{Src: value}}
	if v := r.Int16(); v != valueVersion || !r.Ok() {
		return nil, fmt.Errorf("value of version %d", v)
	}
	return r, nil
}

// tag reads the tagged fields, of which f is asked for. Their count is not trusted: the walk ends with the bytes.
func (r *reader) tag(f uint32, read func(*reader)) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		field := reader{kbin.Reader{Src: r.Span(int(size))}}
		if tag != f || read == nil || !r.Ok() {
			continue
		}
		if read(&field); !field.Ok() {
			r.Span(-1) // the value is bad
		}
	}
}

func (r *reader) noTags() { r.tag(0, nil) }

// sorted makes a list that has each number once: who reads it searches it.
func (r *reader) sorted() []int32 {
	var ints []int32
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		ints = append(ints, r.Int32())
	}
	slices.Sort(ints)
	return slices.Compact(ints)
}

func (r *reader) strings() []string {
	var all []string
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		all = append(all, r.CompactString())
	}
	return all
}

func (r *reader) assignment() assign.Assignment {
	a := make(assign.Assignment)
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		id, partitions := kafka.TopicID(r.Uuid()), r.sorted()
		if r.noTags(); len(partitions) > 0 {
			a[id] = partitions
		}
	}
	return a
}

func (r *reader) states() states {
	var s states
	for _, to := range []*map[kafka.TopicID]topicState{&s.initializing, &s.initialized} {
		*to = make(map[kafka.TopicID]topicState)
		for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
			id := kafka.TopicID(r.Uuid())
			(*to)[id] = topicState{name: r.CompactString(), partitions: r.sorted()}
			r.noTags()
		}
	}
	s.deleting = make(map[kafka.TopicID]string)
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		id := kafka.TopicID(r.Uuid())
		s.deleting[id] = r.CompactString()
		r.noTags()
	}
	r.noTags()
	return s
}

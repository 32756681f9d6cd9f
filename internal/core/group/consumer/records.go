package consumer

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
	"github.com/headrace/headrace/internal/core/machine"
)

// The kinds of records in __consumer_offsets that are a group's of this package, by the number that their key begins with.
const (
	EpochKind        int16 = 3  // group → its epoch and the hash of its topics
	PartitionsKind   int16 = 4  // group → its topics, as brokers before 4.1 kept them; only read, as nothing
	MemberKind       int16 = 5  // group, member → what the member said of itself
	TargetEpochKind  int16 = 6  // group → the epoch of the target assignment
	TargetKind       int16 = 7  // group, member → its target
	AssignmentKind   int16 = 8  // group, member → what it has
	RegexKind        int16 = 16 // group, regular expression → its topics
	valueVersion     int16 = 0
	hashTag                = 0
	timestampTag           = 0
	epochsTag              = 0
	classicMemberTag       = 0
)

// ReadKey reads what follows the kind in a key: the group, and the member or the regular expression for kinds that have it.
func ReadKey(kind int16, r *kbin.Reader) (group, name string, err error) {
	group = r.String()
	switch kind {
	case MemberKind, TargetKind, AssignmentKind, RegexKind:
		name = r.String()
	}
	if err := r.Complete(); err != nil {
		return "", "", fmt.Errorf("key of kind %d: %w", kind, err)
	}
	return group, name, nil
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
	if e.hash == 0 {
		v = noTags(v)
	} else {
		v = oneTag(v, hashTag, kbin.AppendInt64(nil, e.hash))
	}
	return machine.Record{Key: key(EpochKind, group), Value: v}
}

func targetEpochRecord(group string, e epochs) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, e.target)
	v = oneTag(v, timestampTag, kbin.AppendInt64(nil, e.targetAt))
	return machine.Record{Key: key(TargetEpochKind, group), Value: v}
}

func memberRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendCompactNullableString(v, m.Instance)
	v = kbin.AppendCompactNullableString(v, m.Rack)
	v = kbin.AppendCompactString(v, m.Client)
	v = kbin.AppendCompactString(v, m.Host)
	v = kbin.AppendCompactArrayLen(v, len(m.Topics))
	for _, t := range m.Topics {
		v = kbin.AppendCompactString(v, t)
	}
	v = kbin.AppendCompactNullableString(v, &m.Regex)
	v = kbin.AppendInt32(v, int32(m.RebalanceTimeout/time.Millisecond))
	v = kbin.AppendCompactNullableString(v, m.Assignor)
	if c := m.Classic; c != nil {
		t := kbin.AppendUvarint(nil, 1) // not null
		t = kbin.AppendInt32(t, int32(c.SessionTimeout/time.Millisecond))
		t = kbin.AppendCompactArrayLen(t, len(c.Protocols))
		for _, p := range c.Protocols {
			t = kbin.AppendCompactString(t, p.Name)
			t = noTags(kbin.AppendCompactBytes(t, p.Metadata))
		}
		v = oneTag(v, classicMemberTag, noTags(t))
	} else {
		v = noTags(v)
	}
	return machine.Record{Key: key(MemberKind, group, m.ID), Value: v}
}

func targetRecord(group, member string, target assign.Assignment) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendCompactArrayLen(v, len(target))
	for _, id := range sortedIDs(target) {
		v = kbin.AppendUuid(v, id)
		v = noTags(appendInts(v, target[id]))
	}
	return machine.Record{Key: key(TargetKind, group, member), Value: noTags(v)}
}

func assignmentRecord(group string, m *Member) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendInt32(v, m.Epoch)
	v = kbin.AppendInt32(v, m.Previous)
	v = kbin.AppendInt8(v, int8(m.State))
	v = appendOwned(v, m.Assigned)
	v = appendOwned(v, m.Revoking)
	return machine.Record{Key: key(AssignmentKind, group, m.ID), Value: noTags(v)}
}

func regexRecord(group, regex string, r *Regex) machine.Record {
	v := kbin.AppendInt16(nil, valueVersion)
	v = kbin.AppendCompactArrayLen(v, len(r.Topics))
	for _, t := range r.Topics {
		v = kbin.AppendCompactString(v, t)
	}
	v = kbin.AppendInt64(v, r.Version)
	v = kbin.AppendInt64(v, r.At)
	return machine.Record{Key: key(RegexKind, group, regex), Value: noTags(v)}
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

func appendOwned(v []byte, o Owned) []byte {
	v = kbin.AppendCompactArrayLen(v, len(o))
	for _, id := range sortedIDs(o) {
		partitions := slices.Sorted(maps.Keys(o[id]))
		epochs := make([]int32, len(partitions))
		for i, p := range partitions {
			epochs[i] = o[id][p]
		}
		v = kbin.AppendUuid(v, id)
		v = appendInts(v, partitions)
		v = oneTag(v, epochsTag, appendInts(nil, epochs))
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

func oneTag(v []byte, tag uint32, field []byte) []byte {
	v = kbin.AppendUvarint(v, 1)
	v = kbin.AppendUvarint(v, tag)
	v = kbin.AppendUvarint(v, uint32(len(field)))
	return append(v, field...)
}

func sortedIDs[V any](m map[kafka.TopicID]V) []kafka.TopicID {
	return slices.SortedFunc(maps.Keys(m), compareIDs)
}

func compareIDs(a, b kafka.TopicID) int { return cmp.Compare(string(a[:]), string(b[:])) }

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
		if int64(size) > int64(len(r.Src)) {
			r.Span(-1) // not that many bytes are left: the value is bad
			return
		}
		field := reader{kbin.Reader{Src: r.Span(int(size))}}
		if tag != f || read == nil {
			continue
		}
		if read(&field); !field.Ok() {
			r.Span(-1)
		}
	}
}

func (r *reader) noTags() { r.tag(0, nil) }

func (r *reader) ints() []int32 {
	var ints []int32
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		ints = append(ints, r.Int32())
	}
	return ints
}

func (r *reader) strings() []string {
	var all []string
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		all = append(all, r.CompactString())
	}
	return all
}

func (r *reader) owned(epoch int32) Owned {
	o := make(Owned)
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		id, partitions := kafka.TopicID(r.Uuid()), r.ints()
		var epochs []int32
		r.tag(epochsTag, func(f *reader) { epochs = f.ints() })
		for i, p := range partitions {
			if len(epochs) == len(partitions) {
				o.add(id, p, epochs[i])
			} else {
				o.add(id, p, epoch) // a broker before 4.3: the epoch of the member is the latest it can be
			}
		}
	}
	return o
}

// subscription reads a member's record into m.
func (r *reader) subscription(m *Member) {
	m.Instance, m.Rack = r.CompactNullableString(), r.CompactNullableString()
	m.Client, m.Host = r.CompactString(), r.CompactString()
	m.Topics = r.strings()
	m.Regex = ""
	if regex := r.CompactNullableString(); regex != nil {
		m.Regex = *regex
	}
	m.RebalanceTimeout = time.Duration(r.Int32()) * time.Millisecond
	m.Assignor = r.CompactNullableString()
	m.Classic = nil
	r.tag(classicMemberTag, func(f *reader) {
		if f.Uvarint() == 0 {
			return // Kafka writes null, which it could leave out
		}
		c := &Classic{SessionTimeout: time.Duration(f.Int32()) * time.Millisecond}
		for n := f.CompactArrayLen(); n > 0 && f.Ok(); n-- {
			c.Protocols = append(c.Protocols, Protocol{Name: f.CompactString(), Metadata: bytes.Clone(f.CompactBytes())})
			f.noTags()
		}
		f.noTags()
		m.Classic = c
	})
}

func (r *reader) target() assign.Assignment {
	a := make(assign.Assignment)
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		id, partitions := kafka.TopicID(r.Uuid()), r.ints()
		slices.Sort(partitions)
		if r.noTags(); len(partitions) > 0 {
			a[id] = partitions
		}
	}
	r.noTags()
	return a
}

package streams

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
)

// reader reads the value of a record. What it returns does not alias the value.
type reader struct{ kbin.Reader }

func newReader(value []byte) (*reader, error) {
	r := &reader{kbin.Reader{Src: value}}
	if v := r.Int16(); v != valueVersion || !r.Ok() {
		return nil, fmt.Errorf("value of version %d", v)
	}
	return r, nil
}

// tags gives each tagged field to read. Their count is not trusted: the walk ends with the bytes.
func (r *reader) tags(read func(uint32, *reader)) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		if int64(size) > int64(len(r.Src)) {
			r.Span(-1) // not that many bytes are left: the value is bad
			return
		}
		field := reader{kbin.Reader{Src: r.Span(int(size))}}
		if read(tag, &field); !field.Ok() {
			r.Span(-1)
		}
	}
}

func (r *reader) noTags() { r.tags(func(uint32, *reader) {}) }

// list reads an array, whose length is not trusted.
func list[T any](r *reader, one func() T) []T {
	var all []T
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		all = append(all, one())
	}
	return all
}

func (r *reader) strings() []string { return list(r, r.CompactString) }
func (r *reader) ints() []int32     { return list(r, r.Int32) }
func (r *reader) shorts() []int16   { return list(r, r.Int16) }

func (r *reader) pairs() []Pair {
	return list(r, func() Pair {
		p := Pair{r.CompactString(), r.CompactString()}
		r.noTags()
		return p
	})
}

// description reads a member's record into m.
func (r *reader) description(m *Member) {
	m.Instance, m.Rack = r.CompactNullableString(), r.CompactNullableString()
	m.Client, m.Host = r.CompactString(), r.CompactString()
	m.RebalanceTimeout = time.Duration(r.Int32()) * time.Millisecond
	m.TopologyEpoch, m.Process, m.Endpoint = r.Int32(), r.CompactString(), nil
	if r.Int8() >= 0 {
		m.Endpoint = &Endpoint{Host: r.CompactString(), Port: r.Uint16()}
		r.noTags()
	}
	m.Tags = r.pairs()
	slices.SortFunc(m.Tags, comparePairs)
	r.noTags()
}

func comparePairs(a, b Pair) int { return strings.Compare(a.Key, b.Key) }

// assignment reads tasks of each role. epoch is what active tasks have that were written without theirs.
func (r *reader) assignment(epoch int32) Assignment {
	var a Assignment
	for role := range a {
		for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
			subtopology, partitions := r.CompactString(), r.ints()
			var epochs []int32
			r.tags(func(tag uint32, f *reader) {
				if tag == epochsTag {
					epochs = f.ints()
				}
			})
			for i, p := range partitions {
				switch at := (Task{subtopology, p}); {
				case Role(role) != Active:
					a.add(Role(role), at, 0)
				case len(epochs) == len(partitions):
					a.add(Active, at, epochs[i])
				default:
					a.add(Active, at, epoch)
				}
			}
		}
	}
	return a
}

func (r *reader) topology() *Topology {
	t := &Topology{Epoch: r.Int32(), Subtopologies: list(r, r.subtopology)}
	r.noTags()
	return t.finish()
}

func (r *reader) subtopology() Subtopology {
	s := Subtopology{
		ID: r.CompactString(), Sources: r.strings(), SourceRegexes: r.strings(), Changelogs: r.topics(),
		RepartitionSinks: r.strings(), RepartitionSources: r.topics(),
		Copartitioned: list(r, func() Copartitioned {
			c := Copartitioned{Sources: r.shorts(), SourceRegexes: r.shorts(), RepartitionSources: r.shorts()}
			r.noTags()
			return c
		}),
	}
	r.noTags()
	return s
}

func (r *reader) topics() []InternalTopic {
	return list(r, func() InternalTopic {
		t := InternalTopic{Name: r.CompactString(), Partitions: r.Int32(), ReplicationFactor: r.Int16(), Configs: r.pairs()}
		r.noTags()
		return t
	})
}

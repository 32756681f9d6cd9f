// Package share is share groups (KIP-932) as the group coordinator sees them, as pure logic: what a Group holds, how its
// members come to the partitions that they share, which partitions need state with the share coordinator before they can
// be assigned, and the records that say so, in Kafka's formats. core/group has the groups, gives a Turn for each request or
// timer, and applies the records that come of it.
package share

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// Group is one group. Its state changes by Apply, and goes back by the History that it was made with; then Forget is
// called.
type Group struct {
	ID      string
	epochs  *timeline.Map[none, epochs]
	members *timeline.Map[string, *Member]
	target  *timeline.Map[string, assign.Assignment]
	states  *timeline.Map[none, states]

	// What follows is of this process alone.

	checked uint64                      // the Topics' version that the hash was last compared with
	settled bool                        // all that can be assigned is known to be
	asked   map[kafka.TopicID]time.Time // when the state of a topic's partitions was last asked for
}

type none struct{}

// epochs is what the group's own records say. A new group is at epoch 1, without a record.
type epochs struct {
	group, target int32
	hash          int64
	targetAt      int64 // milliseconds since 1970 of the target; 0 when there was none
}

// Member is a member as the log has it. It is never changed: an update makes a new one.
type Member struct {
	ID           string
	Rack         *string
	Client, Host string
	Topics       []string // subscribed: sorted, without duplicates

	Epoch, Previous int32
	Assigned        assign.Assignment
}

// states is which partitions have state with the share coordinator.
type states struct {
	initializing, initialized map[kafka.TopicID]topicState
	deleting                  map[kafka.TopicID]string // names
}

type topicState struct {
	name       string
	partitions []int32 // ascending
}

// NewGroup makes a group without members.
func NewGroup(id string, h *timeline.History) *Group {
	return &Group{
		ID:      id,
		epochs:  timeline.NewMap[none, epochs](h),
		members: timeline.NewMap[string, *Member](h),
		target:  timeline.NewMap[string, assign.Assignment](h),
		states:  timeline.NewMap[none, states](h),
		asked:   make(map[kafka.TopicID]time.Time),
	}
}

func (g *Group) now() epochs {
	if e, ok := g.epochs.Get(none{}); ok {
		return e
	}
	return epochs{group: 1}
}

func (g *Group) state() states {
	s, _ := g.states.Get(none{})
	return s
}

// Member finds a member, or returns nil.
func (g *Group) Member(id string) *Member {
	m, _ := g.members.Get(id)
	return m
}

// Members counts the members.
func (g *Group) Members() int { return g.members.Len() }

// CommittedMembers counts the members that are committed.
func (g *Group) CommittedMembers() (n int) {
	for range g.members.AllCommitted() {
		n++
	}
	return n
}

// Forget drops what was worked out from state that has been reverted.
func (g *Group) Forget() { g.checked, g.settled = 0, false }

// Apply takes in a record: member is that of its key.
func (g *Group) Apply(off kafka.Offset, kind int16, member string, value []byte) error {
	g.settled = false
	if value == nil {
		g.remove(off, kind, member)
		return nil
	}
	r, err := newReader(value)
	if err != nil {
		return err
	}
	set := g.set(off, kind, member, r)
	if err := r.Complete(); err != nil {
		return fmt.Errorf("value of kind %d: %w", kind, err)
	}
	set()
	return nil
}

// set reads the value and returns what to do when it could be read.
func (g *Group) set(off kafka.Offset, kind int16, member string, r *reader) func() {
	e := g.now()
	m := g.Member(member).or(member)
	switch kind {
	case EpochKind:
		e.group, e.hash = r.Int32(), r.Int64()
		r.noTags()
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetEpochKind:
		e.target, e.targetAt = r.Int32(), 0
		r.tag(timestampTag, func(f *reader) { e.targetAt = f.Int64() })
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetKind:
		target := r.assignment()
		r.noTags()
		return func() { g.target.Set(off, m.ID, target) }
	case StateKind:
		s := r.states()
		return func() { g.states.Set(off, none{}, s) }
	case MemberKind:
		m.Rack, m.Client, m.Host, m.Topics = r.CompactNullableString(), r.CompactString(), r.CompactString(), r.strings()
		slices.Sort(m.Topics)
		m.Topics = slices.Compact(m.Topics)
	case AssignmentKind:
		m.Epoch, m.Previous = r.Int32(), r.Int32()
		r.Int8() // always stable
		m.Assigned = r.assignment()
	}
	r.noTags()
	return func() { g.members.Set(off, m.ID, &m) }
}

// or is a copy of m, or a new member of that id when there is none.
func (m *Member) or(id string) Member {
	if m == nil {
		return Member{ID: strings.Clone(id), Previous: -1}
	}
	return *m
}

func (g *Group) remove(off kafka.Offset, kind int16, member string) {
	e := g.now()
	switch kind {
	case EpochKind:
		g.epochs.Delete(off, none{})
	case TargetEpochKind:
		e.target, e.targetAt = 0, 0
		g.epochs.Set(off, none{}, e)
	case TargetKind:
		g.target.Delete(off, member)
	case StateKind:
		g.states.Delete(off, none{})
	case MemberKind:
		g.members.Delete(off, member)
	case AssignmentKind:
		if m := g.Member(member); m != nil {
			left := *m
			left.Epoch, left.Previous, left.Assigned = LeftEpoch, LeftEpoch, nil
			g.members.Set(off, member, &left)
		}
	}
}

// describesAs tells whether the records of m and other as members, without their assignments, are the same.
func (m *Member) describesAs(other *Member) bool {
	return m.Client == other.Client && m.Host == other.Host && slices.Equal(m.Topics, other.Topics) &&
		(m.Rack == other.Rack || m.Rack != nil && other.Rack != nil && *m.Rack == *other.Rack)
}

// copy is a states whose maps can be changed; the lists in them cannot.
func (s states) copy() states {
	c := states{initializing: maps.Clone(s.initializing), initialized: maps.Clone(s.initialized), deleting: maps.Clone(s.deleting)}
	if c.initializing == nil {
		c.initializing, c.initialized, c.deleting = make(map[kafka.TopicID]topicState), make(map[kafka.TopicID]topicState), make(map[kafka.TopicID]string)
	}
	return c
}

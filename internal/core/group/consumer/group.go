// Package consumer is the groups of the new consumer protocol (KIP-848) as pure logic: what a Group holds, how its members
// come to the partitions that the coordinator assigns them, and the records that say so, in Kafka's formats. core/group
// has the groups, gives a Turn for each request or timer, and applies the records that come of it. The package starts no
// goroutine, reads no clock and does no I/O.
package consumer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// Group is one group. Its state changes by Apply, and goes back by the History that it was made with; then Forget is
// called.
type Group struct {
	ID        string
	epochs    *timeline.Map[none, epochs]
	members   *timeline.Map[string, *Member]
	instances *timeline.Map[string, string] // group.instance.id → member id
	target    *timeline.Map[string, assign.Assignment]
	regexes   *timeline.Map[string, *Regex]
	owners    *timeline.Map[partition, string] // who has a partition, assigned or revoking

	// What follows is of this process alone.

	checked uint64 // the Topics' version that the hash was last compared with
	// subscribed is the topics of all members, and uses how many members have a regular expression; nil when not known.
	subscribed []string
	uses       map[string]int
	called     map[string]bool // classic members that were told to join: their Join timers run
}

type none struct{}

type partition struct {
	topic kafka.TopicID
	index int32
}

// epochs is what the group's own records say. A new group is at epoch 1, without a record.
type epochs struct {
	group, target int32
	hash          int64
	targetAt      int64 // milliseconds since 1970 of the target; 0 when there was none
}

// Regex is the topics that a regular expression stood for.
type Regex struct {
	Topics  []string // sorted
	Version int64    // of the topics
	At      int64    // milliseconds since 1970
}

// NewGroup makes a group without members.
func NewGroup(id string, h *timeline.History) *Group {
	return &Group{
		ID:        id,
		epochs:    timeline.NewMap[none, epochs](h),
		members:   timeline.NewMap[string, *Member](h),
		instances: timeline.NewMap[string, string](h),
		target:    timeline.NewMap[string, assign.Assignment](h),
		regexes:   timeline.NewMap[string, *Regex](h),
		owners:    timeline.NewMap[partition, string](h),
	}
}

func (g *Group) now() epochs {
	if e, ok := g.epochs.Get(none{}); ok {
		return e
	}
	return epochs{group: 1}
}

func (g *Group) committed() epochs {
	if e, ok := g.epochs.Committed(none{}); ok {
		return e
	}
	return epochs{group: 1}
}

// Member finds a member, or returns nil.
func (g *Group) Member(id string) *Member {
	m, _ := g.members.Get(id)
	return m
}

// Members counts the members.
func (g *Group) Members() int { return g.members.Len() }

// Forget drops what was worked out from state that has been reverted.
func (g *Group) Forget() { g.subscribed, g.uses, g.checked = nil, nil, 0 }

// Subscribes tells whether a member wants the topic.
func (g *Group) Subscribes(topic string) bool {
	_, ok := slices.BinarySearch(g.topics(), topic)
	return ok
}

// Apply takes in a record: name is the member or the regular expression of its key.
func (g *Group) Apply(off kafka.Offset, kind int16, name string, value []byte) error {
	if kind == MemberKind || kind == RegexKind {
		g.subscribed, g.uses = nil, nil
	}
	if value == nil {
		g.remove(off, kind, name)
		return nil
	}
	r, err := newReader(value)
	if err != nil {
		return err
	}
	set := g.set(off, kind, name, r)
	if err := r.Complete(); err != nil {
		return fmt.Errorf("value of kind %d: %w", kind, err)
	}
	set()
	return nil
}

// set reads the value and returns what to do when it could be read.
func (g *Group) set(off kafka.Offset, kind int16, name string, r *reader) func() {
	e := g.now()
	switch kind {
	case EpochKind:
		e.group, e.hash = r.Int32(), 0
		r.tag(hashTag, func(f *reader) { e.hash = f.Int64() })
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetEpochKind:
		e.target, e.targetAt = r.Int32(), 0
		r.tag(timestampTag, func(f *reader) { e.targetAt = f.Int64() })
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetKind:
		target := r.target()
		return func() { g.target.Set(off, strings.Clone(name), target) }
	case RegexKind:
		regex := &Regex{Topics: r.strings(), Version: r.Int64(), At: r.Int64()}
		r.noTags()
		slices.Sort(regex.Topics)
		return func() { g.regexes.Set(off, strings.Clone(name), regex) }
	case MemberKind, AssignmentKind:
		return g.setMember(off, kind, name, r)
	}
	r.Src = nil // of an older broker, and of no use
	return func() {}
}

func (g *Group) setMember(off kafka.Offset, kind int16, name string, r *reader) func() {
	m := newMember(strings.Clone(name))
	if old := g.Member(name); old != nil {
		m = old.copy()
	}
	if kind == MemberKind {
		r.subscription(m)
		return func() {
			if m.Instance != nil {
				g.instances.Set(off, *m.Instance, m.ID)
			}
			g.members.Set(off, m.ID, m)
		}
	}
	before := m.copy()
	m.Epoch, m.Previous, m.State = r.Int32(), r.Int32(), State(r.Int8())
	m.Assigned, m.Revoking = r.owned(m.Epoch), r.owned(m.Epoch)
	r.noTags()
	return func() {
		g.disown(off, before)
		for _, owned := range []Owned{m.Assigned, m.Revoking} {
			for id, partitions := range owned {
				for p := range partitions {
					g.owners.Set(off, partition{id, p}, m.ID)
				}
			}
		}
		g.members.Set(off, m.ID, m)
	}
}

// disown releases what m has, unless it is another member's by now: a record of one that replaces it may come first.
func (g *Group) disown(off kafka.Offset, m *Member) {
	for _, owned := range []Owned{m.Assigned, m.Revoking} {
		for id, partitions := range owned {
			for p := range partitions {
				if owner, _ := g.owners.Get(partition{id, p}); owner == m.ID {
					g.owners.Delete(off, partition{id, p})
				}
			}
		}
	}
}

func (g *Group) remove(off kafka.Offset, kind int16, name string) {
	e := g.now()
	switch kind {
	case EpochKind:
		g.epochs.Delete(off, none{})
	case TargetEpochKind:
		e.target, e.targetAt = 0, 0
		g.epochs.Set(off, none{}, e)
	case TargetKind:
		g.target.Delete(off, name)
	case RegexKind:
		g.regexes.Delete(off, name)
	case MemberKind, AssignmentKind:
		m := g.Member(name)
		if m == nil {
			return
		}
		g.disown(off, m)
		if kind == AssignmentKind {
			m = m.at(LeftEpoch, Stable, nil, nil)
			m.Previous = LeftEpoch
			g.members.Set(off, name, m)
			return
		}
		if m.Instance != nil {
			if id, _ := g.instances.Get(*m.Instance); id == name {
				g.instances.Delete(off, *m.Instance)
			}
		}
		g.members.Delete(off, name)
	}
}

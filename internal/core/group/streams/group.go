// Package streams is the groups of Kafka Streams' own protocol (KIP-1071) as pure logic: the topology that a Group has, the
// internal topics which that needs, how members come to the tasks that the coordinator assigns them, and the records that
// say so, in Kafka's formats. core/group has the groups, gives a Turn for each request or timer, and applies the records that
// come of it. The package starts no goroutine, reads no clock and does no I/O.
package streams

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
)

// Group is one group. Its state changes by Apply, and goes back by the History that it was made with; then Forget is
// called.
type Group struct {
	ID       string
	epochs   *timeline.Map[none, epochs]
	topology *timeline.Map[none, *Topology]
	members  *timeline.Map[string, *Member]
	target   *timeline.Map[string, Assignment]
	// holders are the members that have each task, assigned or revoking, by their process. An active task has one holder in all:
	// its process is left out.
	holders *timeline.Map[holding, string]

	// What follows is of this process alone.

	configured *configured
	checked    uint64 // the Topics' version that configured is of
	hashed     uint64 // the Topics' version whose hash the group's record has
	shutdown   string // the member that asked for the end of the application; "" for none
	endpoints  int32  // counts the changes of who answers interactive queries on what
}

type none struct{}

// holding is a task that a process has.
type holding struct {
	role    Role
	task    Task
	process string
}

// epochs is what the group's own records say. A new group is at epoch 1, without a record, and so is its target.
type epochs struct {
	group, target int32
	hash          int64
	targetAt      int64  // milliseconds since 1970 of the target; 0 when there was none
	validated     int32  // the epoch of the topology whose topics are all right; -1 for none
	configs       []Pair // what the last target went by
}

// NewGroup makes a group without members.
func NewGroup(id string, h *timeline.History) *Group {
	return &Group{
		ID:       id,
		epochs:   timeline.NewMap[none, epochs](h),
		topology: timeline.NewMap[none, *Topology](h),
		members:  timeline.NewMap[string, *Member](h),
		target:   timeline.NewMap[string, Assignment](h),
		holders:  timeline.NewMap[holding, string](h),
	}
}

func (g *Group) now() epochs {
	if e, ok := g.epochs.Get(none{}); ok {
		return e
	}
	return epochs{group: 1, target: 1}
}

func (g *Group) committed() epochs {
	if e, ok := g.epochs.Committed(none{}); ok {
		return e
	}
	return epochs{group: 1, target: 1}
}

// Member finds a member, or returns nil.
func (g *Group) Member(id string) *Member {
	m, _ := g.members.Get(id)
	return m
}

// Members counts the members.
func (g *Group) Members() int { return g.members.Len() }

// Forget drops what was worked out from state that has been reverted.
func (g *Group) Forget() { g.configured, g.checked, g.hashed = nil, 0, 0 }

// Subscribes tells whether the members read the topic.
func (g *Group) Subscribes(topic string) bool {
	t, ok := g.topology.Get(none{})
	if !ok || g.Members() == 0 {
		return false
	}
	_, ok = t.sourceOf[topic]
	return ok
}

// Apply takes in a record: name is the member of its key.
func (g *Group) Apply(off kafka.Offset, kind int16, name string, value []byte) error {
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
		e.group, e.hash, e.validated, e.configs = r.Int32(), r.Int64(), -1, nil
		r.tags(func(tag uint32, f *reader) {
			switch tag {
			case validatedTag:
				e.validated = f.Int32()
			case configsTag:
				e.configs = f.pairs()
			}
		})
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetEpochKind:
		e.target, e.targetAt = r.Int32(), 0
		r.tags(func(tag uint32, f *reader) {
			if tag == timestampTag {
				e.targetAt = f.Int64()
			}
		})
		return func() { g.epochs.Set(off, none{}, e) }
	case TargetKind:
		target := r.assignment(0)
		r.noTags()
		return func() { g.target.Set(off, strings.Clone(name), target) }
	case TopologyKind:
		t := r.topology()
		return func() {
			g.topology.Set(off, none{}, t)
			g.Forget()
		}
	}
	return g.setMember(off, kind, name, r)
}

func (g *Group) setMember(off kafka.Offset, kind int16, name string, r *reader) func() {
	m := newMember(strings.Clone(name))
	if old := g.Member(name); old != nil {
		m = old.copy()
	}
	before := m.copy()
	if kind == MemberKind {
		r.description(m)
	} else {
		m.Epoch, m.Previous, m.State = r.Int32(), r.Int32(), State(r.Int8())
		if m.State != Stable && m.State != UnrevokedTasks && m.State != UnreleasedTasks {
			m.State = unknownState
		}
		m.Assigned, m.Revoking = r.assignment(m.Epoch), r.assignment(m.Epoch)
		r.noTags()
	}
	return func() {
		g.release(off, before)
		g.hold(off, m)
		g.members.Set(off, m.ID, m)
	}
}

// hold notes what m has.
func (g *Group) hold(off kafka.Offset, m *Member) {
	m.eachHolding(func(h holding) { g.holders.Set(off, h, m.ID) })
}

// release forgets what m has, unless it is another member's by now: a record of one that takes it over may come first.
func (g *Group) release(off kafka.Offset, m *Member) {
	m.eachHolding(func(h holding) {
		if holder, _ := g.holders.Get(h); holder == m.ID {
			g.holders.Delete(off, h)
		}
	})
}

func (m *Member) eachHolding(do func(holding)) {
	for _, a := range []Assignment{m.Assigned, m.Revoking} {
		for role := range a {
			for t := range a[role] {
				do(m.holding(Role(role), t))
			}
		}
	}
}

func (m *Member) holding(role Role, t Task) holding {
	if role == Active {
		return holding{task: t}
	}
	return holding{role, t, m.Process}
}

func (g *Group) remove(off kafka.Offset, kind int16, name string) {
	e := g.now()
	switch kind {
	case EpochKind:
		g.epochs.Delete(off, none{})
	case TargetEpochKind:
		e.target, e.targetAt = -1, 0
		g.epochs.Set(off, none{}, e)
	case TargetKind:
		g.target.Delete(off, name)
	case TopologyKind:
		g.topology.Delete(off, none{})
		g.Forget()
	case MemberKind, AssignmentKind:
		m := g.Member(name)
		if m == nil {
			return
		}
		g.release(off, m)
		if kind == AssignmentKind {
			m = m.at(LeftEpoch, Stable, Assignment{}, Assignment{})
			m.Previous = LeftEpoch
			g.members.Set(off, name, m)
			return
		}
		g.members.Delete(off, name)
		if g.members.Len() == 0 {
			g.shutdown = ""
		}
	}
}

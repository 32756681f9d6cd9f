package share

import (
	"hash/fnv"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// view is the members as they will be when the records of a Turn are applied: but for the one without, and with plus.
type view struct {
	g       *Group
	without string
	plus    *Member
}

func (v view) members() iter.Seq[*Member] {
	return func(yield func(*Member) bool) {
		for id, m := range v.g.members.All() {
			if id != v.without && (v.plus == nil || id != v.plus.ID) && !yield(m) {
				return
			}
		}
		if v.plus != nil {
			yield(v.plus)
		}
	}
}

// topics is all that the members subscribe to, sorted.
func (v view) topics() []string {
	var names []string
	for m := range v.members() {
		names = append(names, m.Topics...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hash is a number for all of the topics that there are: when it changes, so may the target. 0 is for none.
func (t *Turn) hash(names []string) int64 {
	h, any := fnv.New64a(), false
	for _, name := range names {
		id, ok := t.Topics.ID(name)
		if !ok {
			continue
		}
		any = true
		b := kbin.AppendCompactString(id[:], name)
		h.Write(kbin.AppendInt32(b, t.Topics.Partitions(id)))
	}
	if !any {
		return 0
	}
	return int64(h.Sum64())
}

// rehash bumps the group's epoch when bump says so, or the topics of its members are not what they were. It tells whether
// it did.
func (t *Turn) rehash(v view, e *epochs, bump bool) bool {
	hash := t.hash(v.topics())
	v.g.checked = t.Topics.Version()
	if !bump && hash == e.hash {
		return false
	}
	e.group, e.hash = e.group+1, hash
	t.record(epochRecord(v.g.ID, *e))
	return true
}

// unassigned tells that there are partitions which can be assigned by now, and that the target does not have.
func (t *Turn) unassigned(g *Group) bool {
	if g.settled || g.Members() == 0 {
		return false
	}
	subscribed := view{g: g}.topics()
	has := make(map[kafka.TopicID]map[int32]struct{})
	for _, a := range g.target.All() {
		for id, partitions := range a {
			if has[id] == nil {
				has[id] = make(map[int32]struct{})
			}
			for _, p := range partitions {
				has[id][p] = struct{}{}
			}
		}
	}
	for id, s := range g.state().initialized {
		if _, ok := slices.BinarySearch(subscribed, s.name); ok && len(has[id]) != len(t.assignable(g, id)) {
			return true
		}
	}
	g.settled = true
	return false
}

// assignable lists the partitions of a topic that can be assigned: they exist, and have state.
func (t *Turn) assignable(g *Group, id kafka.TopicID) []int32 {
	partitions := g.state().initialized[id].partitions
	n, _ := slices.BinarySearch(partitions, t.Topics.Partitions(id))
	return partitions[:n]
}

// retarget computes the target of the group's epoch, when it is due, and returns what the member at hand is to have.
// Members that join one after the other get by with a target each AssignmentInterval.
func (t *Turn) retarget(v view, e *epochs) assign.Assignment {
	now := t.Now.UnixMilli()
	due := e.targetAt == 0 || now >= e.targetAt+t.Config.AssignmentInterval.Milliseconds()
	if e.target >= e.group || !due {
		target, _ := v.g.target.Get(v.plus.ID)
		return target
	}
	var members []assign.Member
	for m := range v.members() {
		last, _ := v.g.target.Get(m.ID)
		members = append(members, assign.Member{ID: m.ID, Subscribed: t.ids(m), Assigned: last})
	}
	slices.SortFunc(members, func(a, b assign.Member) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) })
	var mine assign.Assignment
	for i, target := range assign.Simple(members, func(id kafka.TopicID) []int32 { return t.assignable(v.g, id) }) {
		if members[i].ID == v.plus.ID {
			mine = target
		}
		if old, ok := v.g.target.Get(members[i].ID); !ok || !old.Equal(target) {
			t.record(targetRecord(v.g.ID, members[i].ID, target))
		}
	}
	e.target, e.targetAt = e.group, now
	t.record(targetEpochRecord(v.g.ID, *e))
	return mine
}

// ids is what a member subscribes to, as far as it exists.
func (t *Turn) ids(m *Member) []kafka.TopicID {
	var ids []kafka.TopicID
	for _, name := range m.Topics {
		if id, ok := t.Topics.ID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// reconcile gives the member what the target has for it, of the topics that it subscribes to. Share groups have nothing to
// wait for: partitions are shared anyway.
func (t *Turn) reconcile(m *Member, e epochs, target assign.Assignment, changed bool) *Member {
	if m.Epoch == e.target && !changed {
		return m
	}
	next := *m
	next.Assigned = make(assign.Assignment, len(target))
	for _, id := range t.ids(m) {
		if len(target[id]) > 0 {
			next.Assigned[id] = target[id]
		}
	}
	if m.Epoch != e.target {
		next.Previous, next.Epoch = m.Epoch, e.target
	}
	return &next
}

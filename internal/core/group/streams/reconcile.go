package streams

import "github.com/twmb/franz-go/pkg/kerr"

// reconciliation is one step of a member towards its target. A task changes hands in three steps: the member that has it is
// told to give it up and keeps it in Revoking; it reports tasks without it; only then it is nobody's, and the member whose
// target has it is given it. So no task is ever active with two members, and none twice with one process.
type reconciliation struct {
	epoch  int32 // of the target
	target Assignment
	// taken tells whether a task may not be given to the member's process in the role, because somebody, perhaps the member itself,
	// has it.
	taken func(Role, Task) bool
	// reported are the tasks that the member says it has; nil when it did not say.
	reported *Assignment
}

// taken is the holders as a member of the process sees them.
func (g *Group) taken(process string) func(Role, Task) bool {
	held := func(h holding) bool {
		_, ok := g.holders.Get(h)
		return ok
	}
	return func(role Role, t Task) bool {
		if held(holding{Standby, t, process}) || held(holding{Warmup, t, process}) {
			return true
		}
		holder, ok := g.holders.Get(holding{task: t})
		if !ok || role == Active {
			return ok
		}
		m := g.Member(holder)
		return m != nil && m.Process == process
	}
}

// step is m as far on its way as is safe: m itself when nothing can be done.
func (r *reconciliation) step(m *Member) (*Member, error) {
	switch m.State {
	case Stable:
		if m.Epoch == r.epoch {
			return m, nil
		}
		return r.next(m, m.Epoch), nil
	case UnrevokedTasks:
		if r.holds(m.Revoking) {
			return m, nil
		}
		return r.next(m, m.Epoch+1), nil
	case UnreleasedTasks:
		return r.next(m, m.Epoch), nil
	}
	if r.reported == nil || !r.reported.empty() {
		return nil, refuse(kerr.FencedMemberEpoch, "The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.")
	}
	return r.next(m, r.epoch), nil
}

// holds tells whether the member has, or may have, any of the tasks.
func (r *reconciliation) holds(tasks Assignment) bool {
	return r.reported == nil || r.reported.shares(tasks)
}

// next goes on towards the target: first by giving up what is not in it, then by taking what is nobody's. epoch is the
// member's while it gives up tasks.
func (r *reconciliation) next(m *Member, epoch int32) *Member {
	var kept, revoking Assignment
	for role := range m.Assigned {
		for t, given := range m.Assigned[role] {
			if _, wanted := r.target[role][t]; wanted {
				kept.add(Role(role), t, given)
			} else {
				revoking.add(Role(role), t, given)
			}
		}
	}
	if !revoking.empty() && r.holds(revoking) {
		return m.at(epoch, UnrevokedTasks, kept, revoking)
	}
	state := Stable
	for role := range r.target {
		for t := range r.target[role] {
			if _, has := m.Assigned[role][t]; has {
				continue
			}
			if r.taken(Role(role), t) {
				state = UnreleasedTasks
				continue
			}
			given := r.epoch
			if Role(role) != Active {
				given = 0
			}
			kept.add(Role(role), t, given)
		}
	}
	return m.at(r.epoch, state, kept, Assignment{})
}

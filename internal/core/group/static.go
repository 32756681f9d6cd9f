package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A static member that was restarted joins without a member id but with its group.instance.id. It gets a new id and
// takes the place, the assignment and the leadership of its former self, which is fenced. A stable group goes on without
// a rebalance when the chosen protocol stays the same.

// replacement is the write that gives a static member of a stable group its new id.
type replacement struct {
	g            *group
	instance     string
	former       *member // as it was before
	memberID     string  // the new one
	formerLeader string
}

func (t *turn) replaceStatic(g *group, j joining, oldID, newID string) {
	w := replacement{g: g, instance: *copyInstance(j.req.InstanceID), memberID: newID, formerLeader: g.leader}
	former := *g.byID[oldID]
	former.join, former.sync = waiter{}, waiter{}
	w.former = &former
	m := t.rename(g, oldID, newID)
	t.update(g, m, j)
	t.arm(g.session(newID), m.sessionTimeout)

	if g.state == stable && g.vote() == g.protocol {
		t.record(groupKey(g.id), g.value(nil))
		t.watch(w)
		return
	}
	// While completing, the leader may already be at work on an assignment for the old id.
	t.rebalance(g)
}

// rename gives a static member a new id in its old place, and fences whoever waits under the old one.
func (t *turn) rename(g *group, oldID, newID string) *member {
	m := g.byID[oldID]
	t.answerJoin(g, m, joinError(oldID, kerr.FencedInstanceID))
	t.answerSync(m, syncError(kerr.FencedInstanceID))
	t.disarm(g.session(oldID))
	if _, ok := g.pendingSync[oldID]; ok {
		delete(g.pendingSync, oldID)
		g.pendingSync[newID] = struct{}{}
	}
	delete(g.byID, oldID)
	g.byID[newID] = m
	m.id, m.isNew = newID, false
	g.static[*m.instance] = newID
	if g.leader == oldID {
		g.leader = newID
	}
	return m
}

func (w replacement) committed(t *turn) {
	m := w.current(t)
	if m == nil {
		return
	}
	version := m.join.version
	if version >= joinSkipsAssignment {
		resp := w.g.joined(m, version)
		resp.SkipAssignment = w.g.isLeader(m.id)
		t.answerJoin(w.g, m, resp)
		return
	}
	// Clients of older versions that believe to lead would compute an assignment: they are shown the former leader.
	resp := w.g.joinedAsFollower(m, version)
	resp.LeaderID = w.formerLeader
	t.answerJoin(w.g, m, resp)
}

// failed gives the member its old id back: the log does not know the new one.
func (w replacement) failed(t *turn, err error) {
	m := w.current(t)
	if m == nil {
		return
	}
	resp := w.g.joinedAsFollower(m, m.join.version)
	resp.MemberID, resp.LeaderID, resp.ErrorCode = "", w.formerLeader, code(err)
	t.answerJoin(w.g, m, resp)
	m = t.rename(w.g, w.memberID, w.former.id)
	w.g.count(m, -1)
	m.protocols = w.former.protocols
	w.g.count(m, 1)
	m.rebalanceTimeout, m.sessionTimeout = w.former.rebalanceTimeout, w.former.sessionTimeout
	t.arm(w.g.session(m.id), m.sessionTimeout)
}

// current is the member that the write was about, if the group has not gone on without it. A rebalance that began
// meanwhile answers the member's join itself.
func (w replacement) current(t *turn) *member {
	if t.s.live[w.g.id] != w.g || w.g.state != stable {
		return nil
	}
	return w.g.byID[w.memberID]
}

func syncError(err error) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = code(err)
	return resp
}

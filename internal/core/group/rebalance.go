package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalance starts a rebalance, or sees whether the one that is being prepared can go on.
func (t *turn) rebalance(g *group) {
	if g.canRebalance() {
		t.prepare(g)
		return
	}
	t.completeJoinIfAll(g)
}

// prepare asks all members to join. The first rebalance of an empty group waits for others to turn up; any other ends
// when all members have joined, at the latest after the rebalance timeout.
func (t *turn) prepare(g *group) {
	if g.state == completing {
		for _, m := range g.members {
			m.assignment = nil
			t.answerSyncAlive(g, m, syncError(kerr.RebalanceInProgress))
		}
	}
	clear(g.pendingSync)
	t.disarm(g.timer(SyncTimer))

	if g.state == empty {
		delay := t.s.cfg.InitialRebalanceDelay
		g.initial = initialDelay{active: true, delay: delay, remaining: max(g.rebalanceTimeout()-delay, 0)}
		g.become(preparing, t.millis())
		t.arm(g.timer(JoinTimer), delay)
		return
	}
	g.become(preparing, t.millis())
	if g.allJoined() {
		t.completeJoin(g)
		return
	}
	t.arm(g.timer(JoinTimer), g.rebalanceTimeout())
}

// completeJoinIfAll ends the joining when nobody is missing. The initial delay always runs to its end.
func (t *turn) completeJoinIfAll(g *group) {
	if g.state == preparing && g.previous != empty && g.allJoined() {
		t.completeJoin(g)
	}
}

// joinTimeout ends the joining, or extends the initial delay when members came during it.
func (t *turn) joinTimeout(id string) {
	g := t.s.group(id)
	if g == nil || g.state != preparing {
		return
	}
	if !g.initial.active || !g.newMember || g.initial.remaining == 0 {
		t.completeJoin(g)
		return
	}
	g.newMember = false
	last := g.initial
	g.initial.delay = min(t.s.cfg.InitialRebalanceDelay, last.remaining)
	g.initial.remaining = max(last.remaining-last.delay, 0)
	t.arm(g.timer(JoinTimer), g.initial.delay)
}

// completeJoin begins the next generation with those who have joined. Dynamic members that have not are out; static
// ones stay until their session ends.
func (t *turn) completeJoin(g *group) {
	t.disarm(g.timer(JoinTimer))
	for _, m := range append([]*member(nil), g.members...) {
		if !m.join.waits() && m.instance == nil {
			t.disarm(g.session(m.id))
			g.remove(m.id)
		}
	}
	if len(g.members) > 0 && !g.electJoinedLeader() {
		// Only static members that have not joined are left: their sessions decide.
		t.arm(g.timer(JoinTimer), max(g.rebalanceTimeout(), time.Second))
		return
	}
	g.nextGeneration(t.millis())
	if g.state == empty {
		t.record(groupKey(g.id), g.value(nil))
		return
	}
	for _, m := range g.members {
		if m.join.waits() {
			t.answerJoin(g, m, g.joined(m, m.join.version))
		}
		t.arm(g.session(m.id), m.sessionTimeout)
		m.isNew = false
		g.pendingSync[m.id] = struct{}{}
	}
	t.arm(g.timer(SyncTimer), g.rebalanceTimeout())
}

// syncTimeout removes the members that have not asked for their assignment.
func (t *turn) syncTimeout(id string) {
	g := t.s.group(id)
	if g == nil || g.state != completing && g.state != stable || len(g.pendingSync) == 0 {
		return
	}
	for _, m := range append([]*member(nil), g.members...) {
		if _, late := g.pendingSync[m.id]; late {
			t.disarm(g.session(m.id))
			g.remove(m.id)
		}
	}
	t.prepare(g)
}

// sessionExpired removes a member that was not heard of, or an id that nobody joined with.
func (t *turn) sessionExpired(id, memberID string) {
	g := t.s.group(id)
	if g == nil {
		return
	}
	if _, ok := g.pendingJoin[memberID]; ok {
		delete(g.pendingJoin, memberID)
		t.completeJoinAfterLoss(g)
		return
	}
	m := g.byID[memberID]
	if m == nil || m.excused() {
		return
	}
	t.removeMember(g, m)
	if g.state == stable || g.state == completing {
		t.rebalance(g)
		return
	}
	t.completeJoinAfterLoss(g)
}

// completeJoinAfterLoss ends the joining, even within the initial delay, when the one that was missing is gone.
func (t *turn) completeJoinAfterLoss(g *group) {
	if g.state == preparing && g.allJoined() {
		t.completeJoin(g)
	}
}

// removeMember takes a member out; a join of it that waits is told to begin anew.
func (t *turn) removeMember(g *group, m *member) {
	t.answerJoin(g, m, joinError("", kerr.UnknownMemberID))
	t.answerSync(m, syncError(kerr.UnknownMemberID))
	t.disarm(g.session(m.id))
	g.remove(m.id)
}

// loaded gives the members found in the log their sessions, and shrinks groups that are over a limit set since.
func (t *turn) loaded() {
	t.consumersLoaded()
	t.sharesLoaded()
	t.streamsLoaded()
	for _, id := range t.s.sortedGroups() {
		saved, ok := t.s.saved.Get(id)
		if !ok || len(saved.members) == 0 {
			continue
		}
		t.live(id, saved)
	}
}

// live makes a group with members live again.
func (t *turn) live(id string, saved savedGroup) {
	g := saved.restore(id)
	t.s.live[id] = g
	for _, m := range g.members {
		t.arm(g.session(m.id), m.sessionTimeout)
	}
	if len(g.members) > t.s.cfg.MaxSize {
		t.prepare(g)
	}
}

package quorum

import (
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

const (
	// ruleTicks is how often the rules are looked at: every second.
	ruleTicks = 10
	// readyWithin entries of the leader's end a learner has caught up.
	readyWithin = 100
	// lostAfter is how long a voter says nothing before a learner takes its place. A node that is restarted, or moved to another
	// machine, is back by then.
	lostAfter = 10 * time.Minute
	// strayAfter is how long a member that is not registered may say nothing. A node that joins registers within seconds.
	strayAfter = time.Minute
)

// followRules makes at most one change of the members that nobody asked for. It is called every second; that learners may vote
// now is noticed at once (followNews).
//
//   - A member that is not registered and says nothing is removed: it was unregistered, or never finished joining.
//   - A voter that says nothing for long makes place for a learner that has caught up.
//   - Learners that have caught up, are active and have the role controller become voters, up to the number that is set. They are
//     taken so that the number of voters is odd afterwards: from one voter to three at once, in one joint change. Of two voters both
//     must live, so that two are less available than one; the fourth adds nothing to three. So a cluster of two nodes keeps one voter,
//     and where two are left after a removal one learner is enough.
//
// Voters that were removed by request are left out.
func (l *loop) followRules(now time.Time) {
	if !l.mayFollowRules() {
		return
	}
	c := l.removeStray(now)
	if c == nil {
		c = l.replaceLost(now)
	}
	if c == nil {
		c = l.promote(now)
	}
	l.wantByRule(now, c)
}

// followNews has learners vote as soon as the metadata shows them active: a cluster that has just formed is one of three voters
// before its operator has seen it. Nobody that the rules wait for is waited for less.
func (l *loop) followNews(now time.Time) {
	if !l.nodesChanged || !l.mayFollowRules() {
		return
	}
	l.nodesChanged = false
	l.wantByRule(now, l.promote(now))
}

// mayFollowRules tells whether this node leads, and no other change of the members is under way.
func (l *loop) mayFollowRules() bool {
	return l.lead.active && l.lead.changeAt <= l.applied && !isJoint(l.conf) && len(l.lead.wants) == 0
}

func (l *loop) wantByRule(now time.Time, c *change) {
	if c == nil {
		return
	}
	once := false
	l.want(now, &want{next: func(time.Time) (*change, error) {
		if once {
			return nil, nil
		}
		once = true
		return c, nil
	}})
}

func (l *loop) removeStray(now time.Time) *change {
	for i := range l.members {
		m := &l.members[i]
		_, registered := l.image.Node(m.ID)
		if registered || l.quiet(now, m) < strayAfter || m.Voter && !l.wouldStand(now, l.others(m.ID)) {
			continue
		}
		return l.remove(m.ID)
	}
	return nil
}

func (l *loop) replaceLost(now time.Time) *change {
	for i := range l.members {
		m := &l.members[i]
		if !m.Voter || l.quiet(now, m) < lostAfter {
			continue
		}
		if ready := l.ready(now); len(ready) > 0 {
			return &change{steps: steps(l.vote(ready[0]), l.demote(m.ID)), about: l.notes}
		}
	}
	return nil
}

func (l *loop) promote(now time.Time) *change {
	n := 1 + len(l.voters)%2
	if len(l.voters)+n > l.cfg.MaxVoters {
		return nil
	}
	ready := l.ready(now)
	if len(ready) < n {
		return nil
	}
	c := &change{about: l.notes}
	for _, id := range ready[:n] {
		c.steps = append(c.steps, l.vote(id))
	}
	return c
}

// quiet is how long a member says nothing, or has not said anything since this node leads.
func (l *loop) quiet(now time.Time, m *MemberStatus) time.Duration {
	since := m.Heard
	if l.lead.since.After(since) {
		since = l.lead.since
	}
	return now.Sub(since)
}

// ready are the learners that may become voters, by id.
func (l *loop) ready(now time.Time) []kafka.NodeID {
	var ids []kafka.NodeID
	for _, id := range l.learners {
		n, registered := l.image.Node(id)
		if registered && n.Active() && n.IsController() && !l.notes.held(id) && l.answers(now, id) && l.nearEnd(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// nearEnd tells whether a member has nearly all entries.
func (l *loop) nearEnd(id kafka.NodeID) bool {
	p, ok := l.progress(id)
	return ok && p.Match+readyWithin >= l.store.last() && p.Match > 0
}

package quorum

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
)

// The leader changes the members one change at a time: the next is proposed when the one before is applied here, and when a
// joint configuration is left again. Changes that were asked for come in their order; those that cannot be made yet let
// others pass. When nothing is asked for the rules decide (rules.go).
//
// Every node acts by the members of the changes that it has applied, as raft wants it. So every change but one of learners alone is either a
// single voter more or less, or a joint one, whose two halves must both agree; then the old and the new majority share a
// node that has seen both. Raft would leave a joint configuration by itself, by an entry that it makes on its own; but the
// offsets of entries are counted here when they are proposed (see leadership), so the leader proposes that, too.

const (
	// maxWants changes may wait; more are refused.
	maxWants = 64
	// maxMembers bounds learners and voters.
	maxMembers = 1000
	// wantPatience is how long a change is tried where the caller sets no end.
	wantPatience = 30 * time.Second
	// silence is how long a member says nothing before it does not count as alive: several heartbeats.
	silence = time.Second
)

// errNotYet says that a change must wait.
var errNotYet = errors.New("not yet")

// want is a change of members that was asked for.
type want struct {
	id kafka.NodeID
	// next is the next step: a change; or errNotYet; or an error that ends it. No change and no error: it is fulfilled.
	next func(now time.Time) (*change, error)
	// done is told how it ended: nil for fulfilled. The loop calls it once.
	done  func(error)
	until time.Time
}

// change is one entry: what is to become of members, and of the notes on them.
type change struct {
	steps []*raftpb.ConfChangeSingle
	about notes
}

func (w *want) end(err error) {
	if w.done != nil {
		w.done(err)
	}
}

// ask queues a want.
func (l *loop) want(now time.Time, w *want) {
	if len(l.lead.wants) >= maxWants {
		w.end(fmt.Errorf("%d changes of the quorum's members wait already: %w", maxWants, kerr.RequestTimedOut))
		return
	}
	if w.until.IsZero() {
		w.until = now.Add(wantPatience)
	}
	l.lead.wants = append(l.lead.wants, w)
}

// changeMembers proposes the next change, if there is one and none is under way.
func (l *loop) changeMembers(now time.Time) (proposed bool, err error) {
	if !l.lead.active || l.lead.changeAt > l.applied || !isJoint(l.conf) && len(l.lead.wants) == 0 {
		return false, nil
	}
	c := &change{about: l.notes}
	if !isJoint(l.conf) {
		if c = l.nextWanted(now); c == nil {
			return false, nil
		}
	}
	return l.proposeChange(c)
}

// nextWanted goes through the wants, ends those that are fulfilled or hopeless, and returns the first change to make.
func (l *loop) nextWanted(now time.Time) *change {
	wants := l.lead.wants
	for i := 0; i < len(wants); {
		w := wants[i]
		c, err := w.next(now)
		if c != nil {
			l.lead.wants = wants
			return c
		}
		if errors.Is(err, errNotYet) {
			if now.Before(w.until) {
				i++
				continue
			}
			err = fmt.Errorf("%w: %w", err, kerr.RequestTimedOut)
		}
		wants = slices.Delete(slices.Clone(wants), i, i+1)
		w.end(err)
	}
	l.lead.wants = wants
	return nil
}

// proposeChange makes an entry of a change. One with several steps, and one with none, which leaves a joint configuration,
// are told apart by raft.
func (l *loop) proposeChange(c *change) (proposed bool, err error) {
	about, err := encodeNotes(c.about)
	if err != nil {
		return false, err
	}
	cc := &raftpb.ConfChangeV2{Changes: c.steps, Context: about}
	if len(c.steps) > 1 {
		cc.Transition = raftpb.ConfChangeTransition_ConfChangeTransitionJointExplicit.Enum()
	}
	if err := l.node.ProposeConfChange(cc); err != nil {
		l.log.Debug("change of members not proposed", "error", err)
		return false, nil // while the leadership is handed over; whoever leads then does it
	}
	l.lead.proposed++
	l.lead.changeAt = l.lead.proposed
	l.lead.speculative, _ = l.lead.speculative.Apply(nil, l.lead.speculative.Offset()+1)
	return true, nil
}

func step(t raftpb.ConfChangeType, member uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: &member}
}

func (l *loop) vote(id kafka.NodeID) *raftpb.ConfChangeSingle {
	return step(raftpb.ConfChangeAddNode, lookup(l.conf, id))
}

func (l *loop) demote(id kafka.NodeID) *raftpb.ConfChangeSingle {
	return step(raftpb.ConfChangeAddLearnerNode, lookup(l.conf, id))
}

// remove is the change that takes a node out of the quorum.
func (l *loop) remove(id kafka.NodeID) *change {
	about, _ := l.notes.find(id)
	about.Gone = lookup(l.conf, id)
	return &change{steps: steps(step(raftpb.ConfChangeRemoveNode, about.Gone)), about: l.notes.with(about)}
}

// member is what the leader last saw of a member.
func (l *loop) member(id kafka.NodeID) MemberStatus {
	for i := range l.members {
		if l.members[i].ID == id {
			return l.members[i]
		}
	}
	return MemberStatus{ID: id, End: -1}
}

// answers tells whether a member is alive as far as the leader can tell.
func (l *loop) answers(now time.Time, id kafka.NodeID) bool {
	return id == l.cfg.NodeID || now.Sub(l.q.LastHeard(id)) < silence
}

// wouldStand tells whether a majority of these voters answers, so that they would not be without a leader at once.
func (l *loop) wouldStand(now time.Time, voters []kafka.NodeID) bool {
	alive := 0
	for _, id := range voters {
		if l.answers(now, id) {
			alive++
		}
	}
	return alive > len(voters)/2
}

// others are the voters without one.
func (l *loop) others(without kafka.NodeID) []kafka.NodeID {
	return slices.DeleteFunc(slices.Clone(l.voters), func(id kafka.NodeID) bool { return id == without })
}

// directory is the id of the directory where a member keeps the metadata: that of its registration, or the one that it was
// admitted with when this came later.
func (l *loop) directory(id kafka.NodeID) kafka.TopicID {
	about, _ := l.notes.find(id)
	if n, ok := l.image.Node(id); ok && len(n.LogDirs) > 0 && (n.Epoch > about.Epoch || about.Dir == "") {
		return n.LogDirs[0]
	}
	dir, err := kafka.ParseTopicID(about.Dir)
	if err != nil {
		return kafka.TopicID{} // none was told
	}
	return dir
}

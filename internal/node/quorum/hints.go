package quorum

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Raft notices a silent leader by its timeouts, after one to two seconds. A process that was killed is noticed at once: its
// connections end, and nobody answers where it was. Told so, a follower forgets the leader, so that it may vote for another
// before the timeout, and the voter with the lowest id stands for election; the others wait a little longer each, so that
// their votes are not split. A candidate first asks whether it would be elected (PreVote): if the leader lives after all, and
// a majority hears it, nothing happens.

const (
	// hintsSize hints wait for the loop; more are dropped: they would say the same.
	hintsSize = 64
	// rankDelay is how much longer each next voter waits.
	rankDelay = 150 * time.Millisecond
	// standAgain is how soon a candidate asks again: the others may hear of the loss later than it did.
	standAgain = 15 * time.Millisecond
)

// hint is what the connections tell of a node.
type hint struct {
	node kafka.NodeID
	lost bool // its process is gone; otherwise messages to it were lost
}

// Unreachable tells that messages to a node were lost. It never waits.
func (q *Quorum) Unreachable(id kafka.NodeID) { q.hint(hint{node: id}) }

// LeaderLost tells that the process of a node is gone. If it is the leader the voters elect another at once. It never waits.
func (q *Quorum) LeaderLost(id kafka.NodeID) { q.hint(hint{node: id, lost: true}) }

func (q *Quorum) hint(h hint) {
	select {
	case q.hints <- h:
	default:
	}
}

// loss is what followed from a hint that the leader is gone.
type loss struct {
	leader kafka.NodeID
	term   uint64
	// Until muted, messages of the leader are of the time before its end. One who lives is heard again with its next heartbeat.
	muted time.Time
	// over is when elections are left to raft's timeouts again; zero while there is no loss.
	over time.Time
	next *time.Timer // to stand for election; nil on a node without a vote
	wait time.Duration
	// counting says that the votes are being given and counted, which takes flushes of slow disks.
	counting bool
}

func (l *loop) takeHint(now time.Time, h hint) {
	if !h.lost {
		if id := lookup(l.conf, h.node); id != 0 {
			l.node.ReportUnreachable(id)
		}
		return
	}
	// What it said before its end comes first.
	l.drainMessages(now)
	if h.node != l.leader || l.leading {
		return
	}
	if err := l.node.ForgetLeader(); err != nil {
		return
	}
	l.log.Warn("the metadata leader is gone", "leader", h.node, "term", l.term)
	l.endLoss()
	election := time.Duration(electionTicks) * l.cfg.TickInterval
	l.loss = loss{leader: h.node, term: l.term, muted: now.Add(l.cfg.TickInterval), over: now.Add(election)}
	others := slices.DeleteFunc(slices.Clone(l.voters), func(id kafka.NodeID) bool { return id == h.node })
	if rank := slices.Index(others, l.cfg.NodeID); rank >= 0 {
		l.loss.wait = standAgain + time.Duration(rank)*standAgain/3
		l.loss.next = time.NewTimer(time.Duration(rank) * rankDelay)
	}
}

// standTime is when this node is to stand for election; nil when it is not.
func (l *loop) standTime() <-chan time.Time {
	if l.loss.next == nil {
		return nil
	}
	return l.loss.next.C
}

// stand stands for election, unless there is a leader or another way to one.
func (l *loop) stand(now time.Time) {
	if l.leader != kafka.NoNode || now.After(l.loss.over) {
		l.endLoss()
		return
	}
	if !l.loss.counting && l.node.BasicStatus().RaftState == raft.StateCandidate {
		l.loss.counting = true
		l.loss.next.Reset(rankDelay)
		return
	}
	l.loss.counting = false
	// It fails where this node may not, which is no one's fault.
	_ = l.node.Campaign()
	l.loss.next.Reset(l.loss.wait)
}

func (l *loop) endLoss() {
	if l.loss.next != nil {
		l.loss.next.Stop()
	}
	l.loss = loss{}
}

// fromTheDead tells whether a message is one that a lost leader had sent before its end.
func (l *loop) fromTheDead(now time.Time, m *raftpb.Message) bool {
	return nodeID(m.GetFrom()) == l.loss.leader && !l.loss.over.IsZero() && m.GetTerm() <= l.loss.term && now.Before(l.loss.muted)
}

// outdo stands for election at once when a candidate asks whose log is behind this node's: it cannot win, and this one may.
func (l *loop) outdo(now time.Time, m *raftpb.Message) {
	if m.GetType() != raftpb.MsgPreVote || l.loss.next == nil {
		return
	}
	term, err := l.store.Term(l.store.last())
	if err != nil || m.GetLogTerm() > term || m.GetLogTerm() == term && m.GetIndex() >= l.store.last() {
		return
	}
	l.stand(now)
}

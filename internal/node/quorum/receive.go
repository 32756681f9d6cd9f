package quorum

import (
	"fmt"
	"math"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

const (
	// tellMistaken lies between two lines of the log about the same mistake.
	tellMistaken = 10 * time.Second
	// shortFor is how long a leader says that this node's log must be longer before it is believed.
	shortFor = 2 * time.Second
)

// Receive takes a message of another node. It never waits: what finds the inbox full is dropped, and sent again by raft.
func (q *Quorum) Receive(m *raftpb.Message) {
	select {
	case q.messages <- m:
	default:
	}
}

// Raft takes the messages of a request, of which it keeps nothing. An error says that they are none that a node would send.
func (q *Quorum) Raft(req *peer.RaftRequest) error {
	for _, b := range req.Messages {
		m := &raftpb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			return fmt.Errorf("raft message of node %d: %w", req.From, err)
		}
		if nodeID(m.GetFrom()) != kafka.NodeID(req.From) || !mayArrive(m.GetType()) {
			return fmt.Errorf("raft message of node %d: %s in the name of node %d", req.From, m.GetType(), nodeID(m.GetFrom()))
		}
		q.Receive(m)
	}
	return nil
}

// Marshal makes of a message what Raft takes, and tells to whom it goes.
func Marshal(m *raftpb.Message) (to kafka.NodeID, b []byte, err error) {
	b, err = proto.Marshal(m)
	return nodeID(m.GetTo()), b, err
}

// mayArrive tells whether a message is one that nodes send one another. Raft would take others, proposals among them, for the
// word of its own node.
func mayArrive(t raftpb.MessageType) bool {
	switch t {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgSnap, raftpb.MsgHeartbeat,
		raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow, raftpb.MsgPreVote, raftpb.MsgPreVoteResp:
		return true
	}
	return false
}

// drainMessages takes all messages that wait.
func (l *loop) drainMessages(now time.Time) {
	for {
		select {
		case m := <-l.q.messages:
			l.stepMessage(now, m)
		default:
			return
		}
	}
}

func (l *loop) stepMessage(now time.Time, m *raftpb.Message) {
	from := nodeID(m.GetFrom())
	if m.GetTo() != l.store.state.Raft.member() {
		l.mistaken(now, m)
		return
	}
	if !mayArrive(m.GetType()) || m.GetTerm() > math.MaxInt32 || l.fromTheDead(now, m) {
		return
	}
	if l.harmful(m) {
		l.fellShort(now, m)
		return
	}
	if m.GetType() == raftpb.MsgHeartbeat {
		l.shortSince = time.Time{}
	}
	if l.repeats(m) {
		return
	}
	// Step refuses what is stale or malformed; there is no one to tell.
	if err := l.node.Step(m); err != nil {
		l.log.Debug("raft message refused", "from", from, "error", err)
	}
	if lookup(l.conf, from) == m.GetFrom() || from == l.leader {
		l.hear(from)
	}
	l.noteCommit(m)
	l.outdo(now, m)
}

// lacking is a MsgApp that was refused since entries before it are missing here.
type lacking struct {
	term, index, last uint64
	tick              int
}

// repeats tells whether a MsgApp is one that was refused in this tick already. A leader that takes this node's log for longer than
// it is asks again at once, for ever: it is let wait until fellShort has seen what the matter is.
func (l *loop) repeats(m *raftpb.Message) bool {
	if m.GetType() != raftpb.MsgApp || m.GetIndex() <= l.store.last() {
		return false
	}
	lacks := lacking{m.GetTerm(), m.GetIndex(), l.store.last(), l.ticks}
	again := lacks == l.lacks
	l.lacks = lacks
	return again
}

// fellShort takes note of a heartbeat of a leader that knows this node to have had more entries than it has. One that came late may be
// of an earlier life of this node; where they go on, and nothing else comes, its disk has lost what it had acknowledged.
func (l *loop) fellShort(now time.Time, m *raftpb.Message) {
	if m.GetType() != raftpb.MsgHeartbeat {
		return
	}
	if l.shortSince.IsZero() {
		l.shortSince = now
	}
	if now.Sub(l.shortSince) >= shortFor && !l.published && l.lost == nil {
		l.lost = fmt.Errorf("%w: its log ends at index %d, and node %d, which leads, knows that it reached %d: was an older copy of it restored?",
			ErrDamaged, l.store.last(), nodeID(m.GetFrom()), m.GetCommit())
	}
}

// mistaken says so when others, of the same cluster by its id but of another quorum, take this node for one with another disk.
func (l *loop) mistaken(now time.Time, m *raftpb.Message) {
	from := nodeID(m.GetFrom())
	if len(l.voters) == 0 || isMember(l.conf, from) || nodeID(m.GetTo()) != l.cfg.NodeID || now.Sub(l.mistakenAt) < tellMistaken {
		return
	}
	l.mistakenAt = now
	l.log.Error("a node that is none of this cluster knows this one by another disk: was it replaced? Then stop this node, empty its disk, "+
		"and start it with --join (controller.quorum.bootstrap.servers)", "node", from)
}

// harmful tells whether raft would panic at a message. A heartbeat tells a commit that this node must have, because it once
// acknowledged it: it has lost its log, and came back without being admitted anew. And entries from the first on are of no
// use to a node that knows no members (see firstForOthers).
func (l *loop) harmful(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgHeartbeat:
		return m.GetCommit() > l.store.last()
	case raftpb.MsgApp:
		return len(l.conf.GetVoters()) == 0 && m.GetIndex() == 0 && len(m.GetEntries()) > 0
	}
	return false
}

// told is what a leader says is committed: how a node that starts knows that it has caught up.
type told struct {
	term   uint64
	commit uint64
	known  bool
	beats  int
}

// noteCommit remembers the first word of a leader in its term. A MsgApp tells all that the leader knows as committed, a
// heartbeat no more than what it knows this node to have. When there is nothing to append the leader sends heartbeats only; the second
// one is believed: the answer to the first would have led to a MsgApp.
func (l *loop) noteCommit(m *raftpb.Message) {
	typ := m.GetType()
	if l.published || typ != raftpb.MsgApp && typ != raftpb.MsgHeartbeat || m.GetTerm() < l.told.term {
		return
	}
	if m.GetTerm() > l.told.term {
		l.told = told{term: m.GetTerm()}
	}
	t := &l.told
	if t.known {
		return
	}
	if typ == raftpb.MsgHeartbeat && len(m.GetContext()) > 0 {
		return // it belongs to a read, and comes before the answer to the one before it
	}
	if typ == raftpb.MsgHeartbeat && m.GetCommit() > 0 {
		t.beats++
	}
	t.commit, t.known = m.GetCommit(), typ == raftpb.MsgApp || t.beats >= 2
}

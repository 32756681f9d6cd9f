package quorum

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Status is what raft says, as of the last change.
type Status struct {
	Leader   kafka.NodeID // NoNode while none is known
	Vote     kafka.NodeID // whom this node voted for in Term; NoNode for none
	Leads    bool         // this node does
	Term     int32
	Voters   []kafka.NodeID // of both halves while the members change
	Learners []kafka.NodeID
	End      kafka.Offset // of this node's log
	Applied  kafka.Offset // last applied; -1 before the first
	// Members is how far the others are, as of the last tick, sorted by id; nil on a node that does not lead.
	Members []MemberStatus

	notes notes
	image *metadata.Image // the applied one, published or not
}

// MemberStatus is what the leader knows of a member.
type MemberStatus struct {
	ID    kafka.NodeID
	Voter bool
	// End is the end of its log as far as it agrees with the leader's; -1 before its first word.
	End      kafka.Offset
	Heard    time.Time // its last word; zero before the first
	CaughtUp time.Time // when it last had all that the leader has; zero for never
}

// Status is that of raft.
func (q *Quorum) Status() Status { return *q.status.Load() }

// Members are the voters, then the learners, with the addresses by which other nodes reach them. Host is empty where nobody
// has said so yet.
func (q *Quorum) Members() []peer.Member {
	st := q.status.Load()
	members := make([]peer.Member, 0, len(st.Voters)+len(st.Learners))
	for i, id := range append(append([]kafka.NodeID(nil), st.Voters...), st.Learners...) {
		host, port, _ := st.address(id, q.cfg.Listener)
		members = append(members, peer.Member{ID: int32(id), Host: host, Port: port, Voter: i < len(st.Voters)})
	}
	return members
}

// Address is where a node is reached by other nodes. It goes by what the log says before the first Publish, too: without an
// address nobody could be asked what is committed.
func (q *Quorum) Address(id kafka.NodeID) (host string, port int32, ok bool) {
	return q.status.Load().address(id, q.cfg.Listener)
}

// address is that of the registration, or the one that the node was admitted with when this came later.
func (st *Status) address(id kafka.NodeID, listener string) (host string, port int32, ok bool) {
	about, _ := st.notes.find(id)
	if n, registered := st.image.Node(id); registered && (n.Epoch > about.Epoch || about.Host == "") {
		for _, l := range n.Listeners {
			if l.Name == listener || listener == "" {
				return l.Host, int32(l.Port), true
			}
		}
		if len(n.Listeners) > 0 { // a node of other roles may have other listeners: the first is for nodes
			return n.Listeners[0].Host, int32(n.Listeners[0].Port), true
		}
	}
	return about.Host, about.Port, about.Host != ""
}

// LastHeard is when a node's last message came in; zero for never.
func (q *Quorum) LastHeard(id kafka.NodeID) time.Time {
	q.heard.mu.Lock()
	defer q.heard.mu.Unlock()
	return q.heard.at[id]
}

// hear notes that a member spoke.
func (l *loop) hear(id kafka.NodeID) {
	l.q.heard.mu.Lock()
	defer l.q.heard.mu.Unlock()
	l.q.heard.at[id] = time.Now()
}

func (l *loop) tellStatus() {
	l.q.status.Store(&Status{
		Leader: l.leader, Vote: kafka.NodeID(l.store.state.VotedID), Leads: l.leading, Term: int32(l.term),
		Voters: l.voters, Learners: l.learners,
		End: l.store.log.End(), Applied: l.image.Offset(), Members: l.members, notes: l.notes, image: l.image,
	})
}

// watchMembers notes, each tick, how far the members are. A leader that has just begun takes all for heard: it must not judge
// them by what it heard as a follower.
func (l *loop) watchMembers(now time.Time) {
	if !l.leading {
		l.members = nil
		return
	}
	before := l.members
	last := l.store.last()
	next := make([]MemberStatus, 0, len(before))
	l.node.WithProgress(func(id uint64, typ raft.ProgressType, p tracker.Progress) {
		if nodeID(id) == l.cfg.NodeID {
			return
		}
		m := MemberStatus{ID: nodeID(id), Voter: typ == raft.ProgressTypePeer, End: -1, Heard: l.q.LastHeard(nodeID(id))}
		for _, b := range before {
			if b.ID == m.ID {
				m.CaughtUp = b.CaughtUp
			}
		}
		if p.Match > 0 {
			m.End = l.store.endAt(p.Match)
		}
		if p.Match == last {
			m.CaughtUp = now
		}
		next = append(next, m)
	})
	l.members = next
}

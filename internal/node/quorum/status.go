package quorum

import (
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Status is what raft says, as of the last change.
type Status struct {
	Leader   kafka.NodeID // NoNode while none is known
	Vote     kafka.NodeID // whom this node voted for in Term; NoNode for none
	Leads    bool         // this node does
	Term     int32
	Voters   []kafka.NodeID
	Learners []kafka.NodeID
	End      kafka.Offset // of this node's log
	Applied  kafka.Offset // last applied; -1 before the first
	// Members is how far the others are, as of the last tick; nil on a node that does not lead.
	Members []MemberStatus
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

// Member is a node of the metadata quorum and where other nodes reach it; Host is empty while nobody has said so.
type Member struct {
	ID    kafka.NodeID
	Host  string
	Port  int32
	Voter bool
}

// Status is that of raft.
func (q *Quorum) Status() Status { return *q.status.Load() }

// Members are the voters and learners, sorted by id, with their addresses: those of their registrations, or those that they
// were admitted with.
func (q *Quorum) Members() []Member { return nil }

// Address is where another member is reached. It knows what the log says before the first Publish, too: without it nobody
// could be asked what is committed.
func (q *Quorum) Address(id kafka.NodeID) (host string, port int32, ok bool) { return "", 0, false }

// LastHeard is when a node's last message came in; zero for never.
func (q *Quorum) LastHeard(id kafka.NodeID) time.Time { return time.Time{} }

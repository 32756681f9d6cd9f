// Package peer holds the messages that nodes of a cluster send one another beside Kafka's own: who is there, raft messages, requests
// that the active controller is to answer, and the wish to be let in. link sends them, node/api takes them; they are values, and
// nobody here starts a goroutine.
//
// They are framed as Kafka's requests are, under keys from 30000 on, which ApiVersions never names. All are flexible (KIP-482):
// strings and arrays are compact, and what a newer node adds as a tagged field is skipped. Their versions begin at 0; a connection
// begins with Hello, whose answer names the version that both ends know.
package peer

import "github.com/twmb/franz-go/pkg/kmsg"

// Keys of the messages.
const (
	KeyHello  int16 = 30000
	KeyRaft   int16 = 30001
	KeySubmit int16 = 30002
	KeyJoin   int16 = 30003
)

// MinVersion and MaxVersion bound the versions that this node speaks.
const (
	MinVersion int16 = 0
	MaxVersion int16 = 0
)

// NewRequest makes an empty request of a key, or nil when the key is none of ours.
func NewRequest(key int16) kmsg.Request {
	switch key {
	case KeyHello:
		return &HelloRequest{}
	case KeyRaft:
		return &RaftRequest{}
	case KeySubmit:
		return &SubmitRequest{}
	case KeyJoin:
		return &JoinRequest{}
	}
	return nil
}

// versioned is the version that a message is written and read in. It is no part of the message.
type versioned struct{ version int16 }

// SetVersion implements kmsg.Request and kmsg.Response, as do the others.
func (v *versioned) SetVersion(version int16) { v.version = version }

// GetVersion tells the version that the message is written and read in.
func (v *versioned) GetVersion() int16 { return v.version }

// MaxVersion is the newest version there is.
func (*versioned) MaxVersion() int16 { return MaxVersion }

// IsFlexible tells that headers and fields are in KIP-482's form: always.
func (*versioned) IsFlexible() bool { return true }

// Member is a node of the metadata quorum, and where it is reached.
type Member struct {
	ID    int32
	Host  string
	Port  int32
	Voter bool // or else a learner
}

func appendMembers(dst []byte, members []Member) []byte {
	dst = appendCount(dst, len(members))
	for i := range members {
		m := &members[i]
		dst = appendInt32(dst, m.ID)
		dst = appendString(dst, m.Host)
		dst = appendInt32(dst, m.Port)
		dst = appendBool(dst, m.Voter)
		dst = appendTags(dst)
	}
	return dst
}

// minMember is the smallest a member can be: two numbers, an empty string, a bool, no tags.
const minMember = 4 + 1 + 4 + 1 + 1

func (r *reader) members() []Member {
	n := r.count(minMember)
	if n == 0 {
		return nil
	}
	members := make([]Member, n)
	for i := range members {
		m := &members[i]
		m.ID, m.Host, m.Port, m.Voter = r.Int32(), r.string(), r.Int32(), r.Bool()
		r.tags(noTags)
	}
	return members
}

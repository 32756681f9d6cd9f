package group

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is one member of a group.
type member struct {
	id                   string
	instance             *string // group.instance.id of a static member
	clientID, clientHost string
	rebalanceTimeout     time.Duration
	sessionTimeout       time.Duration
	protocolType         string
	protocols            []protocol // in the order of the member's liking; after a load only the chosen one
	assignment           []byte     // never changed in place: answers on their way out alias it
	join, sync           waiter
	// isNew marks a member that has not got its first JoinGroup answer.
	isNew bool
}

// protocol is an assignment protocol that a member knows, with its metadata for it.
type protocol struct {
	name     string
	metadata []byte // never changed in place
}

// copyProtocols copies each protocol once. A request has room for hundreds of thousands of them.
func copyProtocols(from []kmsg.JoinGroupRequestProtocol) []protocol {
	ps := make([]protocol, 0, len(from))
	seen := make(map[string]struct{}, len(from))
	for _, p := range from {
		if _, twice := seen[p.Name]; !twice {
			seen[p.Name] = struct{}{}
			ps = append(ps, protocol{name: strings.Clone(p.Name), metadata: bytes.Clone(p.Metadata)})
		}
	}
	return ps
}

func copyInstance(from *string) *string {
	if from == nil {
		return nil
	}
	s := strings.Clone(*from)
	return &s
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.name == protocol {
			return p.metadata
		}
	}
	return nil
}

func (m *member) matches(ps []protocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b protocol) bool {
		return a.name == b.name && bytes.Equal(a.metadata, b.metadata)
	})
}

// excused tells that no heartbeat is expected now: the member's client waits for an answer of ours. A new member is not
// excused, see newMemberJoinTimeout.
func (m *member) excused() bool { return !m.isNew && (m.join.waits() || m.sync.waits()) }

// subscribedTopics reads the topics of a consumer's subscription: version 0 of it, with which all others begin.
func subscribedTopics(metadata []byte) ([]string, error) {
	r := kbin.Reader{Src: metadata}
	if v := r.Int16(); v < 0 {
		return nil, fmt.Errorf("subscription version %d", v)
	}
	n := r.ArrayLen()
	topics := make([]string, 0, max(n, 0))
	for ; n > 0 && r.Ok(); n-- {
		topics = append(topics, r.UnsafeString())
	}
	r.NullableBytes()
	if !r.Ok() {
		return nil, fmt.Errorf("subscription of %d bytes cannot be read", len(metadata))
	}
	return topics, nil
}

package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// state is where a group is in its rebalance. Unknown groups are described as "Dead".
type state int8

const (
	empty      state = iota // no members; offsets may remain
	preparing               // members are asked to join
	completing              // members have joined, the leader is to send the assignment
	stable
)

func (s state) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

const stateDead = "Dead"

// consumerProtocol is the protocol type whose subscriptions the coordinator understands.
const consumerProtocol = "consumer"

// group is what is live of a classic group. Members keep the order in which they joined.
type group struct {
	id              string
	state, previous state
	stateSince      int64 // milliseconds; -1 when the record did not say
	protocolType    string
	protocol        string // the chosen one; "" while the group is empty
	leader          string // a member id; "" when there is none
	generation      int32

	members   []*member
	byID      map[string]*member
	static    map[string]string // group.instance.id → member id
	supported map[string]int    // protocol → how many members know it
	awaiting  int               // members with a parked JoinGroup

	pendingJoin map[string]struct{} // ids given out with MEMBER_ID_REQUIRED that have not joined
	pendingSync map[string]struct{} // members that have not sent SyncGroup in this generation

	// subscribed holds the topics of all members, when topicsKnown: the protocol is the consumers' and could be read.
	subscribed  map[string]struct{}
	topicsKnown bool

	newMember bool         // one joined since the initial delay was last extended
	initial   initialDelay // of the first rebalance after Empty
	unsaved   bool         // created in this process and not yet in the log
}

// initialDelay lets the first members of a group find each other.
type initialDelay struct {
	active           bool
	delay, remaining time.Duration
}

// prepareMembers makes room for members, which most groups that are only looked at do not need.
func (g *group) prepareMembers() {
	if g.byID != nil {
		return
	}
	g.byID = make(map[string]*member)
	g.static = make(map[string]string)
	g.supported = make(map[string]int)
	g.pendingJoin = make(map[string]struct{})
	g.pendingSync = make(map[string]struct{})
}

func (g *group) become(s state, millis int64) {
	g.previous, g.state, g.stateSince = g.state, s, millis
}

func (g *group) isLeader(id string) bool { return id != "" && g.leader == id }

func (g *group) usesConsumerProtocol() bool { return g.protocolType == consumerProtocol }

// canRebalance tells that a rebalance may start: none is being prepared already.
func (g *group) canRebalance() bool { return g.state != preparing }

func (g *group) allJoined() bool { return g.awaiting == len(g.members) && len(g.pendingJoin) == 0 }

// rebalanceTimeout is the longest of all members.
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

// add makes m a member with a parked JoinGroup, or without one after a load.
func (g *group) add(m *member) {
	if m.instance != nil {
		g.static[*m.instance] = m.id
	}
	if len(g.members) == 0 {
		g.protocolType = m.protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	g.count(m, 1)
	if m.join.waits() {
		g.awaiting++
	}
	delete(g.pendingJoin, m.id)
}

// remove takes a member, pending or not, out of the group. The next leader is the member that joined first.
func (g *group) remove(id string) {
	if m := g.byID[id]; m != nil {
		delete(g.byID, id)
		g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == m })
		g.count(m, -1)
		if m.join.waits() {
			g.awaiting--
		}
		if m.instance != nil {
			delete(g.static, *m.instance)
		}
	}
	if g.isLeader(id) {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	delete(g.pendingJoin, id)
	delete(g.pendingSync, id)
}

func (g *group) count(m *member, by int) {
	for _, p := range m.protocols {
		if g.supported[p.name] += by; g.supported[p.name] == 0 {
			delete(g.supported, p.name)
		}
	}
}

// supports tells whether a member with these protocols could join: one of them is known to all.
func (g *group) supports(protocolType string, protocols []protocol) bool {
	if g.state == empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType && slices.ContainsFunc(protocols, func(p protocol) bool {
		return g.supported[p.name] == len(g.members)
	})
}

// vote chooses the protocol that most members like best among those that all of them know. Of equals, the one that the
// earliest member lists first.
func (g *group) vote() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.supported[p.name] == len(g.members) {
				votes[p.name]++
				break
			}
		}
	}
	best := ""
	for _, p := range g.members[0].protocols {
		if votes[p.name] > votes[best] {
			best = p.name
		}
	}
	return best
}

// electJoinedLeader makes sure that the leader is a member that has joined, and tells whether there is one.
func (g *group) electJoinedLeader() bool {
	if m := g.byID[g.leader]; m != nil && m.join.waits() {
		return true
	}
	for _, m := range g.members {
		if m.join.waits() {
			g.leader = m.id
			return true
		}
	}
	return false
}

// nextGeneration ends the joining: with members the group goes on to completing, without any it is empty.
func (g *group) nextGeneration(millis int64) {
	g.generation++
	g.initial = initialDelay{}
	if len(g.members) > 0 {
		g.protocol = g.vote()
		g.become(completing, millis)
	} else {
		g.protocol = ""
		g.become(empty, millis)
	}
	g.findSubscribed()
	clear(g.pendingSync)
}

// check is what every request of a member must pass: FENCED_INSTANCE_ID when another member has its instance id,
// UNKNOWN_MEMBER_ID when the group has no such member.
func (g *group) check(id string, instance *string) error {
	if instance != nil {
		current, ok := g.static[*instance]
		if ok && current != id {
			return fmt.Errorf("instance %q is now member %q: %w", *instance, current, kerr.FencedInstanceID)
		}
		if !ok {
			return fmt.Errorf("no member with instance %q: %w", *instance, kerr.UnknownMemberID)
		}
	}
	if g.byID[id] == nil {
		return fmt.Errorf("no member %q: %w", id, kerr.UnknownMemberID)
	}
	return nil
}

// subscribes tells whether offsets of topic are in use. A group of consumers whose subscriptions could not be read may
// use any topic.
func (g *group) subscribes(topic string) bool {
	if !g.topicsKnown {
		return g.usesConsumerProtocol()
	}
	_, ok := g.subscribed[topic]
	return ok
}

// findSubscribed reads the subscriptions of the chosen protocol, once a generation.
func (g *group) findSubscribed() {
	g.subscribed, g.topicsKnown = nil, false
	if !g.usesConsumerProtocol() {
		return
	}
	topics := make(map[string]struct{})
	for _, m := range g.members {
		names, err := subscribedTopics(m.metadata(g.protocol))
		if err != nil {
			return
		}
		for _, n := range names {
			topics[strings.Clone(n)] = struct{}{}
		}
	}
	if len(g.members) > 0 && g.protocol == "" {
		return
	}
	g.subscribed, g.topicsKnown = topics, true
}

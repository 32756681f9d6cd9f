package consumer

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Members of the classic protocol in a group of the new one. JoinGroup is to them what a heartbeat is to others: it says what they
// have, and takes them nearer to their target. Its answer has no members, so nobody leads. SyncGroup fetches what they may use, and
// Heartbeat tells them to join again when there is more to do.

// Joining is a JoinGroup.
type Joining struct {
	Member           string // "" for one that has no id
	Instance         *string
	From             Client
	Session          time.Duration
	RebalanceTimeout time.Duration // negative when it was not said
	ProtocolType     string
	Protocols        []Protocol // kept
	// NeedsID tells that one without an id is to be given one, and to join with it.
	NeedsID bool
}

// embedded is the protocol type that classic members of these groups have.
const embedded = "consumer"

// Join answers a JoinGroup with the member as it is from now on. One that has no id and needs it gets an id and MEMBER_ID_REQUIRED.
// When all members are classic ones after it, Out.Downgrade is set.
func (t *Turn) Join(g *Group, j Joining) (*Member, error) {
	isNew := j.Member == ""
	if isNew {
		j.Member = t.NewID()
	}
	switch {
	case !t.Config.Upgrade && !t.Config.Downgrade:
		return nil, refuse(kerr.InconsistentGroupProtocol, "Cannot join the consumer group %s with the classic protocol because the group migration is disabled.", g.ID)
	case g.Members() >= t.Config.MaxSize && g.Member(j.Member) == nil:
		return nil, refuse(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", t.Config.MaxSize)
	case !g.supports(j.ProtocolType, j.Protocols):
		return nil, refuse(kerr.InconsistentGroupProtocol, "Member %s's protocols are not supported.", j.Member)
	case isNew && j.NeedsID:
		return &Member{ID: j.Member}, kerr.MemberIDRequired
	}
	said, err := readSubscription(j.Protocols[0].Metadata)
	if err != nil {
		return nil, refuse(kerr.UnknownServerError, "Malformed embedded consumer protocol in subscription deserialization.")
	}
	b, err := t.beginClassic(g, j, isNew)
	if err != nil {
		return nil, err
	}
	m := b.member.copy()
	m.Topics, m.Regex, m.Client, m.Host = said.topics, "", j.From.ID, j.From.Host
	m.Classic = &Classic{SessionTimeout: j.Session, Protocols: j.Protocols}
	if j.Instance != nil {
		m.Instance = j.Instance
	}
	if said.rack != nil {
		m.Rack = said.rack
	}
	if j.RebalanceTimeout >= 0 {
		m.RebalanceTimeout = j.RebalanceTimeout
	}
	if old := g.instance(j.Instance); old != nil && old.Classic == nil && t.mayDowngrade(g, old) {
		return t.downgradeStatic(g, old, m), nil
	}
	if m, err = t.advance(b, m, t.reported(said)); err != nil {
		return nil, err
	}
	g.rejoined(m.ID)
	t.stop(Join, m.ID)
	t.arm(Session, m.ID, j.Session)
	t.arm(Sync, m.ID, m.RebalanceTimeout)
	return m, nil
}

// supports tells whether a classic member could join: it has the protocol type of consumers, and a protocol that all other classic
// members have.
func (g *Group) supports(protocolType string, protocols []Protocol) bool {
	return protocolType == embedded && slices.ContainsFunc(protocols, func(p Protocol) bool {
		for _, m := range g.members.All() {
			if m.Classic != nil && !slices.ContainsFunc(m.Classic.Protocols, func(other Protocol) bool { return other.Name == p.Name }) {
				return false
			}
		}
		return true
	})
}

func (t *Turn) beginClassic(g *Group, j Joining, isNew bool) (beginning, error) {
	b := beginning{g: g}
	if j.Instance != nil {
		old, err := g.static(*j.Instance, j.Member, isNew, true)
		switch {
		case err != nil:
			return b, err
		case old != nil && isNew:
			return t.replace(g, old, j.Member), nil
		case old != nil:
			b.member = old
			return b, nil
		}
	}
	if b.member = g.Member(j.Member); b.member == nil {
		b.member, b.isNew = newMember(j.Member), true
	}
	return b, nil
}

// instance finds the static member, or returns nil.
func (g *Group) instance(id *string) *Member {
	if id == nil {
		return nil
	}
	member, _ := g.instances.Get(*id)
	return g.Member(member)
}

// reported is what a member has that says what it owns. One whose client does not know the field has given up all.
func (t *Turn) reported(s subscription) []kmsg.ConsumerGroupHeartbeatRequestTopic {
	all := []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	t.known(s.owned, func(id kafka.TopicID, p int32) {
		all = append(all, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: id, Partitions: []int32{p}})
	})
	return all
}

// classic finds the member of a Heartbeat or SyncGroup.
func (g *Group) classic(member string, instance *string, generation int32) (*Member, error) {
	m := g.Member(member)
	if instance != nil {
		var err error
		if m, err = g.static(*instance, member, false, true); err != nil {
			return nil, err
		}
	}
	switch {
	case m == nil:
		return nil, g.unknown(member)
	case m.Classic == nil:
		return nil, refuse(kerr.UnknownMemberID, "Member %s does not use the classic protocol.", member)
	case generation != m.Epoch:
		return nil, refuse(kerr.IllegalGeneration, "The request generation id %d is not equal to the member epoch %d of member %s.", generation, m.Epoch, member)
	}
	return m, nil
}

// Beat answers a Heartbeat: nil, or why the member is to join again.
func (t *Turn) Beat(g *Group, member string, instance *string, generation int32) error {
	m, err := g.classic(member, instance, generation)
	if err != nil {
		return err
	}
	t.arm(Session, m.ID, m.Classic.SessionTimeout)
	if m.Epoch < g.now().target || m.State == UnrevokedPartitions || m.State == UnreleasedPartition && !g.waits(m) {
		t.callToJoin(g, m)
		return kerr.RebalanceInProgress
	}
	return nil
}

// waits tells whether something of the member's target is somebody else's.
func (g *Group) waits(m *Member) bool {
	for id, partitions := range g.lastTarget(m.ID, "") {
		for _, p := range partitions {
			if _, taken := g.owners.Get(partition{id, p}); taken && !m.Assigned.Has(id, p) {
				return true
			}
		}
	}
	return false
}

// callToJoin gives a member that is told to join the time of a rebalance for it, from when it is first told.
func (t *Turn) callToJoin(g *Group, m *Member) {
	if g.called[m.ID] {
		return
	}
	if g.called == nil {
		g.called = make(map[string]bool)
	}
	g.called[m.ID] = true
	t.arm(Join, m.ID, m.RebalanceTimeout)
}

// rejoined is for a member that has joined, or is gone.
func (g *Group) rejoined(member string) { delete(g.called, member) }

// Fetch answers a SyncGroup with what the member may use.
func (t *Turn) Fetch(g *Group, req *kmsg.SyncGroupRequest) ([]byte, error) {
	m, err := g.classic(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return nil, err
	}
	first := m.Classic.Protocols[0]
	switch {
	case req.ProtocolType != nil && *req.ProtocolType != embedded:
		return nil, refuse(kerr.InconsistentGroupProtocol, "The protocol type %s from member %s request is not equal to the group protocol type %s.", *req.ProtocolType, m.ID, embedded)
	case req.Protocol != nil && *req.Protocol != first.Name:
		return nil, refuse(kerr.InconsistentGroupProtocol, "The protocol name %s from member %s request is not equal to the protocol name %s returned in the join response.", *req.Protocol, m.ID, first.Name)
	case g.now().target > m.Epoch && m.State != UnrevokedPartitions:
		t.callToJoin(g, m)
		return nil, refuse(kerr.RebalanceInProgress, "A new rebalance is triggered in group %s and member %s should rejoin to catch up.", g.ID, m.ID)
	}
	t.stop(Sync, m.ID)
	t.arm(Session, m.ID, m.Classic.SessionTimeout)
	return t.embed(m.Assigned.Partitions(), first.Metadata), nil
}

// sameClassic tells whether both brought the same.
func sameClassic(a, b *Classic) bool {
	return a == b || a != nil && b != nil && a.SessionTimeout == b.SessionTimeout && slices.EqualFunc(a.Protocols, b.Protocols, func(p, q Protocol) bool {
		return p.Name == q.Name && bytes.Equal(p.Metadata, q.Metadata)
	})
}

package consumer

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// ConsumerGroupHeartbeat, versions 0 and 1. From v1 on members make their ids themselves, and subscribe by regular
// expression. Null fields say that nothing has changed.

// clientsOwnID is the first version whose members bring an id.
const clientsOwnID = 1

// maxString is the longest string of a record's key.
const maxString = 1<<15 - 1

// Client is who sent a request.
type Client struct{ ID, Host string }

// Check refuses a heartbeat that no group could answer.
func Check(req *kmsg.ConsumerGroupHeartbeatRequest, version int16, assignors []string) error {
	invalid := func(format string, args ...any) error { return refuse(kerr.InvalidRequest, format, args...) }
	empty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	switch {
	case (version >= clientsOwnID || req.MemberEpoch > 0 || req.MemberEpoch == LeftEpoch) && empty(&req.MemberID):
		return invalid("MemberId can't be empty.")
	case empty(&req.Group):
		return invalid("GroupId can't be empty.")
	case empty(req.InstanceID):
		return invalid("InstanceId can't be empty.")
	case empty(req.RackID):
		return invalid("RackId can't be empty.")
	case max(len(req.MemberID), len(req.Group)) > maxString || req.SubscribedTopicRegex != nil && len(*req.SubscribedTopicRegex) > maxString:
		return invalid("MemberId, GroupId and SubscribedTopicRegex can't be longer than %d bytes.", maxString)
	case req.MemberEpoch < StaticLeftEpoch:
		return invalid("MemberEpoch is invalid.")
	case req.MemberEpoch == StaticLeftEpoch && req.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	}
	if req.MemberEpoch == 0 {
		switch {
		case req.RebalanceTimeoutMillis == -1:
			return invalid("RebalanceTimeoutMs must be provided in first request.")
		case req.Topics == nil || len(req.Topics) > 0:
			return invalid("TopicPartitions must be empty when (re-)joining.")
		case req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
			return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
		}
	}
	if a := req.ServerAssignor; a != nil && !slices.Contains(assignors, *a) {
		return refuse(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *a, strings.Join(assignors, ", "))
	}
	return nil
}

// Heartbeat answers a request that Check has passed. For a request with epoch 0 g may be a new group.
func (t *Turn) Heartbeat(g *Group, from Client, req *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	if req.MemberEpoch < 0 {
		return t.leave(g, req)
	}
	if g.Members() >= t.Config.MaxSize && g.Member(req.MemberID) == nil {
		return nil, refuse(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", t.Config.MaxSize)
	}
	b, err := t.begin(g, req)
	if err != nil {
		return nil, err
	}
	m, err := t.advance(b, describe(b.member, from, req), req.Topics)
	if err != nil {
		return nil, err
	}
	t.stopClassic(g, b.member) // it was one before
	t.arm(Session, m.ID, t.Config.SessionTimeout)
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &m.ID, m.Epoch
	resp.HeartbeatIntervalMillis = int32(t.Config.HeartbeatInterval / time.Millisecond)
	full := req.RebalanceTimeoutMillis != -1 && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil) && req.Topics != nil
	if req.MemberEpoch == 0 || full || !m.Assigned.Equal(b.member.Assigned) {
		resp.Assignment = assignmentOf(m.Assigned)
	}
	return resp, nil
}

func assignmentOf(o Owned) *kmsg.ConsumerGroupHeartbeatResponseAssignment {
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	a.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	partitions := o.Partitions()
	for _, id := range sortedIDs(partitions) {
		a.Topics = append(a.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: id, Partitions: partitions[id]})
	}
	return &a
}

// beginning is a member as a request finds it.
type beginning struct {
	g        *Group
	member   *Member
	isNew    bool
	replaced string // the id of the member whose place a static one takes
}

// begin finds the member of a heartbeat, or makes it.
func (t *Turn) begin(g *Group, req *kmsg.ConsumerGroupHeartbeatRequest) (beginning, error) {
	b := beginning{g: g}
	id, joins := strings.Clone(req.MemberID), req.MemberEpoch == 0
	if id == "" {
		id = t.NewID()
	}
	if req.InstanceID != nil {
		old, err := g.static(*req.InstanceID, id, joins, false)
		if err != nil {
			return b, err
		}
		if old != nil && joins {
			return t.replace(g, old, id), nil
		}
	}
	b.member = g.Member(id)
	if b.member == nil {
		if !joins {
			return b, g.unknown(id)
		}
		b.member, b.isNew = newMember(id), true
	}
	return b, b.member.admits(req)
}

func (g *Group) unknown(member string) error {
	return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", member, g.ID)
}

// static finds the member that has the instance id. Who joins may take its place once it has left for a while, or when one of the
// two is classic; everybody else must be it.
func (g *Group) static(instance, member string, joins, classic bool) (*Member, error) {
	id, ok := g.instances.Get(instance)
	m := g.Member(id)
	switch {
	case (!ok || m == nil) && joins:
		return nil, nil
	case !ok || m == nil:
		return nil, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", instance)
	case joins && !classic && m.Classic == nil && m.Epoch != StaticLeftEpoch:
		return nil, refuse(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.", member, instance, id)
	case !joins && id != member:
		return nil, refuse(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", member, instance, id)
	}
	return m, nil
}

// replace puts a new member in the place of a static one that had left for a while: it goes on with its partitions.
func (t *Turn) replace(g *Group, old *Member, id string) beginning {
	m := old.copy()
	m.ID, m.Epoch, m.Previous = id, 0, 0
	if id != old.ID {
		t.record(memberTombstones(g.ID, old.ID)...)
		t.stop(Session, old.ID)
		t.stop(Rebalance, old.ID)
		t.stopClassic(g, old)
	}
	t.record(memberRecord(g.ID, m), targetRecord(g.ID, id, g.lastTarget(old.ID, "")), assignmentRecord(g.ID, m))
	return beginning{g: g, member: m, replaced: old.ID}
}

// admits refuses the wrong epoch. The one before the current one is right as long as the member cannot have more than it
// should: it has not got the answer that brought the new epoch.
func (m *Member) admits(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	switch {
	case req.MemberEpoch == 0 || req.MemberEpoch == m.Epoch:
		return nil
	case req.MemberEpoch > m.Epoch:
		return refuse(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, m.Epoch)
	case req.MemberEpoch == m.Previous && m.coversAll(req.Topics):
		return nil
	}
	return refuse(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, m.Epoch)
}

// coversAll tells whether all that the member says it has is assigned to it. Who does not say may have anything.
func (m *Member) coversAll(reported []kmsg.ConsumerGroupHeartbeatRequestTopic) bool {
	for _, topic := range reported {
		for _, p := range topic.Partitions {
			if !m.Assigned.Has(topic.TopicID, p) {
				return false
			}
		}
	}
	return reported != nil
}

// describe is m with what the request says of it. Nothing of the request is kept.
func describe(m *Member, from Client, req *kmsg.ConsumerGroupHeartbeatRequest) *Member {
	c := m.copy()
	update := func(to **string, s *string) {
		if s != nil && !sameString(*to, s) {
			*to = cloned(s)
		}
	}
	update(&c.Instance, req.InstanceID)
	update(&c.Rack, req.RackID)
	update(&c.Assignor, req.ServerAssignor)
	if req.RebalanceTimeoutMillis != -1 {
		c.RebalanceTimeout = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if req.SubscribedTopicNames != nil {
		names := slices.Sorted(slices.Values(req.SubscribedTopicNames))
		if names = slices.Compact(names); !slices.Equal(names, c.Topics) {
			for i := range names {
				names[i] = strings.Clone(names[i])
			}
			c.Topics = names
		}
	}
	if req.SubscribedTopicRegex != nil && *req.SubscribedTopicRegex != c.Regex {
		c.Regex = strings.Clone(*req.SubscribedTopicRegex)
	}
	if c.Client != from.ID || c.Host != from.Host {
		c.Client, c.Host = strings.Clone(from.ID), strings.Clone(from.Host)
	}
	c.Classic = nil
	return c
}

// advance takes in what the member says of itself, brings the group up to it, and the member as far towards its target as
// is safe.
func (t *Turn) advance(b beginning, m *Member, reported []kmsg.ConsumerGroupHeartbeatRequestTopic) (*Member, error) {
	if b.isNew || !m.describesAs(b.member) {
		t.record(memberRecord(b.g.ID, m))
	}
	renamed := !slices.Equal(m.Topics, b.member.Topics)
	regex, err := t.followRegex(b.g, b.member.Regex, m.Regex)
	if err != nil {
		return nil, err
	}
	v := view{g: b.g, plus: m}
	if b.replaced != "" {
		v.without = map[string]bool{b.replaced: true}
	}
	e := b.g.now()
	if bump := renamed || regex == regexResolved; bump || b.g.checked != t.Topics.Version() {
		e = t.rehash(v, e, bump)
	}
	e, target := t.retarget(v, e, b.replaced)
	return t.reconcile(b, m, e, target, renamed || regex != regexSame, reported), nil
}

func (t *Turn) reconcile(b beginning, m *Member, e epochs, target assign.Assignment, changed bool, reported []kmsg.ConsumerGroupHeartbeatRequestTopic) *Member {
	if !changed && m.ReconciledTo(e.target) {
		return m
	}
	r := reconciliation{
		epoch: e.target, target: target, wants: t.wants(b.g, m), subscriptionChanged: changed, reported: reported,
		taken: func(id kafka.TopicID, p int32) bool {
			owner, taken := b.g.owners.Get(partition{id, p})
			return taken && owner != b.replaced
		},
	}
	next := r.step(m)
	if next.assignedLike(m) {
		return next
	}
	t.record(assignmentRecord(b.g.ID, next))
	if m.Classic != nil {
		return next // its timers are those of JoinGroup and SyncGroup
	}
	if next.State == UnrevokedPartitions {
		t.arm(Rebalance, next.ID, next.RebalanceTimeout)
	} else {
		t.stop(Rebalance, next.ID)
	}
	return next
}

// Leave takes the members of a LeaveGroup out, which administrators send, and says for each whether it was one. Static members
// may be named by their instance alone.
func (t *Turn) Leave(g *Group, who []kmsg.LeaveGroupRequestMember) []error {
	errs := make([]error, len(who))
	var leaving []*Member
	for i, w := range who {
		m := g.Member(w.MemberID)
		if w.InstanceID != nil {
			id := w.MemberID
			if id == "" {
				id, _ = g.instances.Get(*w.InstanceID)
			}
			m, errs[i] = g.static(*w.InstanceID, id, false, false)
		} else if m == nil {
			errs[i] = g.unknown(w.MemberID)
		}
		if errs[i] == nil && !slices.Contains(leaving, m) {
			leaving = append(leaving, m)
		}
	}
	if len(leaving) > 0 {
		t.fence(g, leaving...)
	}
	return errs
}

// leave takes a member out; a static one that says so only for a while, and its partitions wait for it.
func (t *Turn) leave(g *Group, req *kmsg.ConsumerGroupHeartbeatRequest) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	m := g.Member(req.MemberID)
	if req.InstanceID != nil {
		var err error
		if m, err = g.static(*req.InstanceID, req.MemberID, false, false); err != nil {
			return nil, err
		}
	} else if m == nil {
		return nil, g.unknown(req.MemberID)
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &m.ID, req.MemberEpoch
	if req.InstanceID == nil || req.MemberEpoch == LeftEpoch {
		t.fence(g, m)
		return resp, nil
	}
	away := m.copy()
	away.Epoch, away.Assigned, away.Revoking = StaticLeftEpoch, make(Owned), nil
	for id, partitions := range m.Assigned {
		for p := range partitions {
			away.Assigned.add(id, p, 0)
		}
	}
	t.record(assignmentRecord(g.ID, away))
	return resp, nil
}

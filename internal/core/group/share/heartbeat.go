package share

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group/assign"
)

// ShareGroupHeartbeat, version 1. Members make their ids themselves. Null fields say that nothing has changed.

// LeftEpoch is a member's epoch when it leaves.
const LeftEpoch = -1

// maxMemberID is the longest member id, and maxString the longest string of a record's key.
const (
	maxMemberID = 36
	maxString   = 1<<15 - 1
)

// Client is who sent a request.
type Client struct{ ID, Host string }

// Check refuses a heartbeat that no group could answer.
func Check(req *kmsg.ShareGroupHeartbeatRequest) error {
	invalid := func(format string, args ...any) error { return refuse(kerr.InvalidRequest, format, args...) }
	switch {
	case req.MemberID == "" || len(req.MemberID) > maxMemberID:
		return invalid("Invalid member id in the request.")
	case strings.TrimSpace(req.MemberID) == "":
		return invalid("MemberId can't be empty.")
	case strings.TrimSpace(req.GroupID) == "":
		return invalid("GroupId can't be empty.")
	case len(req.GroupID) > maxString:
		return invalid("GroupId can't be longer than %d bytes.", maxString)
	case req.RackID != nil && strings.TrimSpace(*req.RackID) == "":
		return invalid("RackId can't be empty.")
	case req.MemberEpoch == 0 && len(req.SubscribedTopicNames) == 0:
		return invalid("SubscribedTopicNames must be set in first request.")
	case req.MemberEpoch < LeftEpoch:
		return invalid("MemberEpoch is invalid.")
	}
	return nil
}

// Heartbeat answers a request that Check has passed. For a request with epoch 0 g may be a new group.
func (t *Turn) Heartbeat(g *Group, from Client, req *kmsg.ShareGroupHeartbeatRequest) (*kmsg.ShareGroupHeartbeatResponse, error) {
	old := g.Member(req.MemberID)
	switch {
	case req.MemberEpoch == LeftEpoch && old != nil:
		t.fence(g, old)
		return answer(req.MemberID, LeftEpoch), nil
	case req.MemberEpoch != LeftEpoch && old == nil && g.Members() >= t.Config.MaxSize:
		return nil, refuse(kerr.GroupMaxSizeReached, "The share group has reached its maximum capacity of %d members.", t.Config.MaxSize)
	case req.MemberEpoch != 0 && old == nil:
		return nil, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, g.ID)
	}
	before := old.or(req.MemberID)
	if err := before.admits(req.MemberEpoch); err != nil {
		return nil, err
	}
	m := t.advance(g, &before, before.describe(from, req), old == nil)
	t.Out.Timers = append(t.Out.Timers, Timer{Member: m.ID, After: t.Config.SessionTimeout})
	resp := answer(m.ID, m.Epoch)
	resp.HeartbeatIntervalMillis = int32(t.Config.HeartbeatInterval / time.Millisecond)
	if req.MemberEpoch == 0 || req.SubscribedTopicNames != nil || !m.Assigned.Equal(before.Assigned) {
		resp.Assignment = assignmentOf(m.Assigned)
	}
	return resp, nil
}

func answer(member string, epoch int32) *kmsg.ShareGroupHeartbeatResponse {
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	member = strings.Clone(member)
	resp.MemberID, resp.MemberEpoch = &member, epoch
	return resp
}

func assignmentOf(a assign.Assignment) *kmsg.ShareGroupHeartbeatResponseAssignment {
	out := kmsg.NewShareGroupHeartbeatResponseAssignment()
	out.TopicPartitions = []kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{}
	for _, id := range sortedIDs(a) {
		out.TopicPartitions = append(out.TopicPartitions, kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{TopicID: id, Partitions: a[id]})
	}
	return &out
}

// admits refuses the wrong epoch. The one before the current one is right: the answer that brought the new one may be lost.
func (m *Member) admits(epoch int32) error {
	switch {
	case epoch == 0 || epoch == m.Epoch || epoch == m.Previous:
		return nil
	case epoch > m.Epoch:
		return refuse(kerr.FencedMemberEpoch, "The share group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, m.Epoch)
	}
	return refuse(kerr.FencedMemberEpoch, "The share group member has a smaller member epoch (%d) than the one known by the group coordinator (%d), and it does not match the previous member epoch (%d). The member must abandon all its partitions and rejoin.", epoch, m.Epoch, m.Previous)
}

// describe is m with what the request says of it. Nothing of the request is kept.
func (m *Member) describe(from Client, req *kmsg.ShareGroupHeartbeatRequest) *Member {
	c := *m
	if req.RackID != nil {
		rack := strings.Clone(*req.RackID)
		c.Rack = &rack
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
	if c.Client != from.ID || c.Host != from.Host {
		c.Client, c.Host = strings.Clone(from.ID), strings.Clone(from.Host)
	}
	return &c
}

// advance takes in what the member says of itself, brings the group up to it, and gives the member what the target has for
// it. State that partitions lack is asked for; they are assigned when they have it.
func (t *Turn) advance(g *Group, before, m *Member, isNew bool) *Member {
	if isNew || !m.describesAs(before) {
		t.record(memberRecord(g.ID, m))
	}
	v := view{g: g, plus: m}
	e := g.now()
	changed := !slices.Equal(m.Topics, before.Topics)
	if e.target >= e.group && t.unassigned(g) {
		changed = true
	}
	if changed || g.checked != t.Topics.Version() {
		changed = t.rehash(v, &e, changed)
	}
	target := t.retarget(v, &e)
	next := t.reconcile(m, e, target, changed)
	if isNew || next.Epoch != m.Epoch || !next.Assigned.Equal(m.Assigned) {
		t.record(assignmentRecord(g.ID, next))
	}
	t.initialize(v, e)
	return next
}

package group

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// JoinGroup, versions 0 to 9.
//
// v0 has no rebalance timeout: the session timeout stands for it. From v4 a new dynamic member is first given an id
// (MEMBER_ID_REQUIRED) and joins with it. v5 brings static members, v7 a nullable protocol, v8 a reason, which is only
// for logs, and v9 SkipAssignment.

const (
	joinRequiresMemberID = 4
	joinSkipsAssignment  = 9
)

// joining is a JoinGroup under way: the request, and what of it the group will keep.
type joining struct {
	machine.Request
	req       *kmsg.JoinGroupRequest
	protocols []protocol
}

func joinError(memberID string, err error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation = -1
	resp.MemberID = memberID
	resp.ErrorCode = code(err)
	return resp
}

func (t *turn) joinGroup(r machine.Request, req *kmsg.JoinGroupRequest) {
	j := joining{Request: r, req: req}
	if err := t.s.checkJoin(j); err != nil {
		t.reply(waiterOf(r), joinError(req.MemberID, err))
		return
	}
	if c, ok := t.s.consumers.Get(req.Group); ok && c.Members() > 0 {
		t.joinConsumers(c, r, req)
		return
	}
	if err := t.makeWay(req.Group, req.MemberID == ""); err != nil {
		t.reply(waiterOf(r), joinError("", err))
		return
	}
	j.protocols = copyProtocols(req.Protocols)
	g := t.s.group(req.Group)
	if g == nil {
		if req.MemberID != "" {
			t.reply(waiterOf(r), joinError(req.MemberID, kerr.UnknownMemberID))
			return
		}
		g = &group{id: strings.Clone(req.Group), stateSince: t.millis(), unsaved: true}
	}
	t.s.live[g.id] = g
	g.prepareMembers()
	switch {
	case !t.s.hasRoom(g, req.MemberID):
		g.remove(req.MemberID)
		t.reply(waiterOf(r), joinError("", kerr.GroupMaxSizeReached))
	case req.MemberID == "":
		t.joinNew(g, j)
	default:
		t.joinKnown(g, j)
	}
	t.saveNew(g)
}

// checkJoin refuses what is wrong whatever the group's state, and what the record format has no room for.
func (s *Shard) checkJoin(j joining) error {
	if err := checkGroupID(j.req.Group, false); err != nil {
		return err
	}
	session := time.Duration(j.req.SessionTimeoutMillis) * time.Millisecond
	if session < s.cfg.MinSessionTimeout || session > s.cfg.MaxSessionTimeout {
		return fmt.Errorf("session timeout of %v: %w", session, kerr.InvalidSessionTimeout)
	}
	longest := max(len(j.ClientID), len(j.ClientHost), len(j.req.MemberID), len(j.req.ProtocolType))
	if j.req.InstanceID != nil {
		longest = max(longest, len(*j.req.InstanceID))
	}
	for _, p := range j.req.Protocols {
		longest = max(longest, len(p.Name))
	}
	if longest > maxString-len("-")-uuidLen {
		return fmt.Errorf("a name of %d bytes: %w", longest, kerr.InvalidRequest)
	}
	return nil
}

// hasRoom applies group.max.size. While members join, those that wait count and not the members, so that a group over
// the limit sheds the last to rejoin.
func (s *Shard) hasRoom(g *group, memberID string) bool {
	m := g.byID[memberID]
	switch g.state {
	case preparing:
		return m != nil && m.join.waits() || g.awaiting < s.cfg.MaxSize
	case completing, stable:
		return m != nil || len(g.members) < s.cfg.MaxSize
	}
	return true
}

// joinNew is a JoinGroup without a member id.
func (t *turn) joinNew(g *group, j joining) {
	if !g.supports(j.req.ProtocolType, j.protocols) {
		t.reply(waiterOf(j.Request), joinError("", kerr.InconsistentGroupProtocol))
		return
	}
	if j.req.InstanceID != nil {
		id := *j.req.InstanceID + "-" + t.s.newUUID()
		if old, ok := g.static[*j.req.InstanceID]; ok {
			t.replaceStatic(g, j, old, id)
		} else {
			t.addMember(g, j, id)
		}
		return
	}
	id := j.ClientID + "-" + t.s.newUUID()
	if j.Version < joinRequiresMemberID {
		t.addMember(g, j, id)
		return
	}
	g.pendingJoin[id] = struct{}{}
	t.arm(g.session(id), time.Duration(j.req.SessionTimeoutMillis)*time.Millisecond)
	t.reply(waiterOf(j.Request), joinError(id, kerr.MemberIDRequired))
}

// joinKnown is a JoinGroup with a member id.
func (t *turn) joinKnown(g *group, j joining) {
	if !g.supports(j.req.ProtocolType, j.protocols) {
		t.reply(waiterOf(j.Request), joinError(j.req.MemberID, kerr.InconsistentGroupProtocol))
		return
	}
	if _, ok := g.pendingJoin[j.req.MemberID]; ok && j.req.InstanceID == nil {
		t.addMember(g, j, strings.Clone(j.req.MemberID))
		return
	}
	if err := g.check(j.req.MemberID, j.req.InstanceID); err != nil {
		t.reply(waiterOf(j.Request), joinError(j.req.MemberID, err))
		return
	}
	m := g.byID[j.req.MemberID]
	// A member that joins with what it joined with before has missed the answer, or follows a leader who has not asked
	// for a rebalance. The leader of a stable group asks for one by joining.
	unchanged := m.matches(j.protocols)
	switch {
	case g.state == preparing,
		g.state == completing && !unchanged,
		g.state == stable && (g.isLeader(m.id) || !unchanged):
		t.update(g, m, j)
		t.rebalance(g)
	case g.state == empty:
		t.reply(waiterOf(j.Request), joinError(j.req.MemberID, kerr.UnknownMemberID))
	case g.state == completing:
		t.reply(waiterOf(j.Request), g.joined(m, j.Version))
	default:
		t.reply(waiterOf(j.Request), g.joinedAsFollower(m, j.Version))
	}
}

// addMember takes j into the group as a member with this id, and parks it.
func (t *turn) addMember(g *group, j joining, id string) {
	m := &member{
		id:           id,
		instance:     copyInstance(j.req.InstanceID),
		clientID:     strings.Clone(j.ClientID),
		clientHost:   strings.Clone(j.ClientHost),
		protocolType: strings.Clone(j.req.ProtocolType),
		isNew:        true,
	}
	m.protocols = j.protocols
	m.rebalanceTimeout, m.sessionTimeout = j.timeouts()
	m.join = waiterOf(j.Request)
	if g.state == preparing && g.previous == empty {
		g.newMember = true
	}
	g.add(m)
	t.arm(g.session(id), newMemberJoinTimeout)
	t.rebalance(g)
}

// update gives m what it joins with now, and parks the join. A join of it that is still parked was given up by its client.
func (t *turn) update(g *group, m *member, j joining) {
	t.reply(m.join, joinError(m.id, kerr.RebalanceInProgress))
	if !m.join.waits() {
		g.awaiting++
	}
	g.count(m, -1)
	m.protocols = j.protocols
	g.count(m, 1)
	m.rebalanceTimeout, m.sessionTimeout = j.timeouts()
	m.join = waiterOf(j.Request)
}

func (j joining) timeouts() (rebalance, session time.Duration) {
	session = time.Duration(j.req.SessionTimeoutMillis) * time.Millisecond
	if j.Version < 1 {
		return session, session
	}
	return time.Duration(j.req.RebalanceTimeoutMillis) * time.Millisecond, session
}

// answerJoin answers the parked join of m, if there is one.
func (t *turn) answerJoin(g *group, m *member, resp *kmsg.JoinGroupResponse) {
	if m.join.waits() {
		t.reply(m.join, resp)
		m.join = waiter{}
		g.awaiting--
	}
}

// joined is the answer that tells m the group's generation; the leader gets all members.
func (g *group) joined(m *member, version int16) *kmsg.JoinGroupResponse {
	resp := g.joinedAsFollower(m, version)
	if g.isLeader(m.id) {
		resp.Members = g.joinedMembers()
	}
	return resp
}

func (g *group) joinedMembers() []kmsg.JoinGroupResponseMember {
	all := make([]kmsg.JoinGroupResponseMember, len(g.members))
	for i, m := range g.members {
		all[i] = kmsg.JoinGroupResponseMember{MemberID: m.id, InstanceID: m.instance, ProtocolMetadata: m.metadata(g.protocol)}
	}
	return all
}

func (g *group) joinedAsFollower(m *member, version int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation = g.generation
	resp.ProtocolType = nullable(g.protocolType)
	resp.Protocol = nullable(g.protocol)
	if version < 7 {
		resp.Protocol = kmsg.StringPtr(g.protocol)
	}
	resp.LeaderID = g.leader
	resp.MemberID = m.id
	return resp
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// creation is the write of a group that did not exist.
type creation struct{ g *group }

// saveNew writes an empty group for one that this turn created, so that it outlives a move of the coordinator.
func (t *turn) saveNew(g *group) {
	if !g.unsaved {
		return
	}
	g.unsaved = false
	if len(t.out.Records) > len(t.way) {
		return
	}
	t.record(groupKey(g.id), emptyGroupValue(g.stateSince))
	t.watch(creation{g})
	for i := range t.out.Replies {
		t.out.Replies[i].AfterCommit = true
	}
}

func (creation) committed(*turn) {}

// failed forgets the group, unless its record is in the log and only late.
func (w creation) failed(t *turn, err error) {
	if _, saved := t.s.saved.Get(w.g.id); saved || t.s.live[w.g.id] != w.g {
		return
	}
	for _, m := range w.g.members {
		t.answerJoin(w.g, m, joinError(m.id, err))
	}
	t.drop(w.g)
}

const uuidLen = 36

// newUUID is the random part of a member id: a UUID of version 4.
func (s *Shard) newUUID() string {
	hi, lo := s.cfg.Rand.Uint64(), s.cfg.Rand.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

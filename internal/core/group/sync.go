package group

import (
	"bytes"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// SyncGroup, versions 0 to 5. v3 brings static members; v5 must name the protocol, and it must be the group's.

const syncNamesProtocol = 5

func (t *turn) syncGroup(r machine.Request, req *kmsg.SyncGroupRequest) {
	if c, ok := t.s.consumers.Get(req.Group); ok && (r.Version < syncNamesProtocol || req.ProtocolType != nil && req.Protocol != nil) {
		t.syncConsumers(c, r, req)
		return
	}
	g, err := t.s.checkSync(r, req)
	if err != nil {
		t.fail(r, err)
		return
	}
	m := g.byID[req.MemberID]
	switch g.state {
	case preparing:
		t.fail(r, kerr.RebalanceInProgress)
	case completing:
		t.answerSync(m, syncError(kerr.RebalanceInProgress)) // an earlier one, given up by the client
		m.sync = waiterOf(r)
		delete(g.pendingSync, m.id)
		if g.isLeader(m.id) {
			t.writeAssignment(g, req.GroupAssignment)
		}
	case stable:
		delete(g.pendingSync, m.id)
		t.reply(waiterOf(r), g.synced(m))
	}
}

func (s *Shard) checkSync(r machine.Request, req *kmsg.SyncGroupRequest) (*group, error) {
	if r.Version >= syncNamesProtocol && (req.ProtocolType == nil || req.Protocol == nil) {
		return nil, kerr.InconsistentGroupProtocol
	}
	if err := checkGroupID(req.Group, false); err != nil {
		return nil, err
	}
	g := s.group(req.Group)
	if g == nil || g.state == empty {
		return nil, kerr.UnknownMemberID
	}
	if err := g.check(req.MemberID, req.InstanceID); err != nil {
		return nil, err
	}
	if req.Generation != g.generation {
		return nil, kerr.IllegalGeneration
	}
	if differs(req.ProtocolType, g.protocolType) || differs(req.Protocol, g.protocol) {
		return nil, kerr.InconsistentGroupProtocol
	}
	return g, nil
}

// differs compares a name, which clients before v5 do not send, with the group's.
func differs(sent *string, have string) bool { return sent != nil && have != "" && *sent != have }

// assignment is the write of what the leader assigned. Until it is committed the group completes its rebalance; the
// members then get their parts.
type assignment struct {
	g          *group
	generation int32
	parts      map[string][]byte // by member; who is not in it gets nothing
}

func (t *turn) writeAssignment(g *group, from []kmsg.SyncGroupRequestGroupAssignment) {
	w := assignment{g: g, generation: g.generation, parts: make(map[string][]byte, len(from))}
	for _, a := range from {
		w.parts[strings.Clone(a.MemberID)] = bytes.Clone(a.MemberAssignment)
	}
	t.record(groupKey(g.id), g.value(w.parts))
	t.watch(w)
}

// current tells that the group still waits for this write: no rebalance began meanwhile.
func (w assignment) current(t *turn) bool {
	return t.s.live[w.g.id] == w.g && w.g.state == completing && w.g.generation == w.generation
}

func (w assignment) committed(t *turn) {
	if !w.current(t) {
		return
	}
	w.g.become(stable, t.millis())
	for _, m := range w.g.members {
		m.assignment = w.parts[m.id]
		t.answerSyncAlive(w.g, m, w.g.synced(m))
	}
}

func (w assignment) failed(t *turn, err error) {
	if !w.current(t) {
		return
	}
	for _, m := range w.g.members {
		m.assignment = nil
		t.answerSyncAlive(w.g, m, syncError(err))
	}
	t.rebalance(w.g)
}

func (g *group) synced(m *member) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType = nullable(g.protocolType)
	resp.Protocol = nullable(g.protocol)
	resp.MemberAssignment = m.assignment
	return resp
}

// answerSync answers the parked sync of m, if there is one, and tells whether there was.
func (t *turn) answerSync(m *member, resp *kmsg.SyncGroupResponse) bool {
	waited := m.sync.waits()
	t.reply(m.sync, resp)
	m.sync = waiter{}
	return waited
}

// answerSyncAlive also begins the member's session anew: while it waited it was excused from heartbeats.
func (t *turn) answerSyncAlive(g *group, m *member, resp *kmsg.SyncGroupResponse) {
	if t.answerSync(m, resp) {
		t.arm(g.session(m.id), m.sessionTimeout)
	}
}

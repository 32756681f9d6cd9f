package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// LeaveGroup, versions 0 to 5. From v3 several members leave at once, static ones by their instance id alone; before,
// the one member's error is the answer's own. v5 brings a reason, which is only for logs.

const leaveInBatches = 3

func (t *turn) leaveGroup(r machine.Request, req *kmsg.LeaveGroupRequest) {
	if err := checkGroupID(req.Group, false); err != nil {
		t.fail(r, err)
		return
	}
	members := req.Members
	if r.Version < leaveInBatches {
		members = []kmsg.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	resp := kmsg.NewPtrLeaveGroupResponse()
	for i, err := range t.leaveAll(req.Group, members) {
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{
			MemberID: members[i].MemberID, InstanceID: members[i].InstanceID, ErrorCode: code(err),
		})
	}
	if r.Version < leaveInBatches {
		resp.ErrorCode = resp.Members[0].ErrorCode
		resp.Members = nil
	}
	t.answer(waiterOf(r), resp, len(t.out.Records) > 0)
}

// leaveAll takes members out of the group, of either protocol, and says for each whether it was one.
func (t *turn) leaveAll(id string, members []kmsg.LeaveGroupRequestMember) []error {
	if c, ok := t.s.consumers.Get(id); ok {
		w := t.work(id)
		errs := w.Leave(c, members)
		t.take(id, w)
		return errs
	}
	errs := slices.Repeat([]error{kerr.UnknownMemberID}, len(members))
	g := t.s.group(id)
	if g == nil {
		return errs
	}
	left := false
	for i, m := range members {
		errs[i] = t.leave(g, m)
		left = left || errs[i] == nil
	}
	switch {
	case !left:
	case g.state == stable || g.state == completing:
		t.rebalance(g)
	case g.state == preparing:
		t.completeJoinIfAll(g)
	}
	return errs
}

// leave takes one member out without a thought for the group. Administrators name static members by instance alone.
func (t *turn) leave(g *group, who kmsg.LeaveGroupRequestMember) error {
	id := who.MemberID
	if id == "" {
		var ok bool
		if who.InstanceID == nil {
			return kerr.UnknownMemberID
		}
		if id, ok = g.static[*who.InstanceID]; !ok {
			return kerr.UnknownMemberID
		}
	} else if _, pending := g.pendingJoin[id]; pending {
		delete(g.pendingJoin, id)
		t.disarm(g.session(id))
		return nil
	} else if err := g.check(id, who.InstanceID); err != nil {
		return err
	}
	t.removeMember(g, g.byID[id])
	return nil
}

package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// Heartbeat, versions 0 to 4. v3 brings static members.

func heartbeatResponse(err error) *kmsg.HeartbeatResponse {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = code(err)
	return resp
}

func (t *turn) heartbeat(r machine.Request, req *kmsg.HeartbeatRequest) {
	t.reply(waiterOf(r), heartbeatResponse(t.beat(req)))
}

func (t *turn) beat(req *kmsg.HeartbeatRequest) error {
	if err := checkGroupID(req.Group, false); err != nil {
		return err
	}
	if c, ok := t.s.consumers.Get(req.Group); ok {
		return t.beatConsumers(c, req)
	}
	g := t.s.group(req.Group)
	if g == nil {
		return kerr.UnknownMemberID
	}
	if err := g.check(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	m := g.byID[req.MemberID]
	t.arm(g.session(m.id), m.sessionTimeout)
	if g.state == preparing {
		return kerr.RebalanceInProgress
	}
	return nil
}

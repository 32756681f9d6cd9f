package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/machine"
)

// Share groups are core/group/share's; here they are found, made and deleted. What their partitions remember is with the
// share coordinator: it begins there by an InitializeShares and ends by a DeleteShares. No group of another kind makes way
// for a share group, nor the other way round.

// InitializeShares is a task: have the share coordinator begin the state of partitions, and tell by SharesInitialized.
type InitializeShares struct {
	Group string
	share.Initialize
}

// SharesInitialized is an event: what came of an InitializeShares. Where Done has any, those that failed are asked for again
// after a while, else by the next heartbeat.
type SharesInitialized struct {
	Group        string
	Done, Failed []share.Partitions
}

// DeleteShares is a task: have the share coordinator delete the state of partitions, and tell by SharesDeleted.
type DeleteShares struct {
	ID     uint64 // of the task, for SharesDeleted
	Groups []SharesOf
}

// SharesOf is partitions of a share group.
type SharesOf struct {
	Group  string
	Topics []share.Partitions
}

// SharesDeleted is an event: what came of the DeleteShares with that ID.
type SharesDeleted struct {
	ID     uint64
	Failed map[string]error // by group
}

// applyShare takes in a record of a share group. The first of them makes the group, the end of its epoch ends it.
func (s *Shard) applyShare(off kafka.Offset, kind int16, key *kbin.Reader, value []byte) error {
	id, member, err := share.ReadKey(kind, key)
	if err != nil {
		return err
	}
	g, ok := s.shares.Get(id)
	switch {
	case !ok && value == nil:
		return nil
	case !ok:
		g = share.NewGroup(strings.Clone(id), s.history)
		s.shares.Set(off, g.ID, g)
	}
	if err := g.Apply(off, kind, member, value); err != nil {
		return err
	}
	if kind == share.EpochKind && value == nil {
		s.shares.Delete(off, id)
	}
	return nil
}

// workShare makes a turn for a share group.
func (t *turn) workShare(id string) *share.Turn {
	return &share.Turn{Now: t.now, Topics: t.s.cfg.Topics(), Config: t.s.cfg.Share(id)}
}

// takeShare makes what a share group's turn asks for this turn's own.
func (t *turn) takeShare(id string, out share.Out) {
	t.out.Records = append(t.out.Records, out.Records...)
	for _, timer := range out.Timers {
		at := machine.TimerID{Kind: ShareSessionTimer, Of: id, Member: timer.Member}
		if timer.Stop {
			t.disarm(at)
		} else {
			t.arm(at, timer.After)
		}
	}
	if len(out.Records) > 0 {
		t.watch(shareChange{id, out.Initialize})
	}
}

// shareChange is the write of a share group's records.
type shareChange struct {
	group      string
	initialize *share.Initialize // nil when there is nothing to begin
}

func (c shareChange) committed(t *turn) {
	if c.initialize != nil {
		t.out.Tasks = append(t.out.Tasks, InitializeShares{Group: c.group, Initialize: *c.initialize})
	}
}

// failed starts the timers of members that are back, or still there: those that ended with the records did so at once.
func (c shareChange) failed(t *turn, _ error) { t.startShareTimers(c.group) }

func (t *turn) sharesLoaded() {
	for _, id := range slices.Sorted(keys(t.s.shares.All())) {
		t.startShareTimers(id)
	}
}

func (t *turn) startShareTimers(id string) {
	if g, ok := t.s.shares.Get(id); ok {
		w := t.workShare(id)
		w.Loaded(g)
		t.takeShare(id, w.Out)
	}
}

func (t *turn) shareExpired(id, member string) {
	if g, ok := t.s.shares.Get(id); ok {
		w := t.workShare(id)
		w.Expired(g, member)
		t.takeShare(id, w.Out)
	}
}

// sharesInitialized takes in which partitions can be assigned, and which are to be asked for again.
func (t *turn) sharesInitialized(ev SharesInitialized) {
	g, ok := t.s.shares.Get(ev.Group)
	if !ok {
		return
	}
	w := t.workShare(ev.Group)
	if len(ev.Done) > 0 {
		w.Initialized(g, ev.Done)
	} else if len(ev.Failed) > 0 {
		w.NotInitialized(g, ev.Failed)
	}
	t.takeShare(g.ID, w.Out)
}

// sharesOfTopicsDeleted forgets the state of partitions that are gone; the share coordinator sees for itself that they are.
func (t *turn) sharesOfTopicsDeleted(topics []DeletedTopic) {
	var ids []kafka.TopicID
	for _, topic := range topics {
		ids = append(ids, topic.ID)
	}
	for _, id := range slices.Sorted(keys(t.s.shares.All())) {
		g, _ := t.s.shares.Get(id)
		w := t.workShare(id)
		w.TopicsDeleted(g, ids)
		t.out.Records = append(t.out.Records, w.Out.Records...)
	}
}

// ShareGroupHeartbeat, version 1.

func shareError(err error) *kmsg.ShareGroupHeartbeatResponse {
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = code(err), message(err)
	return resp
}

func (t *turn) shareHeartbeat(r machine.Request, req *kmsg.ShareGroupHeartbeatRequest) {
	resp, err := t.beatShare(r, req)
	if err != nil {
		t.reply(waiterOf(r), shareError(err))
		return
	}
	t.replyAfterCommit(waiterOf(r), resp)
}

func (t *turn) beatShare(r machine.Request, req *kmsg.ShareGroupHeartbeatRequest) (*kmsg.ShareGroupHeartbeatResponse, error) {
	if err := share.Check(req); err != nil {
		return nil, err
	}
	g, ok := t.s.shares.Get(req.GroupID)
	switch {
	case ok:
	case t.s.group(req.GroupID) != nil || t.s.exists(req.GroupID):
		return nil, notOfKind(req.GroupID, "share")
	case req.MemberEpoch != 0:
		return nil, &share.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Share group %s not found.", req.GroupID)}
	default:
		g = share.NewGroup(strings.Clone(req.GroupID), t.s.history)
	}
	w := t.workShare(g.ID)
	resp, err := w.Heartbeat(g, share.Client{ID: r.ClientID, Host: r.ClientHost}, req)
	if err != nil {
		return nil, err
	}
	t.takeShare(g.ID, w.Out)
	return resp, nil
}

// notOfKind is for a request that came to a group of another kind.
func notOfKind(id, kind string) error {
	return &share.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Group %s is not a %s group.", id, kind)}
}

// ShareGroupDescribe, version 1.

func shareDescribeError(req *kmsg.ShareGroupDescribeRequest, err error) *kmsg.ShareGroupDescribeResponse {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	for _, id := range req.GroupIDs {
		g := kmsg.NewShareGroupDescribeResponseGroup()
		g.GroupID, g.ErrorCode, g.ErrorMessage = id, code(err), message(err)
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (t *turn) shareDescribe(r machine.Request, req *kmsg.ShareGroupDescribeRequest) {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	for _, id := range req.GroupIDs {
		if g, ok := t.s.shares.Committed(id); ok {
			resp.Groups = append(resp.Groups, t.workShare(id).Describe(g))
			continue
		}
		d := kmsg.NewShareGroupDescribeResponseGroup()
		d.GroupID, d.ErrorCode = id, kerr.GroupIDNotFound.Code
		d.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s not found.", id))
		_, modern := t.s.consumers.Committed(id)
		_, ofStreams := t.s.streams.Committed(id)
		if modern || ofStreams || t.s.committedGroup(id) != nil {
			d.ErrorMessage = message(notOfKind(id, "share"))
		}
		resp.Groups = append(resp.Groups, d)
	}
	t.reply(waiterOf(r), resp)
}

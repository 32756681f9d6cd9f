package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// Groups of Kafka Streams' own protocol are core/group/streams'; here they are found, made and deleted, and what their turns
// ask for becomes the Shard's output. An empty group of another protocol makes way for one only if it is classic.

// CreateInternalTopics is a task: make topics that an application needs, and tell by InternalTopicsCreated.
type CreateInternalTopics struct {
	Group  string
	Topics []streams.InternalTopic
}

// InternalTopicsCreated is an event: what came of a CreateInternalTopics. Failed says why a topic was not made.
type InternalTopicsCreated struct {
	Group  string
	Topics []streams.InternalTopic
	Failed map[string]string
}

// applyStreams takes in a record of a streams group. The first of them makes the group, and ends the classic group without
// members that had its id.
func (s *Shard) applyStreams(off kafka.Offset, kind int16, key *kbin.Reader, value []byte) error {
	id, member, err := streams.ReadKey(kind, key)
	if err != nil {
		return err
	}
	g, ok := s.streams.Get(id)
	switch {
	case !ok && value == nil:
		return nil
	case !ok:
		g = streams.NewGroup(strings.Clone(id), s.history)
		s.streams.Set(off, g.ID, g)
		if _, ok := s.saved.Get(id); ok {
			s.saved.Delete(off, id)
		}
		delete(s.live, id)
	}
	if err := g.Apply(off, kind, member, value); err != nil {
		return err
	}
	if kind == streams.EpochKind && value == nil {
		s.streams.Delete(off, id)
		if offsets := s.offsets[id]; offsets != nil && offsets.Len() > 0 {
			s.saved.Set(off, strings.Clone(id), savedGroup{stateSince: -1})
		}
	}
	return nil
}

// stream makes a turn for a streams group.
func (t *turn) stream(id string) *streams.Turn {
	live := t.s.streaming[id]
	if live == nil {
		live = &streams.Live{}
	}
	return &streams.Turn{Now: t.now, Topics: t.s.cfg.Topics(), Config: t.s.cfg.Streams(id), Live: live}
}

// takeStream makes what a streams group's turn asks for this turn's own.
func (t *turn) takeStream(id string, w *streams.Turn) {
	if w.Live.Idle() {
		delete(t.s.streaming, id)
	} else {
		t.s.streaming[id] = w.Live
	}
	if len(w.Out.Records) > 0 {
		t.out.Records = append(t.out.Records, w.Out.Records...)
		t.watch(streamsChange{id})
	}
	for _, timer := range w.Out.Timers {
		at := machine.TimerID{Kind: StreamsSessionTimer, Of: id, Member: timer.Member}
		switch timer.Kind {
		case streams.Rebalance:
			at.Kind = StreamsRebalanceTimer
		case streams.Delay:
			at.Kind = StreamsDelayTimer
		}
		if timer.Stop {
			t.disarm(at)
		} else {
			t.arm(at, timer.After)
		}
	}
	if w.Out.Create != nil {
		t.out.Tasks = append(t.out.Tasks, CreateInternalTopics{Group: id, Topics: w.Out.Create})
	}
}

func (t *turn) streamsLoaded() {
	for _, id := range slices.Sorted(keys(t.s.streams.All())) {
		t.startStreamsTimers(id)
	}
}

func (t *turn) startStreamsTimers(id string) {
	if g, ok := t.s.streams.Get(id); ok {
		w := t.stream(id)
		w.StartTimers(g)
		t.takeStream(id, w)
	}
}

// streamsChange is the write of a streams group's records.
type streamsChange struct{ group string }

func (streamsChange) committed(*turn) {}

// failed starts the timers of members that are back, or still there: those that ended with the records did so at once.
func (c streamsChange) failed(t *turn, _ error) { t.startStreamsTimers(c.group) }

// streamsExpired is for a timer of a streams group. What keeps a group from its first target its members are told by their own
// heartbeats.
func (t *turn) streamsExpired(id machine.TimerID) {
	w, kind := t.stream(id.Of), streams.Session
	switch id.Kind {
	case StreamsRebalanceTimer:
		kind = streams.Rebalance
	case StreamsDelayTimer:
		kind = streams.Delay
		w.Live.Delaying = false
	}
	if g, ok := t.s.streams.Get(id.Of); ok {
		if err := w.Expired(g, kind, id.Member); err != nil {
			w.Out = streams.Out{}
		}
	}
	t.takeStream(id.Of, w)
}

func (t *turn) internalTopicsCreated(ev InternalTopicsCreated) {
	w := t.stream(ev.Group)
	w.Created(ev.Topics, ev.Failed)
	t.takeStream(ev.Group, w)
}

// StreamsGroupHeartbeat, version 0.

func streamsError(err error) *kmsg.StreamsGroupHeartbeatResponse {
	resp := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = code(err), message(err)
	return resp
}

func (t *turn) streamsHeartbeat(r machine.Request, req *kmsg.StreamsGroupHeartbeatRequest) {
	if err := streams.Check(req); err != nil {
		t.reply(waiterOf(r), streamsError(err))
		return
	}
	g, way, err := t.streamsGroup(req)
	if err != nil {
		t.reply(waiterOf(r), streamsError(err))
		return
	}
	w := t.stream(g.ID)
	resp, err := w.Heartbeat(g, streams.Client{ID: r.ClientID, Host: r.ClientHost}, req)
	if err != nil {
		t.reply(waiterOf(r), streamsError(err))
		return
	}
	way()
	t.takeStream(g.ID, w)
	t.replyAfterCommit(waiterOf(r), resp)
}

// streamsGroup finds the group of a heartbeat. Who joins makes it where there is none, or only a classic one without members,
// which way removes.
func (t *turn) streamsGroup(req *kmsg.StreamsGroupHeartbeatRequest) (g *streams.Group, way func(), _ error) {
	none := func() {}
	if g, ok := t.s.streams.Get(req.Group); ok {
		return g, none, nil
	}
	notFound := func(format string) error {
		return &streams.Refusal{Is: kerr.GroupIDNotFound, Text: fmt.Sprintf(format, req.Group)}
	}
	_, consumers := t.s.consumers.Get(req.Group)
	_, shares := t.s.shares.Get(req.Group)
	classic := t.s.group(req.Group)
	switch {
	case consumers || shares:
		return nil, nil, notOfKind(req.Group, "streams")
	case classic == nil && req.MemberEpoch > 0:
		return nil, nil, notFound("Streams group %s not found.")
	case classic == nil && req.MemberEpoch != 0:
		return nil, nil, notFound("Group %s not found.")
	case classic != nil && (req.MemberEpoch != 0 || classic.state != empty || len(classic.pendingJoin) > 0):
		return nil, nil, notOfKind(req.Group, "streams")
	}
	return streams.NewGroup(strings.Clone(req.Group), t.s.history), func() {
		if classic != nil {
			t.record(groupKey(req.Group), nil)
			t.drop(classic)
		}
	}, nil
}

// endStreams writes what takes a streams group out of the log, and ends what is under way for it.
func (t *turn) endStreams(g *streams.Group) []machine.Record {
	delete(t.s.streaming, g.ID)
	t.disarm(machine.TimerID{Kind: StreamsDelayTimer, Of: g.ID})
	gone := g.Tombstones()
	t.out.Records = append(t.out.Records, gone...)
	return gone
}

// deleteStreams removes a streams group without members, and all its offsets.
func (t *turn) deleteStreams(g *streams.Group) error {
	if g.Members() > 0 {
		return kerr.NonEmptyGroup
	}
	t.deleteOffsets(g.ID)
	t.endStreams(g)
	return nil
}

// sweepStreams removes offsets that are older than the retention and that no member reads on from, and groups that are left
// with neither members nor offsets.
func (t *turn) sweepStreams() {
	for _, id := range slices.Sorted(keys(t.s.streams.All())) {
		g, _ := t.s.streams.Get(id)
		if t.sweepOffsets(id, g.Subscribes) && g.Members() == 0 {
			t.endStreams(g)
		}
	}
}

// StreamsGroupDescribe, version 0.

func streamsDescribeError(req *kmsg.StreamsGroupDescribeRequest, err error) *kmsg.StreamsGroupDescribeResponse {
	resp := kmsg.NewPtrStreamsGroupDescribeResponse()
	for _, id := range req.Groups {
		g := kmsg.NewStreamsGroupDescribeResponseGroup()
		g.Group, g.ErrorCode, g.ErrorMessage = id, code(err), message(err)
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (t *turn) streamsDescribe(r machine.Request, req *kmsg.StreamsGroupDescribeRequest) {
	resp := kmsg.NewPtrStreamsGroupDescribeResponse()
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, t.describeStreams(id))
	}
	t.reply(waiterOf(r), resp)
}

func (t *turn) describeStreams(id string) kmsg.StreamsGroupDescribeResponseGroup {
	if g, ok := t.s.streams.Committed(id); ok {
		return t.stream(id).Describe(g)
	}
	d := kmsg.NewStreamsGroupDescribeResponseGroup()
	d.Group, d.ErrorCode = id, kerr.GroupIDNotFound.Code
	if err := checkGroupID(id, false); err != nil {
		d.ErrorCode = code(err)
		return d
	}
	d.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s not found.", id))
	_, consumers := t.s.consumers.Committed(id)
	_, shares := t.s.shares.Committed(id)
	if consumers || shares || t.s.committedGroup(id) != nil {
		d.ErrorMessage = message(notOfKind(id, "streams"))
	}
	return d
}

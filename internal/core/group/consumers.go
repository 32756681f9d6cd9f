package group

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// Groups of the new protocol are core/group/consumer's; here they are found, made and deleted, and what their turns ask for
// becomes the Shard's output. A group of one protocol makes way for the other when it has no members.

// ResolveRegexes is a task: find the topics whose names the regular expressions match, and tell by Resolved.
type ResolveRegexes struct {
	Group   string
	Regexes []string
}

// Resolved is an event: what a ResolveRegexes found.
type Resolved struct {
	Group string
	Found map[string]consumer.Regex
}

// noTopics is a cluster without topics.
type noTopics struct{}

func (noTopics) Partitions(kafka.TopicID) int32      { return 0 }
func (noTopics) Racks(kafka.TopicID, int32) []string { return nil }
func (noTopics) ID(string) (kafka.TopicID, bool)     { return kafka.TopicID{}, false }
func (noTopics) Name(kafka.TopicID) (string, bool)   { return "", false }
func (noTopics) Version() uint64                     { return 1 }
func (noTopics) Created() int64                      { return 0 }

// exists tells whether there is a group of that id in the log.
func (s *Shard) exists(id string) bool {
	_, classic := s.saved.Get(id)
	_, modern := s.consumers.Get(id)
	_, shares := s.shares.Get(id)
	_, streaming := s.streams.Get(id)
	return classic || modern || shares || streaming
}

// applyConsumer takes in a record of a group of the new protocol. The first of them makes the group, and ends the group
// without members that had its id.
func (s *Shard) applyConsumer(off kafka.Offset, kind int16, key *kbin.Reader, value []byte) error {
	id, name, err := consumer.ReadKey(kind, key)
	if err != nil {
		return err
	}
	g, ok := s.consumers.Get(id)
	switch {
	case !ok && value == nil:
		return nil
	case !ok:
		g = consumer.NewGroup(strings.Clone(id), s.history)
		s.consumers.Set(off, g.ID, g)
		if _, ok := s.saved.Get(id); ok {
			s.saved.Delete(off, id)
		}
		delete(s.live, id)
	}
	if err := g.Apply(off, kind, name, value); err != nil {
		return err
	}
	if kind == consumer.EpochKind && value == nil {
		s.consumers.Delete(off, id)
		if offsets := s.offsets[id]; offsets != nil && offsets.Len() > 0 {
			s.saved.Set(off, strings.Clone(id), savedGroup{stateSince: -1})
		}
	}
	return nil
}

// work makes a turn for a group of the new protocol.
func (t *turn) work(id string) *consumer.Turn {
	_, resolving := t.s.resolving[id]
	return &consumer.Turn{Now: t.now, Topics: t.s.cfg.Topics(), Config: t.s.cfg.Consumer(id), NewID: t.s.newUUID, Resolving: resolving}
}

// take makes what a group's turn asks for this turn's own.
func (t *turn) take(id string, w *consumer.Turn) {
	out := w.Out
	if len(out.Records) > 0 {
		t.out.Records = append(t.out.Records, out.Records...)
		t.watch(change{id})
	}
	for _, timer := range out.Timers {
		at := machine.TimerID{Kind: timerKinds[timer.Kind], Of: id, Member: timer.Member}
		if timer.Stop {
			t.disarm(at)
		} else {
			t.arm(at, timer.After)
		}
	}
	if out.Downgrade != nil {
		t.downgrade(id, w, out.Downgrade)
	}
	if out.Resolve != nil {
		t.s.resolving[id] = struct{}{}
		t.out.Tasks = append(t.out.Tasks, ResolveRegexes{Group: id, Regexes: out.Resolve})
	}
}

// timerKinds are the Shard's kinds for those of the groups of the new protocol.
var timerKinds = [...]machine.TimerKind{
	consumer.Session: ConsumerSessionTimer, consumer.Rebalance: RebalanceTimer, consumer.Join: ConsumerJoinTimer, consumer.Sync: ConsumerSyncTimer,
}

func (t *turn) consumersLoaded() {
	for _, id := range slices.Sorted(keys(t.s.consumers.All())) {
		t.startTimers(id)
	}
}

func (t *turn) startTimers(id string) {
	if g, ok := t.s.consumers.Get(id); ok {
		w := t.work(id)
		w.StartTimers(g)
		t.take(id, w)
	}
}

// change is the write of a group's records.
type change struct{ group string }

func (change) committed(*turn) {}

// failed starts the timers of members that are back, or still there: those that ended with the records did so at once.
func (c change) failed(t *turn, _ error) { t.revive(c.group) }

func keys[V any](all func(func(string, V) bool)) func(func(string) bool) {
	return maps.Keys(maps.Collect(all))
}

func (t *turn) consumerExpired(id machine.TimerID) {
	g, ok := t.s.consumers.Get(id.Of)
	if !ok {
		return
	}
	w := t.work(id.Of)
	w.Expired(g, consumer.TimerKind(slices.Index(timerKinds[:], id.Kind)), id.Member)
	t.take(id.Of, w)
}

func (t *turn) resolved(ev Resolved) {
	delete(t.s.resolving, ev.Group)
	if g, ok := t.s.consumers.Get(ev.Group); ok {
		w := t.work(ev.Group)
		w.Resolved(g, ev.Found)
		t.take(ev.Group, w)
	}
}

// ConsumerGroupHeartbeat, versions 0 and 1.

func consumerError(err error) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.ErrorCode, resp.ErrorMessage = code(err), message(err)
	return resp
}

// message is what a client is told in words.
func message(err error) *string {
	var refusal *consumer.Refusal
	var share *share.Refusal
	var inStreams *streams.Refusal
	var k *kerr.Error
	switch {
	case errors.As(err, &refusal):
		return &refusal.Message
	case errors.As(err, &share):
		return &share.Message
	case errors.As(err, &inStreams):
		return &inStreams.Text
	case errors.As(err, &k):
		return &k.Description
	}
	return nil
}

func (t *turn) consumerHeartbeat(r machine.Request, req *kmsg.ConsumerGroupHeartbeatRequest) {
	if err := consumer.Check(req, r.Version, t.s.cfg.Consumer(req.Group).Assignors); err != nil {
		t.reply(waiterOf(r), consumerError(err))
		return
	}
	w := t.work(req.Group)
	g, way, err := t.consumerGroup(req, w)
	if err != nil {
		t.reply(waiterOf(r), consumerError(err))
		return
	}
	resp, err := w.Heartbeat(g, consumer.Client{ID: r.ClientID, Host: r.ClientHost}, req)
	if err != nil {
		t.reply(waiterOf(r), consumerError(err))
		return
	}
	way()
	t.take(g.ID, w)
	t.replyAfterCommit(waiterOf(r), resp)
}

// consumerGroup finds the group of a heartbeat, which w is the turn of. Who joins makes it where there is none, or out of a classic
// one, which way removes.
func (t *turn) consumerGroup(req *kmsg.ConsumerGroupHeartbeatRequest, w *consumer.Turn) (g *consumer.Group, way func(), _ error) {
	if g, ok := t.s.consumers.Get(req.Group); ok {
		return g, func() {}, nil
	}
	if _, ok := t.s.shares.Get(req.Group); ok {
		return nil, nil, notOfKind(req.Group, "consumer")
	}
	classic := t.s.group(req.Group)
	_, streaming := t.s.streams.Get(req.Group)
	switch {
	case streaming:
		return nil, nil, notOfKind(req.Group, "consumer")
	case classic == nil && req.MemberEpoch > 0:
		return nil, nil, &consumer.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Consumer group %s not found.", req.Group)}
	case classic == nil && req.MemberEpoch != 0:
		return nil, nil, &consumer.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Group %s not found.", req.Group)}
	case classic != nil && req.MemberEpoch != 0:
		return nil, nil, &consumer.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Group %s is not a consumer group.", req.Group)}
	case classic != nil && classic.state != empty:
		return t.upgrade(classic, w)
	}
	return consumer.NewGroup(strings.Clone(req.Group), t.s.history), func() {
		if classic != nil {
			t.record(groupKey(req.Group), nil)
			t.drop(classic)
		}
	}, nil
}

// makeWay is for a JoinGroup: who is new gets a classic group in the place of one of another protocol without members.
func (t *turn) makeWay(id string, isNew bool) error {
	if _, ok := t.s.shares.Get(id); ok {
		return fmt.Errorf("group %q is a share group: %w", id, kerr.InconsistentGroupProtocol)
	}
	if g, ok := t.s.streams.Get(id); ok {
		if g.Members() > 0 {
			return fmt.Errorf("group %q is of Kafka Streams: %w", id, kerr.InconsistentGroupProtocol)
		}
		if isNew {
			t.way = t.endStreams(g)
		}
		return nil
	}
	g, ok := t.s.consumers.Get(id)
	if ok && isNew {
		t.way = g.Tombstones()
		t.out.Records = append(t.out.Records, t.way...)
	}
	return nil
}

// deleteConsumers removes a group of the new protocol without members, and all its offsets.
func (t *turn) deleteConsumers(g *consumer.Group) error {
	if g.Members() > 0 {
		return kerr.NonEmptyGroup
	}
	t.deleteOffsets(g.ID)
	t.out.Records = append(t.out.Records, g.Tombstones()...)
	return nil
}

// sweepConsumers removes offsets that are older than the retention and have no subscribers, and groups that are left with
// neither members nor offsets.
func (t *turn) sweepConsumers() {
	for _, id := range slices.Sorted(keys(t.s.consumers.All())) {
		g, _ := t.s.consumers.Get(id)
		if t.sweepOffsets(id, g.Subscribes) && g.Members() == 0 {
			t.out.Records = append(t.out.Records, g.Tombstones()...)
		}
	}
}

// sweepOffsets removes a group's offsets that are older than the retention and have no subscribers, and tells whether none is
// left.
func (t *turn) sweepOffsets(id string, subscribes func(topic string) bool) bool {
	open := t.s.openOf(id)
	none := len(open) == 0
	for _, tp := range t.s.partitions(id) {
		o, _ := t.s.offsets[id].Get(tp)
		_, pending := open[tp]
		if t.old(o, o.CommitTimestamp) && !subscribes(tp.Topic) && !pending {
			t.record(offsetKey(id, tp.Topic, tp.Partition), nil)
		} else {
			none = false
		}
	}
	return none
}

// ConsumerGroupDescribe, versions 0 and 1.

func consumerDescribeError(req *kmsg.ConsumerGroupDescribeRequest, err error) *kmsg.ConsumerGroupDescribeResponse {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, id := range req.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.ErrorCode, g.ErrorMessage = id, code(err), message(err)
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (t *turn) consumerDescribe(r machine.Request, req *kmsg.ConsumerGroupDescribeRequest) {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, id := range req.Groups {
		if g, ok := t.s.consumers.Committed(id); ok {
			resp.Groups = append(resp.Groups, t.work(id).Describe(g))
			continue
		}
		d := kmsg.NewConsumerGroupDescribeResponseGroup()
		d.Group, d.ErrorCode = id, kerr.GroupIDNotFound.Code
		if err := checkGroupID(id, false); err != nil {
			d.ErrorCode = code(err)
			resp.Groups = append(resp.Groups, d)
			continue
		}
		d.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s not found.", id))
		_, isShare := t.s.shares.Committed(id)
		_, isStreams := t.s.streams.Committed(id)
		if isShare || isStreams || t.s.committedGroup(id) != nil {
			d.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("Group %s is not a consumer group.", id))
		}
		resp.Groups = append(resp.Groups, d)
	}
	t.reply(waiterOf(r), resp)
}

package group

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// world runs one Shard as node/coord does, on virtual time and a log in memory. Records are committed at once unless
// held.
type world struct {
	cfg     Config
	s       *Shard
	now     time.Time
	log     []logged
	hw      kafka.Offset
	timers  map[machine.TimerID]time.Time
	tickets uint64
	hold    bool
	waiting []waitingStep
	tasks   []machine.Task
	out     strings.Builder
	uuids   map[string]string // as printed → as they are
	topics  *testTopics
	refuses bool // the share coordinator
	onReply func(ticket uint64, resp kmsg.Response)
}

// logged is a record, or a marker, in the log.
type logged struct {
	machine.Record
	of       *machine.Producer // nil where it is in no transaction
	end, yes bool              // a marker, of a commit
}

func (l logged) apply(s *Shard, off kafka.Offset, now time.Time) {
	var err error
	switch {
	case l.end:
		s.EndTransaction(off, l.of.ID, l.yes)
	case l.of != nil:
		err = s.ApplyTransactional(off, l.of.ID, l.Key, l.Value)
	default:
		err = s.Apply(off, l.Key, l.Value, now.UnixMilli())
	}
	if err != nil {
		panic(err)
	}
}

// mark ends a transaction, as node/coord does with a marker that is in the log.
func (w *world) mark(producer int, commit bool) {
	l := logged{of: &machine.Producer{ID: kafka.ProducerID(producer)}, end: true, yes: commit}
	l.apply(w.s, kafka.Offset(len(w.log)), w.now)
	w.log = append(w.log, l)
	if !w.hold {
		w.commit()
	}
}

type waitingStep struct {
	base, next kafka.Offset
	out        machine.Output
}

func newWorld(seed uint64) *world {
	cfg, topics := DefaultConfig(rand.New(rand.NewPCG(seed, 7))), newTestTopics()
	cfg.Topics = func() consumer.Topics { return topics }
	w := &world{topics: topics, cfg: cfg, s: New(cfg), now: time.UnixMilli(1_000_000), timers: map[machine.TimerID]time.Time{}, uuids: map[string]string{}}
	w.onReply = func(ticket uint64, resp kmsg.Response) { w.printf("#%d %s", ticket, w.show(asSent(resp))) }
	return w
}

func (w *world) printf(format string, args ...any) {
	fmt.Fprintf(&w.out, format+"\n", args...)
}

// request steps on req and returns its ticket.
func (w *world) request(client string, req kmsg.Request) uint64 {
	w.tickets++
	w.step(machine.Request{Ticket: w.tickets, ClientID: client, ClientHost: "/host", Version: req.GetVersion(), Req: req})
	return w.tickets
}

func (w *world) step(ev machine.Event) {
	out := w.s.Step(w.now, ev)
	st := waitingStep{base: kafka.Offset(len(w.log)), out: machine.Output{Write: out.Write}}
	for _, rec := range out.Records {
		l, of := logged{Record: rec, of: out.Producer}, ""
		if l.apply(w.s, kafka.Offset(len(w.log)), w.now); out.Producer != nil {
			of = fmt.Sprintf(" of %d/%d", out.Producer.ID, out.Producer.Epoch)
		}
		w.log = append(w.log, l)
		w.printf("write %s%s", w.showRecord(rec), of)
	}
	for _, timer := range out.Timers {
		if timer.At.IsZero() {
			delete(w.timers, timer.ID)
		} else {
			w.timers[timer.ID] = timer.At
		}
	}
	for _, r := range out.Replies {
		if r.AfterCommit {
			st.out.Replies = append(st.out.Replies, r)
		} else {
			w.onReply(r.Ticket, r.Response)
		}
	}
	w.tasks = append(w.tasks, out.Tasks...)
	st.next = kafka.Offset(len(w.log))
	w.waiting = append(w.waiting, st)
	if !w.hold {
		w.commit()
	}
	w.work()
}

// work does the tasks that were begun.
func (w *world) work() {
	for len(w.tasks) > 0 {
		task := w.tasks[0]
		w.tasks = w.tasks[1:]
		switch task := task.(type) {
		case ResolveRegexes:
			w.step(Resolved{Group: task.Group, Found: consumer.Resolve(task.Regexes, w.topics.names(), w.topics.Created(), w.now.UnixMilli())})
		case InitializeShares:
			w.initializeShares(task)
		case DeleteShares:
			w.deleteShares(task)
		case CreateInternalTopics:
			w.step(InternalTopicsCreated{Group: task.Group, Topics: task.Topics, Failed: w.topics.create(task.Topics)})
		}
	}
}

// commit commits everything written so far.
func (w *world) commit() {
	w.hw = kafka.Offset(len(w.log))
	w.s.Commit(w.hw)
	for len(w.waiting) > 0 {
		st := w.waiting[0]
		w.waiting = w.waiting[1:]
		for _, r := range st.out.Replies {
			w.onReply(r.Ticket, r.Response)
		}
		if st.out.Write != 0 {
			w.step(machine.Committed{Write: st.out.Write})
		}
	}
}

// fail takes back everything that is not committed.
func (w *world) fail(err error) {
	w.log = w.log[:w.hw]
	w.s.Revert(w.hw)
	failed := w.waiting
	w.waiting = nil
	for _, st := range failed {
		for _, r := range st.out.Replies {
			w.printf("#%d refused: %v", r.Ticket, err)
		}
		if st.out.Write != 0 {
			w.step(machine.Failed{Write: st.out.Write, Err: err})
		}
	}
}

// kindNames are those of timers in scripts.
var kindNames = [...]string{SessionTimer: "session", JoinTimer: "join", SyncTimer: "sync", ExpiryTimer: "expiry", ConsumerSessionTimer: "consumer session", RebalanceTimer: "rebalance", ShareSessionTimer: "share session",
	StreamsSessionTimer: "streams session", StreamsRebalanceTimer: "streams rebalance", StreamsDelayTimer: "streams delay",
	ConsumerJoinTimer: "consumer join", ConsumerSyncTimer: "consumer sync"}

func nameOf(id machine.TimerID) string {
	return fmt.Sprint(kindNames[id.Kind], " ", id.Of, " ", id.Member)
}

// advance lets time pass, firing timers on the way in order.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		var first machine.TimerID
		at := end.Add(1)
		for id, t := range w.timers {
			if t.Before(at) || t.Equal(at) && nameOf(id) < nameOf(first) {
				first, at = id, t
			}
		}
		if at.After(end) {
			break
		}
		w.now = at
		delete(w.timers, first)
		if first.Kind != ExpiryTimer {
			w.printf("[%s] %s timer of %s %s", at.Sub(time.UnixMilli(1_000_000)), kindNames[first.Kind], first.Of, w.short(first.Member))
		}
		w.step(machine.TimerFired{ID: first})
	}
	w.now = end
}

// replay makes a Shard from the log alone.
func (w *world) replay() *Shard {
	s := New(w.cfg)
	for i, l := range w.log {
		l.apply(s, kafka.Offset(i), time.UnixMilli(0))
	}
	s.Commit(kafka.Offset(len(w.log)))
	return s
}

// dump describes everything a Shard answers about its groups.
func (w *world) dump(s *Shard) string {
	var b strings.Builder
	for _, id := range s.sortedGroups() {
		d := s.describe(id, 6)
		fmt.Fprintf(&b, "%s %s\n", id, w.showDescribed(d))
		for _, topic := range s.fetch(fetching{group: id}) {
			fmt.Fprintf(&b, "  %s\n", showTopic(topic))
		}
	}
	return b.String()
}

// reload goes on with a Shard made from the log, as after a move of the coordinator.
func (w *world) reload() {
	w.s = w.replay()
	w.timers = map[machine.TimerID]time.Time{}
	w.waiting = nil
	w.step(machine.Loaded{})
}

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// short prints each UUID as ~n.
func (w *world) short(s string) string {
	return uuidPattern.ReplaceAllStringFunc(s, func(id string) string {
		for name, known := range w.uuids {
			if known == id {
				return name
			}
		}
		name := fmt.Sprintf("~%d", len(w.uuids)+1)
		w.uuids[name] = id
		return name
	})
}

var shortPattern = regexp.MustCompile(`~\d+`)

// long is the opposite of short.
func (w *world) long(s string) string {
	return shortPattern.ReplaceAllStringFunc(s, func(name string) string { return w.uuids[name] })
}

// asSent is resp as a client reads it: without what its version has no field for.
func asSent(resp kmsg.Response) kmsg.Response {
	read := resp.RequestKind().ResponseKind()
	read.SetVersion(resp.GetVersion())
	if err := read.ReadFrom(resp.AppendTo(nil)); err != nil {
		panic(err)
	}
	return read
}

func errName(code int16) string {
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return "ok"
}

func (w *world) show(resp kmsg.Response) string {
	var b strings.Builder
	switch resp := resp.(type) {
	case *kmsg.JoinGroupResponse:
		fmt.Fprintf(&b, "join %s member=%q", errName(resp.ErrorCode), resp.MemberID)
		if resp.ErrorCode == 0 {
			fmt.Fprintf(&b, " gen=%d type=%s proto=%s leader=%s", resp.Generation, deref(resp.ProtocolType), deref(resp.Protocol), resp.LeaderID)
			if resp.SkipAssignment {
				b.WriteString(" skip")
			}
			for _, m := range resp.Members {
				fmt.Fprintf(&b, " [%s %s %s]", m.MemberID, deref(m.InstanceID), showSubscription(m.ProtocolMetadata))
			}
		}
	case *kmsg.SyncGroupResponse:
		fmt.Fprintf(&b, "sync %s", errName(resp.ErrorCode))
		if resp.ErrorCode == 0 {
			fmt.Fprintf(&b, " type=%s proto=%s assignment=%s", deref(resp.ProtocolType), deref(resp.Protocol), showEmbedded(resp.MemberAssignment))
		}
	case *kmsg.HeartbeatResponse:
		fmt.Fprintf(&b, "beat %s", errName(resp.ErrorCode))
	case *kmsg.ConsumerGroupHeartbeatResponse:
		b.WriteString("hb " + w.showConsumer(resp))
	case *kmsg.ConsumerGroupDescribeResponse:
		b.WriteString("consumers")
		for _, g := range resp.Groups {
			b.WriteString(" " + w.showConsumers(g))
		}
	case *kmsg.ShareGroupHeartbeatResponse:
		b.WriteString("shb " + w.showShare(resp))
	case *kmsg.ShareGroupDescribeResponse:
		b.WriteString("shares")
		for _, g := range resp.Groups {
			b.WriteString(" " + showShares(g))
		}
	case *kmsg.StreamsGroupHeartbeatResponse:
		b.WriteString("st " + showStreams(resp))
	case *kmsg.StreamsGroupDescribeResponse:
		b.WriteString("streams")
		for _, g := range resp.Groups {
			b.WriteString(" " + showStreamsGroup(g))
		}
	case *kmsg.LeaveGroupResponse:
		fmt.Fprintf(&b, "leave %s", errName(resp.ErrorCode))
		for _, m := range resp.Members {
			fmt.Fprintf(&b, " [%s %s %s]", m.MemberID, deref(m.InstanceID), errName(m.ErrorCode))
		}
	case *kmsg.OffsetCommitResponse:
		b.WriteString("commit")
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d:%s", t.Topic, p.Partition, errName(p.ErrorCode))
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		b.WriteString("txn")
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d:%s", t.Topic, p.Partition, errName(p.ErrorCode))
			}
		}
	case *kmsg.OffsetFetchResponse:
		b.WriteString("fetch " + showFetched(resp))
	case *kmsg.OffsetDeleteResponse:
		fmt.Fprintf(&b, "offsets deleted %s", errName(resp.ErrorCode))
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d:%s", t.Topic, p.Partition, errName(p.ErrorCode))
			}
		}
	case *kmsg.DescribeGroupsResponse:
		b.WriteString("describe")
		for _, g := range resp.Groups {
			b.WriteString(" " + w.showDescribed(g))
		}
	case *kmsg.ListGroupsResponse:
		fmt.Fprintf(&b, "list %s", errName(resp.ErrorCode))
		for _, g := range resp.Groups {
			fmt.Fprintf(&b, " [%s %s %s %s]", g.Group, g.ProtocolType, g.GroupState, g.GroupType)
		}
	case *kmsg.DeleteGroupsResponse:
		b.WriteString("groups deleted")
		for _, g := range resp.Groups {
			fmt.Fprintf(&b, " %s:%s", g.Group, errName(g.ErrorCode))
		}
	}
	return w.short(b.String())
}

func (w *world) showDescribed(g kmsg.DescribeGroupsResponseGroup) string {
	s := fmt.Sprintf("%s %s type=%s proto=%s", errName(g.ErrorCode), g.State, g.ProtocolType, g.Protocol)
	var members []string
	for _, m := range g.Members {
		members = append(members, fmt.Sprintf(" [%s %s %s%s %s %s]", m.MemberID, deref(m.InstanceID), m.ClientID, m.ClientHost,
			showSubscription(m.ProtocolMetadata), showEmbedded(m.MemberAssignment)))
	}
	slices.Sort(members)
	return w.short(s + strings.Join(members, ""))
}

// showEmbedded prints an assignment of the consumer protocol by its partitions, and any other as it is.
func showEmbedded(assignment []byte) string {
	var a kmsg.ConsumerMemberAssignment
	if len(assignment) < 6 || a.ReadFrom(assignment) != nil || !bytes.Equal(a.AppendTo(nil), assignment) {
		return fmt.Sprintf("%q", assignment)
	}
	var topics []string
	for _, t := range a.Topics {
		topics = append(topics, fmt.Sprint(t.Topic, ":", slices.Sorted(slices.Values(t.Partitions))))
	}
	return fmt.Sprintf("v%d{%s}", a.Version, strings.Join(topics, " "))
}

func showFetched(resp *kmsg.OffsetFetchResponse) string {
	if resp.Version < fetchHasGroups {
		parts := []string{errName(resp.ErrorCode)}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, fmt.Sprintf("%s-%d=%d/%d%q:%s", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, deref(p.Metadata), errName(p.ErrorCode)))
			}
		}
		slices.Sort(parts[1:])
		return strings.Join(parts, " ")
	}
	parts := []string{errName(resp.Groups[0].ErrorCode)}
	for _, t := range resp.Groups[0].Topics {
		parts = append(parts, showTopic(t))
	}
	slices.Sort(parts[1:])
	return strings.Join(parts, " ")
}

func showTopic(t kmsg.OffsetFetchResponseGroupTopic) string {
	var parts []string
	for _, p := range t.Partitions {
		parts = append(parts, fmt.Sprintf("%s-%d=%d/%d%q:%s", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, deref(p.Metadata), errName(p.ErrorCode)))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func showSubscription(metadata []byte) string {
	topics, err := subscribedTopics(metadata)
	if err != nil {
		return fmt.Sprintf("%q", metadata)
	}
	return strings.Join(topics, ",")
}

func (w *world) showRecord(rec machine.Record) string {
	r := kbin.Reader{Src: rec.Key}
	var b strings.Builder
	switch r.Int16() {
	case offsetKeyKind:
		fmt.Fprintf(&b, "offset %s %s-%d", r.String(), r.String(), r.Int32())
		if o, err := readOffset(rec.Value); rec.Value == nil {
			b.WriteString(" tombstone")
		} else if err != nil {
			b.WriteString(err.Error())
		} else {
			fmt.Fprintf(&b, " v%d %d/%d %q at %d", rec.Value[1], o.Offset, o.LeaderEpoch, o.Metadata, o.CommitTimestamp)
		}
	case groupKeyKind:
		fmt.Fprintf(&b, "group %s", r.String())
		if g, err := readGroup(rec.Value); rec.Value == nil {
			b.WriteString(" tombstone")
		} else if err != nil {
			b.WriteString(err.Error())
		} else {
			fmt.Fprintf(&b, " v%d type=%s gen=%d proto=%s leader=%s since=%d", rec.Value[1], g.protocolType, g.generation, g.protocol, g.leader, g.stateSince)
			for _, m := range g.members {
				fmt.Fprintf(&b, " [%s %s %s%s %s %s %s %s]", m.id, deref(m.instance), m.clientID, m.clientHost, m.rebalanceTimeout,
					m.sessionTimeout, showSubscription(m.subscription), showEmbedded(m.assignment))
			}
		}
	case share.EpochKind, share.MemberKind, share.TargetEpochKind, share.TargetKind, share.AssignmentKind, share.StateKind:
		kind := int16(rec.Key[1])
		group, member, _ := share.ReadKey(kind, &r)
		fmt.Fprintf(&b, "share %s %s", strings.TrimSpace(shareKinds[kind]+" "+group+" "+member), map[bool]string{true: "tombstone", false: fmt.Sprintf("%d bytes", len(rec.Value))}[rec.Value == nil])
	case consumer.EpochKind, consumer.MemberKind, consumer.TargetEpochKind, consumer.TargetKind, consumer.AssignmentKind, consumer.RegexKind:
		kind := int16(rec.Key[1])
		group, name, _ := consumer.ReadKey(kind, &r)
		fmt.Fprintf(&b, "%s %s", strings.TrimSpace(consumerKinds[kind]+" "+group+" "+name), map[bool]string{true: "tombstone", false: fmt.Sprintf("%d bytes", len(rec.Value))}[rec.Value == nil])
	case streams.EpochKind, streams.MemberKind, streams.TargetEpochKind, streams.TargetKind, streams.AssignmentKind, streams.TopologyKind:
		kind := int16(rec.Key[1])
		group, member, _ := streams.ReadKey(kind, &r)
		fmt.Fprintf(&b, "%s %s", strings.TrimSpace(streamsKinds[kind]+" "+group+" "+member), map[bool]string{true: "tombstone", false: fmt.Sprintf("%d bytes", len(rec.Value))}[rec.Value == nil])
	}
	return w.short(b.String())
}

// Package group is the coordinator of classic groups, of groups of the new consumer protocol (core/group/consumer), of share
// groups (core/group/share), of groups of Kafka Streams (core/group/streams), and of committed offsets, as a pure machine:
// one Shard holds the groups of one partition of __consumer_offsets. node/coord runs it on that partition's log, one event at a
// time; the package starts no goroutine, reads no clock and does no I/O. Nothing that Step is given is kept: what a
// group remembers of a request is copied.
package group

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/assign"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config bounds what members may ask for. DefaultConfig has Kafka's defaults; the zero value is not usable.
type Config struct {
	MinSessionTimeout, MaxSessionTimeout time.Duration // group.min.session.timeout.ms, group.max.session.timeout.ms
	InitialRebalanceDelay                time.Duration // group.initial.rebalance.delay.ms
	MaxSize                              int           // group.max.size, in members
	OffsetMetadataMax                    int           // offset.metadata.max.bytes; counted, as Kafka does, in UTF-16 units
	OffsetRetention                      time.Duration // offsets.retention.minutes
	RetentionCheckInterval               time.Duration // offsets.retention.check.interval.ms
	Rand                                 *rand.Rand    // where member ids come from; the Shard alone uses it
	// Consumer is what a group of the consumer protocol goes by at the time of the call.
	Consumer func(group string) consumer.Config
	// Share is what a share group goes by at the time of the call.
	Share func(group string) share.Config
	// Streams is what a group of Kafka Streams goes by at the time of the call.
	Streams func(group string) streams.Config
	// Topics are the topics of the cluster at the time of the call, for the groups that are assigned by the coordinator.
	Topics func() consumer.Topics
}

// DefaultConfig is Kafka's configuration.
func DefaultConfig(rnd *rand.Rand) Config {
	return Config{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute,
		InitialRebalanceDelay:  3 * time.Second,
		MaxSize:                1<<31 - 1,
		OffsetMetadataMax:      4096,
		OffsetRetention:        7 * 24 * time.Hour,
		RetentionCheckInterval: 10 * time.Minute,
		Rand:                   rnd,
		Consumer: func(string) consumer.Config {
			return consumer.Config{
				SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, AssignmentInterval: time.Second,
				RegexRefresh: 10 * time.Minute, MaxSize: 1<<31 - 1, Assignors: []string{assign.UniformName, assign.RangeName},
				Upgrade: true, Downgrade: true, ClassicMaxSize: 1<<31 - 1,
			}
		},
		Share:   func(string) share.Config { return share.DefaultConfig() },
		Streams: func(string) streams.Config { return streams.DefaultConfig() },
		Topics:  func() consumer.Topics { return noTopics{} },
	}
}

// newMemberJoinTimeout ends the wait of a member that never got an answer: it does not know its id, so it cannot send
// heartbeats, and its client may be gone.
const newMemberJoinTimeout = 5 * time.Minute

// Shard is the machine. Durable state (saved, consumers, shares, streams, offsets, txns) changes only by Apply, Commit and Revert; what members are
// doing right now (live) changes by Step and is built again from saved after a load.
type Shard struct {
	cfg     Config
	history *timeline.History
	saved   *timeline.Map[string, savedGroup]
	// consumers are the groups of the new protocol, shares the share groups, streams those of Kafka Streams. Invariant: an id is in one of
	// these and saved, not in two.
	consumers *timeline.Map[string, *consumer.Group]
	shares    *timeline.Map[string, *share.Group]
	streams   *timeline.Map[string, *streams.Group]
	streaming map[string]*streams.Live // what is under way for streams groups, by id
	resolving map[string]struct{}      // the ids of those whose regular expressions are being resolved
	offsets   map[string]*groupOffsets // by group
	txns      *timeline.Map[kafka.ProducerID, []openOffset]
	topics    map[string]string // one string for each topic name, however many offsets it has

	live      map[string]*group
	writes    map[uint64]pendingWrite // by the id given out in Output.Write
	lastWrite uint64

	deletions    map[uint64]*deletion // that wait for the share coordinator, by the id of their task
	lastDeletion uint64

	sweeping bool // the expiry timer is armed
}

// New makes an empty Shard.
func New(cfg Config) *Shard {
	h := &timeline.History{}
	return &Shard{
		cfg: cfg, history: h,
		saved:     timeline.NewMap[string, savedGroup](h),
		consumers: timeline.NewMap[string, *consumer.Group](h),
		shares:    timeline.NewMap[string, *share.Group](h),
		streams:   timeline.NewMap[string, *streams.Group](h),
		streaming: make(map[string]*streams.Live),
		resolving: make(map[string]struct{}),
		offsets:   make(map[string]*groupOffsets),
		txns:      timeline.NewMap[kafka.ProducerID, []openOffset](h),
		topics:    make(map[string]string),
		live:      make(map[string]*group),
		writes:    make(map[uint64]pendingWrite),
		deletions: make(map[uint64]*deletion),
	}
}

// TopicsDeleted is an event: it asks for the end of what was committed for topics that are gone.
type TopicsDeleted struct{ Topics []DeletedTopic }

// DeletedTopic is a topic that is gone. Offsets of a later topic of the same name stay, when ID is not zero.
type DeletedTopic struct {
	Name string
	ID   kafka.TopicID
}

// The kinds of timers. Their Of is the group, but for ExpiryTimer, which has none.
const (
	SessionTimer          machine.TimerKind = iota // a member's heartbeat, or its joining with the id it was given
	JoinTimer                                      // a group's members joining
	SyncTimer                                      // a group's members fetching their assignment
	ExpiryTimer                                    // the next look at the age of offsets
	ConsumerSessionTimer                           // a heartbeat of a member of the new protocol
	RebalanceTimer                                 // the giving up of partitions by a member of the new protocol
	ShareSessionTimer                              // a heartbeat of a member of a share group
	StreamsSessionTimer                            // a heartbeat of a member of a streams group
	StreamsRebalanceTimer                          // the giving up of tasks by a member of a streams group
	StreamsDelayTimer                              // members that join a new streams group
	ConsumerJoinTimer                              // the JoinGroup of a classic member of a group of the new protocol
	ConsumerSyncTimer                              // its SyncGroup
)

// Step implements machine.Machine. It answers JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, TxnOffsetCommit, OffsetFetch (v8
// and later: one group), OffsetDelete, DescribeGroups, DeleteGroups, ListGroups, and the Heartbeat and Describe of consumer, share and streams
// groups, and takes TopicsDeleted, Resolved, SharesInitialized, SharesDeleted and InternalTopicsCreated.
func (s *Shard) Step(now time.Time, ev machine.Event) machine.Output {
	t := &turn{s: s, now: now}
	switch ev := ev.(type) {
	case machine.Request:
		t.request(ev)
	case machine.TimerFired:
		t.timerFired(ev.ID)
	case TopicsDeleted:
		t.topicsDeleted(ev.Topics)
	case Resolved:
		t.resolved(ev)
	case SharesInitialized:
		t.sharesInitialized(ev)
	case SharesDeleted:
		t.sharesDeleted(ev)
	case InternalTopicsCreated:
		t.internalTopicsCreated(ev)
	case machine.Loaded:
		t.loaded()
	case machine.Committed:
		if w, ok := t.settle(ev.Write); ok {
			w.committed(t)
		}
	case machine.Failed:
		if w, ok := t.settle(ev.Write); ok {
			w.failed(t, appendError(ev.Err))
		}
	}
	if !s.sweeping && (s.saved.Len() > 0 || s.consumers.Len() > 0 || s.streams.Len() > 0 || len(s.live) > 0 || len(t.out.Records) > 0) {
		s.sweeping = true
		t.arm(machine.TimerID{Kind: ExpiryTimer}, s.cfg.RetentionCheckInterval)
	}
	return t.out
}

func (t *turn) request(r machine.Request) {
	switch req := r.Req.(type) {
	case *kmsg.JoinGroupRequest:
		t.joinGroup(r, req)
	case *kmsg.SyncGroupRequest:
		t.syncGroup(r, req)
	case *kmsg.HeartbeatRequest:
		t.heartbeat(r, req)
	case *kmsg.LeaveGroupRequest:
		t.leaveGroup(r, req)
	case *kmsg.ConsumerGroupHeartbeatRequest:
		t.consumerHeartbeat(r, req)
	case *kmsg.ConsumerGroupDescribeRequest:
		t.consumerDescribe(r, req)
	case *kmsg.ShareGroupHeartbeatRequest:
		t.shareHeartbeat(r, req)
	case *kmsg.ShareGroupDescribeRequest:
		t.shareDescribe(r, req)
	case *kmsg.StreamsGroupHeartbeatRequest:
		t.streamsHeartbeat(r, req)
	case *kmsg.StreamsGroupDescribeRequest:
		t.streamsDescribe(r, req)
	case *kmsg.OffsetCommitRequest:
		t.offsetCommit(r, req)
	case *kmsg.TxnOffsetCommitRequest:
		t.txnOffsetCommit(r, req)
	case *kmsg.OffsetFetchRequest:
		t.offsetFetch(r, req)
	case *kmsg.OffsetDeleteRequest:
		t.offsetDelete(r, req)
	case *kmsg.DescribeGroupsRequest:
		t.describeGroups(r, req)
	case *kmsg.DeleteGroupsRequest:
		t.deleteGroups(r, req)
	case *kmsg.ListGroupsRequest:
		t.listGroups(r, req)
	default:
		t.fail(r, errUnsupported)
	}
}

func (t *turn) timerFired(id machine.TimerID) {
	switch id.Kind {
	case SessionTimer:
		t.sessionExpired(id.Of, id.Member)
	case JoinTimer:
		t.joinTimeout(id.Of)
	case SyncTimer:
		t.syncTimeout(id.Of)
	case ExpiryTimer:
		t.sweep()
	case ConsumerSessionTimer, RebalanceTimer, ConsumerJoinTimer, ConsumerSyncTimer:
		t.consumerExpired(id)
	case ShareSessionTimer:
		t.shareExpired(id.Of, id.Member)
	case StreamsSessionTimer, StreamsRebalanceTimer, StreamsDelayTimer:
		t.streamsExpired(id)
	}
}

// Package group is the coordinator of classic consumer groups and of committed offsets, as a pure machine: one Shard
// holds the groups of one partition of __consumer_offsets. node/coord runs it on that partition's log, one event at a
// time; the package starts no goroutine, reads no clock and does no I/O. Nothing that Step is given is kept: what a
// group remembers of a request is copied.
package group

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
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
	}
}

// newMemberJoinTimeout ends the wait of a member that never got an answer: it does not know its id, so it cannot send
// heartbeats, and its client may be gone.
const newMemberJoinTimeout = 5 * time.Minute

// Shard is the machine. Durable state (saved, offsets, txns) changes only by Apply, Commit and Revert; what members are
// doing right now (live) changes by Step and is built again from saved after a load.
type Shard struct {
	cfg     Config
	history *timeline.History
	saved   *timeline.Map[string, savedGroup]
	offsets map[string]*groupOffsets // by group
	txns    map[kafka.ProducerID][]openOffset
	topics  map[string]string // one string for each topic name, however many offsets it has

	live      map[string]*group
	writes    map[uint64]pendingWrite // by the id given out in Output.Write
	lastWrite uint64
	sweeping  bool // the expiry timer is armed
}

// New makes an empty Shard.
func New(cfg Config) *Shard {
	h := &timeline.History{}
	return &Shard{
		cfg: cfg, history: h,
		saved:   timeline.NewMap[string, savedGroup](h),
		offsets: make(map[string]*groupOffsets),
		txns:    make(map[kafka.ProducerID][]openOffset),
		topics:  make(map[string]string),
		live:    make(map[string]*group),
		writes:  make(map[uint64]pendingWrite),
	}
}

// Event is what a Shard steps on: a Request, TimerFired, TopicsDeleted, Loaded, Committed or Failed.
type Event interface{ event() }

// Request is a client's request, answered by a Reply with its Ticket in this Step or in a later one. Tickets are not 0
// and not used twice. Req is a JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetFetch (v8 and later: one
// group), OffsetDelete, DescribeGroups, DeleteGroups or ListGroups request.
type Request struct {
	Ticket     uint64
	ClientID   string
	ClientHost string // as Kafka prints an address: "/127.0.0.1"
	Version    int16
	Req        kmsg.Request
}

// TimerFired says that a Timer's time has come. A timer that was moved or stopped meanwhile must not fire.
type TimerFired struct{ ID TimerID }

// TopicsDeleted asks for the end of what was committed for topics that are gone.
type TopicsDeleted struct{ Topics []DeletedTopic }

// DeletedTopic is a topic that is gone. Offsets of a later topic of the same name stay, when ID is not zero.
type DeletedTopic struct {
	Name string
	ID   kafka.TopicID
}

// Loaded follows the last Apply of a load: the members found in the log get their session timers.
type Loaded struct{}

// Committed says that the records of the Step that gave out Write are committed, Commit having been called.
type Committed struct{ Write uint64 }

// Failed says that the records of the Step that gave out Write were not appended (Revert having been called) or not
// committed in time. Err is the kerr.Error that waiting members are told.
type Failed struct {
	Write uint64
	Err   error
}

func (Request) event()       {}
func (TimerFired) event()    {}
func (TopicsDeleted) event() {}
func (Loaded) event()        {}
func (Committed) event()     {}
func (Failed) event()        {}

// Output is what one Step asks for. The caller appends Records (which may be split over several batches, in order) and
// gives each to Apply at once, before the next Step.
type Output struct {
	Records []Record
	Replies []Reply
	Timers  []Timer
	// Write, when not 0, asks for a Committed or a Failed event about Records.
	Write uint64
}

// Record is a record for __consumer_offsets. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Reply answers the request with Ticket. AfterCommit means: not before everything applied so far is committed; when that
// fails, the request is answered by ErrorResponse instead.
type Reply struct {
	Ticket      uint64
	Response    kmsg.Response
	AfterCommit bool
}

// Timer moves the timer ID to At, or stops it when At is zero.
type Timer struct {
	ID TimerID
	At time.Time
}

// TimerID names a timer; a Shard has at most one running timer of each.
type TimerID struct {
	Kind          TimerKind
	Group, Member string
}

// TimerKind is what a timer waits for.
type TimerKind int8

// The kinds of timers.
const (
	SessionTimer TimerKind = iota // a member's heartbeat, or its joining with the id it was given
	JoinTimer                     // a group's members joining
	SyncTimer                     // a group's members fetching their assignment
	ExpiryTimer                   // the next look at the age of offsets
)

// String is the kind's name in scripts.
func (k TimerKind) String() string { return [...]string{"session", "join", "sync", "expiry"}[k] }

// Step decides what follows from ev. It changes nothing durable.
func (s *Shard) Step(now time.Time, ev Event) Output {
	t := &turn{s: s, now: now}
	switch ev := ev.(type) {
	case Request:
		t.request(ev)
	case TimerFired:
		t.timerFired(ev.ID)
	case TopicsDeleted:
		t.topicsDeleted(ev.Topics)
	case Loaded:
		t.loaded()
	case Committed:
		if w, ok := t.settle(ev.Write); ok {
			w.committed(t)
		}
	case Failed:
		if w, ok := t.settle(ev.Write); ok {
			w.failed(t, ev.Err)
		}
	}
	if !s.sweeping && (s.saved.Len() > 0 || len(s.live) > 0 || len(t.out.Records) > 0) {
		s.sweeping = true
		t.arm(TimerID{Kind: ExpiryTimer}, s.cfg.RetentionCheckInterval)
	}
	return t.out
}

func (t *turn) request(r Request) {
	switch req := r.Req.(type) {
	case *kmsg.JoinGroupRequest:
		t.joinGroup(r, req)
	case *kmsg.SyncGroupRequest:
		t.syncGroup(r, req)
	case *kmsg.HeartbeatRequest:
		t.heartbeat(r, req)
	case *kmsg.LeaveGroupRequest:
		t.leaveGroup(r, req)
	case *kmsg.OffsetCommitRequest:
		t.offsetCommit(r, req)
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

func (t *turn) timerFired(id TimerID) {
	switch id.Kind {
	case SessionTimer:
		t.sessionExpired(id.Group, id.Member)
	case JoinTimer:
		t.joinTimeout(id.Group)
	case SyncTimer:
		t.syncTimeout(id.Group)
	case ExpiryTimer:
		t.sweep()
	}
}

package share

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config is what a group goes by: the node's configuration, or the group's own where it has one.
type Config struct {
	SessionTimeout     time.Duration // share.session.timeout.ms
	HeartbeatInterval  time.Duration // share.heartbeat.interval.ms
	AssignmentInterval time.Duration // share.assignment.interval.ms: the least time between two targets
	InitializeRetry    time.Duration // group.share.initialize.retry.interval.ms
	MaxSize            int           // group.share.max.size
}

// DefaultConfig is Kafka's configuration.
func DefaultConfig() Config {
	return Config{SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, AssignmentInterval: time.Second,
		InitializeRetry: 30 * time.Second, MaxSize: 200}
}

// Topics is the cluster's topics at the time of a Turn.
type Topics interface {
	ID(name string) (kafka.TopicID, bool)
	Name(id kafka.TopicID) (string, bool)
	// Partitions is how many partitions the topic has, 0 when there is no such topic.
	Partitions(id kafka.TopicID) int32
	// Version changes with everything else that Topics says.
	Version() uint64
}

// Turn is one request, timer or answer that a Group is worked on for. It changes nothing durable: what is to change is in
// Out.
type Turn struct {
	Now    time.Time
	Topics Topics
	Config Config
	Out    Out
}

// Out is what a Turn asks for: Records are to be applied before the next Turn.
type Out struct {
	Records []machine.Record
	Timers  []Timer
	// Initialize, when not nil, is to be asked of the share coordinator once Records are committed. What comes of it is for
	// Initialized and NotInitialized.
	Initialize *Initialize
}

// Initialize is partitions whose state is to begin with the share coordinator (InitializeShareGroupState, without a start).
type Initialize struct {
	StateEpoch int32
	Topics     []Partitions
}

// Partitions is some of a topic's partitions, ascending.
type Partitions struct {
	Topic      kafka.TopicID
	Partitions []int32
}

// Timer moves the timer of a member's session to After from now, or stops it when Stop is set.
type Timer struct {
	Member string
	After  time.Duration
	Stop   bool
}

// Refusal is an error with the words that a client is told.
type Refusal struct {
	Is      *kerr.Error
	Message string
}

func (r *Refusal) Error() string { return r.Message }
func (r *Refusal) Unwrap() error { return r.Is }

func refuse(is *kerr.Error, format string, args ...any) error {
	return &Refusal{is, fmt.Sprintf(format, args...)}
}

func (t *Turn) record(r ...machine.Record) { t.Out.Records = append(t.Out.Records, r...) }

// Loaded starts the timers of a group that was read from the log.
func (t *Turn) Loaded(g *Group) {
	for _, id := range sortedNames(g.members.All()) {
		t.Out.Timers = append(t.Out.Timers, Timer{Member: id, After: t.Config.SessionTimeout})
	}
}

// Expired puts out a member that did not send a heartbeat.
func (t *Turn) Expired(g *Group, member string) {
	if m := g.Member(member); m != nil {
		t.fence(g, m)
	}
}

// fence puts a member out of the group.
func (t *Turn) fence(g *Group, m *Member) {
	t.record(tombstone(AssignmentKind, g.ID, m.ID), tombstone(TargetKind, g.ID, m.ID), tombstone(MemberKind, g.ID, m.ID))
	t.Out.Timers = append(t.Out.Timers, Timer{Member: m.ID, Stop: true})
	e := g.now()
	e.group, e.hash = e.group+1, t.hash(view{g: g, without: m.ID}.topics())
	t.record(epochRecord(g.ID, e))
}

// Tombstones take the group out of the log.
func (g *Group) Tombstones() []machine.Record {
	var out []machine.Record
	ids := sortedNames(g.members.All())
	for _, kind := range []int16{AssignmentKind, TargetKind} {
		for _, id := range ids {
			out = append(out, tombstone(kind, g.ID, id))
		}
	}
	out = append(out, tombstone(TargetEpochKind, g.ID))
	for _, id := range ids {
		out = append(out, tombstone(MemberKind, g.ID, id))
	}
	return append(out, tombstone(StateKind, g.ID), tombstone(EpochKind, g.ID))
}

func sortedNames[V any](all iter.Seq2[string, V]) []string {
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

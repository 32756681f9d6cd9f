package streams

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config is what a group goes by: the node's configuration, or the group's own where it has one.
type Config struct {
	SessionTimeout        time.Duration // streams.session.timeout.ms
	HeartbeatInterval     time.Duration // streams.heartbeat.interval.ms
	AssignmentInterval    time.Duration // streams.assignment.interval.ms: the least time between two targets
	InitialRebalanceDelay time.Duration // streams.initial.rebalance.delay.ms: what a new group waits for more members
	StandbyReplicas       int           // streams.num.standby.replicas
	MaxSize               int           // group.streams.max.size
}

// DefaultConfig is Kafka's configuration.
func DefaultConfig() Config {
	return Config{
		SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, AssignmentInterval: time.Second,
		InitialRebalanceDelay: 3 * time.Second, MaxSize: 1<<31 - 1,
	}
}

// forAssignor is what a target goes by, as the group's record has it: when it changes, so does the target.
func (c Config) forAssignor() []Pair {
	return []Pair{{"num.standby.replicas", strconv.Itoa(c.StandbyReplicas)}}
}

// Topics is the cluster's topics at the time of a Turn.
type Topics interface {
	ID(name string) (kafka.TopicID, bool)
	// Partitions is how many partitions the topic has, 0 when there is no such topic.
	Partitions(id kafka.TopicID) int32
	// Racks are those of the partition's replicas.
	Racks(id kafka.TopicID, partition int32) []string
	// Version changes with everything else that Topics says.
	Version() uint64
}

// Turn is one request, timer or answer that a Group is worked on for. It changes nothing durable: what is to change is in
// Out.
type Turn struct {
	Now    time.Time
	Topics Topics
	Config Config
	// Live is what the coordinator knows of the group's id, whether or not there is a group of that id yet.
	Live *Live
	Out  Out
}

// Live is what is under way for a group's id.
type Live struct {
	Delaying bool // the first target waits for more members
	creating map[string]struct{}
	failed   map[string]failure
}

// failure is why a topic could not be made. It is not tried again before its time.
type failure struct {
	why   string
	until time.Time
}

// Idle tells that nothing is under way.
func (l *Live) Idle() bool { return !l.Delaying && len(l.creating) == 0 && len(l.failed) == 0 }

// Out is what a Turn asks for: Records are to be applied before the next Turn.
type Out struct {
	Records []machine.Record
	Timers  []Timer
	Create  []InternalTopic // topics to be made; what comes of it is for Created
}

// Timer moves a timer to After from now, or stops it when Stop is set. Member is "" for Delay.
type Timer struct {
	Kind   TimerKind
	Member string
	After  time.Duration
	Stop   bool
}

// TimerKind is what a timer waits for.
type TimerKind int8

// The kinds of timers.
const (
	Session   TimerKind = iota // a heartbeat
	Rebalance                  // the giving up of tasks
	Delay                      // members that join a new group
)

// Refusal is an error with the words that a client is told.
type Refusal struct {
	Is   *kerr.Error
	Text string
}

func (r *Refusal) Error() string { return r.Text }
func (r *Refusal) Unwrap() error { return r.Is }

// Message is what the client is told.
func (r *Refusal) Message() string { return r.Text }

func refuse(is *kerr.Error, format string, args ...any) error {
	return &Refusal{is, fmt.Sprintf(format, args...)}
}

func (t *Turn) record(r ...machine.Record) { t.Out.Records = append(t.Out.Records, r...) }

func (t *Turn) arm(kind TimerKind, member string, after time.Duration) {
	t.Out.Timers = append(t.Out.Timers, Timer{Kind: kind, Member: member, After: after})
}

func (t *Turn) stop(kind TimerKind, member string) {
	t.Out.Timers = append(t.Out.Timers, Timer{Kind: kind, Member: member, Stop: true})
}

// StartTimers is for a group that was read from the log, or some of whose records were not appended.
func (t *Turn) StartTimers(g *Group) {
	for id, m := range g.members.All() {
		t.arm(Session, id, t.Config.SessionTimeout)
		if m.State == UnrevokedTasks {
			t.arm(Rebalance, id, m.RebalanceTimeout)
		}
	}
}

// Expired is for a timer that fired. A member that did not send a heartbeat, or did not give up tasks, is put out; a new
// group that has waited for its members gets its first target.
func (t *Turn) Expired(g *Group, kind TimerKind, member string) error {
	if kind == Delay {
		t.Live.Delaying = false
		return t.firstTarget(g)
	}
	m := g.Member(member)
	if m == nil || kind == Rebalance && m.State != UnrevokedTasks {
		return nil
	}
	t.fence(g, m)
	return nil
}

func (t *Turn) firstTarget(g *Group) error {
	e, topology := g.now(), g.currentTopology()
	if g.Members() == 0 || topology == nil || e.group <= e.target {
		return nil
	}
	c, err := t.configure(g, topology)
	if err == nil {
		t.retarget(view{g: g}, e, c, nil)
	}
	return err
}

// fence puts a member out of the group.
func (t *Turn) fence(g *Group, m *Member) {
	t.record(memberTombstones(g.ID, m.ID)...)
	t.stop(Session, m.ID)
	t.stop(Rebalance, m.ID)
	e := g.now()
	e.group++
	t.record(epochRecord(g.ID, e))
}

// Tombstones take the group out of the log.
func (g *Group) Tombstones() []machine.Record {
	var out []machine.Record
	ids := g.memberIDs()
	tombstones := func(kind int16) {
		for _, id := range ids {
			out = append(out, tombstone(kind, g.ID, id))
		}
	}
	tombstones(AssignmentKind)
	tombstones(TargetKind)
	out = append(out, tombstone(TargetEpochKind, g.ID))
	tombstones(MemberKind)
	return append(out, tombstone(EpochKind, g.ID), tombstone(TopologyKind, g.ID))
}

func (g *Group) memberIDs() []string {
	var ids []string
	for id := range g.members.All() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (g *Group) currentTopology() *Topology {
	t, _ := g.topology.Get(none{})
	return t
}

// configure is the topology with the topics that there are now.
func (t *Turn) configure(g *Group, topology *Topology) (*configured, error) {
	if g.configured != nil && g.configured.topology == topology && g.checked == t.Topics.Version() {
		return g.configured, nil
	}
	c, err := configure(topology, t.Topics)
	if err == nil {
		g.configured, g.checked = c, t.Topics.Version()
	}
	return c, err
}

// view is the members as they will be when the records of a Turn are applied: with plus in its newest form.
type view struct {
	g    *Group
	plus *Member
}

func (v view) members() iter.Seq[*Member] {
	return func(yield func(*Member) bool) {
		for id, m := range v.g.members.All() {
			if (v.plus == nil || id != v.plus.ID) && !yield(m) {
				return
			}
		}
		if v.plus != nil {
			yield(v.plus)
		}
	}
}

// retarget computes the target of the group's epoch, when it is due, and returns what the member at hand is to have. Members
// that join one after the other get by with one after the delay of a new group, and then one each AssignmentInterval; what
// keeps them waiting is said in status.
func (t *Turn) retarget(v view, e epochs, c *configured, status *[]Status) (epochs, Assignment) {
	delayed := func(by string) {
		if status != nil {
			*status = append(*status, Status{AssignmentDelayed, "Assignment delayed due to the configured " + by + "."})
		}
	}
	if t.Live.Delaying {
		delayed("initial rebalance delay")
		return e, Assignment{}
	}
	if e.target >= e.group {
		return e, v.lastTarget()
	}
	now := t.Now.UnixMilli()
	if e.targetAt != 0 && now < e.targetAt+t.Config.AssignmentInterval.Milliseconds() {
		delayed("assignment interval")
		return e, v.lastTarget()
	}
	var members []*assignee
	for m := range v.members() {
		had, _ := v.g.target.Get(m.ID)
		members = append(members, &assignee{id: m.ID, process: m.Process, had: had})
	}
	slices.SortFunc(members, func(a, b *assignee) int { return strings.Compare(a.id, b.id) })
	if c.wrong == nil {
		assign(members, c, t.Config.StandbyReplicas)
	}
	var mine Assignment
	for _, a := range members {
		if v.plus != nil && a.id == v.plus.ID {
			mine = a.gets
		}
		if old, ok := v.g.target.Get(a.id); !ok || !old.Equal(a.gets) {
			t.record(targetRecord(v.g.ID, a.id, a.gets))
		}
	}
	e.target, e.targetAt = e.group, now
	t.record(targetEpochRecord(v.g.ID, e))
	return e, mine
}

func (v view) lastTarget() Assignment {
	if v.plus == nil {
		return Assignment{}
	}
	target, _ := v.g.target.Get(v.plus.ID)
	return target
}

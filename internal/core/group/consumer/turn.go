package consumer

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/core/group/assign"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config is what a group goes by: the node's configuration, or the group's own where it has one.
type Config struct {
	SessionTimeout     time.Duration // consumer.session.timeout.ms
	HeartbeatInterval  time.Duration // consumer.heartbeat.interval.ms
	AssignmentInterval time.Duration // consumer.assignment.interval.ms: the least time between two targets
	RegexRefresh       time.Duration // group.consumer.regex.refresh.interval.ms
	MaxSize            int           // group.consumer.max.size
	Assignors          []string      // group.consumer.assignors, the default first
	// Upgrade and Downgrade tell whether groups with members change their protocol (group.consumer.migration.policy). Without either,
	// classic members are not let in.
	Upgrade, Downgrade bool
	ClassicMaxSize     int // group.max.size: a larger group stays
}

// regexPause is the least time between two resolutions of a group's regular expressions.
const regexPause = 10 * time.Second

// Turn is one request, timer or answer that a Group is worked on for. It changes nothing: what is to change is in Out.
type Turn struct {
	Now    time.Time
	Topics Topics
	Config Config
	NewID  func() string // makes a member id
	// Resolving says that the group's regular expressions are being resolved already.
	Resolving bool
	Out       Out
}

// Out is what a Turn asks for: Records are to be applied before the next Turn.
type Out struct {
	Records []machine.Record
	Timers  []Timer
	Resolve []string // regular expressions whose topics are to be found and given to Resolved
	// Downgrade is the classic group that takes this one's place; nil for none.
	Downgrade *Downgrade
}

// Timer moves a member's timer to After from now, or stops it when Stop is set.
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
	Rebalance                  // the giving up of partitions
	Join                       // the JoinGroup of a classic member that was told to join
	Sync                       // the SyncGroup of a classic member that has joined
)

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

func (t *Turn) arm(kind TimerKind, member string, after time.Duration) {
	t.Out.Timers = append(t.Out.Timers, Timer{Kind: kind, Member: member, After: after})
}

func (t *Turn) stop(kind TimerKind, member string) {
	t.Out.Timers = append(t.Out.Timers, Timer{Kind: kind, Member: member, Stop: true})
}

// StartTimers is for a group that was read from the log, or some of whose records were not appended.
func (t *Turn) StartTimers(g *Group) {
	for id, m := range g.members.All() {
		if m.Classic != nil {
			t.arm(Session, id, m.Classic.SessionTimeout)
			t.stop(Sync, id) // a JoinGroup whose records were lost is sent again
			continue
		}
		t.arm(Session, id, t.Config.SessionTimeout)
		if m.State == UnrevokedPartitions {
			t.arm(Rebalance, id, m.RebalanceTimeout)
		}
	}
}

// Expired is for a timer that fired. A member that did not send a heartbeat, or did not give up partitions, is put out, and so is a
// classic one that did not join when it was told to, or did not fetch what it has.
func (t *Turn) Expired(g *Group, kind TimerKind, member string) {
	m := g.Member(member)
	if kind == Join {
		g.rejoined(member)
	}
	switch {
	case m == nil,
		kind == Rebalance && (m.State != UnrevokedPartitions || m.Classic != nil),
		(kind == Join || kind == Sync) && m.Classic == nil:
		return
	}
	t.fence(g, m)
}

// fence puts members out of the group. When only classic ones are left the group may become a classic one.
func (t *Turn) fence(g *Group, members ...*Member) {
	if len(members) < g.Members() && t.mayDowngrade(g, members...) {
		t.downgrade(g, members, nil, nil)
		return
	}
	v := view{g: g, without: make(map[string]bool)}
	users := make(map[string]int)
	for _, m := range members {
		v.without[m.ID] = true
		t.record(memberTombstones(g.ID, m.ID)...)
		t.stop(Session, m.ID)
		t.stop(Rebalance, m.ID)
		t.stopClassic(g, m)
		if m.Regex != "" {
			users[m.Regex]++
		}
	}
	for regex, n := range users {
		if _, ok := g.regexes.Get(regex); ok && g.users()[regex] == n {
			t.record(tombstone(RegexKind, g.ID, regex))
		}
	}
	e := g.now()
	e.group, e.hash = e.group+1, t.hash(v.topics())
	t.record(epochRecord(g.ID, e))
}

// stopClassic ends the timers that only a classic member has.
func (t *Turn) stopClassic(g *Group, m *Member) {
	if m.Classic != nil {
		t.stop(Join, m.ID)
		t.stop(Sync, m.ID)
		g.rejoined(m.ID)
	}
}

// Tombstones take the group out of the log.
func (g *Group) Tombstones() []machine.Record {
	var out []machine.Record
	for _, kind := range []int16{AssignmentKind, TargetKind, MemberKind} {
		for _, id := range sortedNames(g.members.All()) {
			out = append(out, tombstone(kind, g.ID, id))
		}
	}
	out = append(out, tombstone(TargetEpochKind, g.ID))
	for _, regex := range sortedNames(g.regexes.All()) {
		out = append(out, tombstone(RegexKind, g.ID, regex))
	}
	return append(out, tombstone(EpochKind, g.ID))
}

func sortedNames[V any](all func(func(string, V) bool)) []string {
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// rehash bumps the group's epoch when bump says so, or the topics of its members are not what they were.
func (t *Turn) rehash(v view, e epochs, bump bool) epochs {
	hash := t.hash(v.topics())
	v.g.checked = t.Topics.Version()
	if !bump && hash == e.hash {
		return e
	}
	e.group, e.hash = e.group+1, hash
	t.record(epochRecord(v.g.ID, e))
	return e
}

// retarget computes the target of the group's epoch, when it is due, and returns what the member at hand is to have.
// Members that join one after the other get by with a target each AssignmentInterval.
func (t *Turn) retarget(v view, e epochs, replaced string) (epochs, assign.Assignment) {
	now := t.Now.UnixMilli()
	due := e.targetAt == 0 || now >= e.targetAt+t.Config.AssignmentInterval.Milliseconds()
	if e.target >= e.group || !due {
		return e, v.g.lastTarget(v.plus.ID, replaced)
	}
	var members []assign.Member
	votes := make(map[string]int)
	for m := range v.members() {
		am := assign.Member{ID: m.ID, Instance: m.Instance, Subscribed: t.ids(v.g, m), Assigned: v.g.lastTarget(m.ID, "")}
		if m.Rack != nil {
			am.Rack = *m.Rack
		}
		if m == v.plus {
			am.Assigned = v.g.lastTarget(m.ID, replaced)
		}
		if m.Assignor != nil {
			votes[*m.Assignor]++
		}
		members = append(members, am)
	}
	slices.SortFunc(members, func(a, b assign.Member) int { return compareNames(a.ID, b.ID) })
	var mine assign.Assignment
	for i, target := range assign.ByName(t.elect(votes))(members, t.Topics) {
		if members[i].ID == v.plus.ID {
			mine = target
		}
		if old, ok := v.g.target.Get(members[i].ID); !ok || !old.Equal(target) {
			t.record(targetRecord(v.g.ID, members[i].ID, target))
		}
	}
	e.target, e.targetAt = e.group, now
	t.record(targetEpochRecord(v.g.ID, e))
	return e, mine
}

// elect is the assignor that most members ask for, or the default.
func (t *Turn) elect(votes map[string]int) string {
	best := t.Config.Assignors[0]
	for _, name := range t.Config.Assignors {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// lastTarget is what the member was last to have, or what the one that it replaces was.
func (g *Group) lastTarget(member, replaced string) assign.Assignment {
	if replaced != "" {
		member = replaced
	}
	target, _ := g.target.Get(member)
	return target
}

func compareNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

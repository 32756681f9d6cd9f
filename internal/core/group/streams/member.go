package streams

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// State is how far a member is on its way to its target assignment. The numbers are those of its record.
type State int8

// The states of a member.
const (
	Stable          State = 1   // it has what the target of its epoch gives it
	UnrevokedTasks  State = 2   // it is to give up tasks and has not said that it did
	UnreleasedTasks State = 3   // it waits for tasks that others have not given up
	unknownState    State = 127 // of a record that a later version wrote
)

// LeftEpoch is what a member that leaves sends as its epoch. Static members, which would send staticLeftEpoch, are refused.
const (
	LeftEpoch       = -1
	staticLeftEpoch = -2
)

// Member is a member as the log has it. It is never changed: an update makes a new one.
type Member struct {
	ID string

	Instance, Rack   *string
	Client, Host     string
	RebalanceTimeout time.Duration
	TopologyEpoch    int32
	Process          string // the Streams instance that the member is a thread of
	Endpoint         *Endpoint
	Tags             []Pair // sorted by key

	Epoch, Previous int32
	State           State
	// Assigned is what the member may work on, Revoking what it is to give up. No task is active with two members of a group,
	// and none is twice with one process.
	Assigned, Revoking Assignment
}

// Endpoint is where an instance answers interactive queries.
type Endpoint struct {
	Host string
	Port uint16
}

// Pair is a key with its value.
type Pair struct{ Key, Value string }

// Task is a partition of a part of the topology.
type Task struct {
	Subtopology string
	Partition   int32
}

func compareTasks(a, b Task) int {
	return cmp.Or(cmp.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

// byPartition is another order of tasks: those that read the same partitions of their topics are together.
func byPartition(a, b Task) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Subtopology, b.Subtopology))
}

// Tasks are tasks, with the epoch of the target that gave each to the member where that is known of active tasks, else 0.
type Tasks map[Task]int32

// sorted are the partitions of each subtopology, in order.
func (t Tasks) sorted() []part {
	var parts []part
	for _, task := range slices.SortedFunc(maps.Keys(t), compareTasks) {
		if n := len(parts); n == 0 || parts[n-1].subtopology != task.Subtopology {
			parts = append(parts, part{subtopology: task.Subtopology})
		}
		last := &parts[len(parts)-1]
		last.partitions, last.epochs = append(last.partitions, task.Partition), append(last.epochs, t[task])
	}
	return parts
}

// part is the tasks of one subtopology, with their epochs.
type part struct {
	subtopology        string
	partitions, epochs []int32
}

// Role is what a member does with a task.
type Role int8

// The roles of a task. Kafka's assignor has no warm-ups yet, but its records and requests do.
const (
	Active Role = iota
	Standby
	Warmup
	roles = 3
)

// Assignment is tasks by role.
type Assignment [roles]Tasks

// Equal tells whether both are the same tasks of the same epochs.
func (a Assignment) Equal(b Assignment) bool {
	for role := range a {
		if !maps.Equal(a[role], b[role]) {
			return false
		}
	}
	return true
}

func (a Assignment) empty() bool {
	return len(a[Active])+len(a[Standby])+len(a[Warmup]) == 0
}

func (a *Assignment) add(role Role, t Task, epoch int32) {
	if a[role] == nil {
		a[role] = make(Tasks)
	}
	a[role][t] = epoch
}

// shares tells whether a task is in both, in the same role.
func (a Assignment) shares(b Assignment) bool {
	for role := range a {
		for t := range a[role] {
			if _, ok := b[role][t]; ok {
				return true
			}
		}
	}
	return false
}

// newMember is a member before its first record.
func newMember(id string) *Member {
	return &Member{ID: id, RebalanceTimeout: -time.Millisecond, TopologyEpoch: -1, State: Stable}
}

func (m *Member) copy() *Member {
	c := *m
	return &c
}

// at is m in another epoch, the one before becoming the previous one.
func (m *Member) at(epoch int32, s State, assigned, revoking Assignment) *Member {
	c := m.copy()
	c.Previous, c.Epoch = m.Epoch, epoch
	c.State, c.Assigned, c.Revoking = s, assigned, revoking
	return c
}

// ReconciledTo tells whether the member has all that the target of the epoch gives it.
func (m *Member) ReconciledTo(epoch int32) bool { return m.State == Stable && m.Epoch == epoch }

// describesAs tells whether the records of m and other as members, without their assignments, are the same.
func (m *Member) describesAs(other *Member) bool {
	return sameAt(m.Instance, other.Instance) && sameAt(m.Rack, other.Rack) && sameAt(m.Endpoint, other.Endpoint) &&
		m.Client == other.Client && m.Host == other.Host && m.RebalanceTimeout == other.RebalanceTimeout &&
		m.TopologyEpoch == other.TopologyEpoch && m.Process == other.Process && slices.Equal(m.Tags, other.Tags)
}

func (m *Member) assignedLike(other *Member) bool {
	return m.Epoch == other.Epoch && m.Previous == other.Previous && m.State == other.State &&
		m.Assigned.Equal(other.Assigned) && m.Revoking.Equal(other.Revoking)
}

func sameAt[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func cloned(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

package consumer

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// State is how far a member is on its way to its target assignment. The numbers are those of its record.
type State int8

// The states of a member.
const (
	Stable              State = 0 // it has what the target of its epoch gives it
	UnrevokedPartitions State = 1 // it is to give up partitions and has not said that it did
	UnreleasedPartition State = 2 // it waits for partitions that others have not given up
)

// LeftEpoch is a member's epoch after it has left, and StaticLeftEpoch that of a static one that will be back.
const (
	LeftEpoch       = -1
	StaticLeftEpoch = -2
)

// Member is a member as the log has it. It is never changed: an update makes a new one.
type Member struct {
	ID string

	Instance, Rack   *string
	Client, Host     string
	Topics           []string // subscribed by name: sorted, without duplicates
	Regex            string   // the topics' regular expression; "" for none
	RebalanceTimeout time.Duration
	Assignor         *string
	Classic          *Classic // nil for members that send ConsumerGroupHeartbeat

	Epoch, Previous int32
	State           State
	// Assigned is what the member may use, Revoking what it is to give up. No partition is in both, and none is with two
	// members of a group.
	Assigned, Revoking Owned
}

// Classic is what a member that uses the classic protocol brought to its group.
type Classic struct {
	SessionTimeout time.Duration
	Protocols      []Protocol
}

// Protocol is an assignment protocol of a classic member.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Owned is partitions, with the member's epoch at the time it was given each.
type Owned map[kafka.TopicID]map[int32]int32

// Equal tells whether both are the same partitions of the same epochs.
func (o Owned) Equal(other Owned) bool {
	return maps.EqualFunc(o, other, func(a, b map[int32]int32) bool { return maps.Equal(a, b) })
}

// Has tells whether the partition is in o.
func (o Owned) Has(id kafka.TopicID, partition int32) bool {
	_, ok := o[id][partition]
	return ok
}

func (o Owned) add(id kafka.TopicID, partition, epoch int32) {
	if o[id] == nil {
		o[id] = make(map[int32]int32)
	}
	o[id][partition] = epoch
}

// Partitions is o without the epochs.
func (o Owned) Partitions() assign.Assignment {
	a := make(assign.Assignment, len(o))
	for id, partitions := range o {
		a[id] = slices.Sorted(maps.Keys(partitions))
	}
	return a
}

// newMember is a member before its first record.
func newMember(id string) *Member {
	return &Member{ID: id, Previous: -1, RebalanceTimeout: -time.Millisecond}
}

func (m *Member) copy() *Member {
	c := *m
	return &c
}

// at is m in another epoch, the one before becoming the previous one.
func (m *Member) at(epoch int32, s State, assigned, revoking Owned) *Member {
	c := m.copy()
	c.Previous, c.Epoch = m.Epoch, epoch
	c.State, c.Assigned, c.Revoking = s, assigned, revoking
	return c
}

// ReconciledTo tells whether the member has all that the target of the epoch gives it.
func (m *Member) ReconciledTo(epoch int32) bool { return m.State == Stable && m.Epoch == epoch }

// describesAs tells whether the records of m and other as members, without their assignments, are the same.
func (m *Member) describesAs(other *Member) bool {
	return sameString(m.Instance, other.Instance) && sameString(m.Rack, other.Rack) && sameString(m.Assignor, other.Assignor) &&
		m.Client == other.Client && m.Host == other.Host && m.Regex == other.Regex && m.RebalanceTimeout == other.RebalanceTimeout &&
		slices.Equal(m.Topics, other.Topics) && sameClassic(m.Classic, other.Classic)
}

func (m *Member) assignedLike(other *Member) bool {
	return m.Epoch == other.Epoch && m.Previous == other.Previous && m.State == other.State &&
		m.Assigned.Equal(other.Assigned) && m.Revoking.Equal(other.Revoking)
}

func sameString(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func cloned(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

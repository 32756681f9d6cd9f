package consumer

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// The states of a group, as Kafka calls them.
const (
	StateEmpty       = "Empty"
	StateAssigning   = "Assigning"   // the target is older than the group
	StateReconciling = "Reconciling" // members are on their way to the target
	StateStable      = "Stable"
)

// State is the committed state of the group.
func (g *Group) State() string {
	e, s := g.committed(), StateEmpty
	for _, m := range g.members.AllCommitted() {
		switch {
		case e.group > e.target:
			return StateAssigning
		case !m.ReconciledTo(e.target):
			return StateReconciling
		}
		s = StateStable
	}
	return s
}

// CommittedMembers counts the members that are committed.
func (g *Group) CommittedMembers() int {
	n := 0
	for range g.members.AllCommitted() {
		n++
	}
	return n
}

// Describe is the committed group in the form of ConsumerGroupDescribe, versions 0 and 1.
func (t *Turn) Describe(g *Group) kmsg.ConsumerGroupDescribeResponseGroup {
	d := kmsg.NewConsumerGroupDescribeResponseGroup()
	e := g.committed()
	d.Group, d.State, d.Epoch, d.AssignmentEpoch = g.ID, g.State(), e.group, e.target
	votes := make(map[string]int)
	for id, m := range g.members.AllCommitted() {
		if m.Assignor != nil {
			votes[*m.Assignor]++
		}
		target, _ := g.target.Committed(id)
		dm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		dm.MemberID, dm.InstanceID, dm.RackID, dm.MemberEpoch = id, m.Instance, m.Rack, m.Epoch
		dm.ClientID, dm.ClientHost = m.Client, m.Host
		dm.SubscribedTopics, dm.SubscribedTopicRegex = slices.Clone(m.Topics), cloned(&m.Regex)
		dm.Assignment = t.named(merge(m.Assigned, m.Revoking).Partitions())
		dm.TargetAssignment = t.named(target)
		if dm.MemberType = 1; m.Classic != nil {
			dm.MemberType = 0
		}
		d.Members = append(d.Members, dm)
	}
	slices.SortFunc(d.Members, func(a, b kmsg.ConsumerGroupDescribeResponseGroupMember) int {
		return cmp.Compare(a.MemberID, b.MemberID)
	})
	d.AssignorName = t.elect(votes)
	return d
}

func merge(a, b Owned) Owned {
	all := make(Owned)
	for _, o := range []Owned{a, b} {
		for id, partitions := range o {
			for p, epoch := range partitions {
				all.add(id, p, epoch)
			}
		}
	}
	return all
}

// named is an assignment with the names of its topics; those that are gone are left out.
func (t *Turn) named(a assign.Assignment) kmsg.Assignment {
	out := kmsg.NewAssignment()
	for _, id := range sortedIDs(a) {
		if name, ok := t.Topics.Name(id); ok {
			out.TopicPartitions = append(out.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: id, Topic: name, Partitions: a[kafka.TopicID(id)]})
		}
	}
	return out
}

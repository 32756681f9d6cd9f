package share

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group/assign"
)

// States of a group, as they are described and listed.
const (
	Empty  = "Empty"
	Stable = "Stable"
)

// State is the group's state, by what is committed.
func (g *Group) State() string {
	for range g.members.AllCommitted() {
		return Stable
	}
	return Empty
}

// Describe tells what is committed of the group.
func (t *Turn) Describe(g *Group) kmsg.ShareGroupDescribeResponseGroup {
	e, ok := g.epochs.Committed(none{})
	if !ok {
		e.group = 1
	}
	resp := kmsg.NewShareGroupDescribeResponseGroup()
	resp.GroupID, resp.GroupState, resp.Assignor = g.ID, g.State(), assign.SimpleName
	resp.GroupEpoch, resp.AssignmentEpoch = e.group, e.target
	for _, id := range sortedNames(g.members.AllCommitted()) {
		m, _ := g.members.Committed(id)
		rm := kmsg.NewShareGroupDescribeResponseGroupMember()
		rm.MemberID, rm.RackID, rm.MemberEpoch, rm.ClientID, rm.ClientHost = m.ID, m.Rack, m.Epoch, m.Client, m.Host
		rm.SubscribedTopicNames = m.Topics
		for _, topic := range sortedIDs(m.Assigned) {
			if name, ok := t.Topics.Name(topic); ok {
				rm.Assignment.TopicPartitions = append(rm.Assignment.TopicPartitions,
					kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{TopicID: topic, Topic: name, Partitions: m.Assigned[topic]})
			}
		}
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

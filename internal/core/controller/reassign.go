package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// alterReassignments begins, replaces and cancels reassignments (KIP-455). Each partition is answered by itself.
//
// A partition that is reassigned has the replicas of its target first and behind them those that it is to lose, so that it
// stays as safe as it was until all new ones are in sync. Which of them are new and which go is kept beside, and
// finishReassignment drops the old ones in the change that makes the last new one an in-sync replica.
func (s *step) alterReassignments(req *kmsg.AlterPartitionAssignmentsRequest) (*kmsg.AlterPartitionAssignmentsResponse, error) {
	total := 0
	for i := range req.Topics {
		total += len(req.Topics[i].Partitions)
	}
	if total > MaxRecords {
		return nil, problem(kerr.PolicyViolation, "Unable to perform excessively large batch operation.")
	}
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	seen := make(map[kafka.TopicPartition]bool, total)
	for i := range req.Topics {
		asked := &req.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = asked.Topic
		for j := range asked.Partitions {
			p := &asked.Partitions[j]
			at := kafka.TopicPartition{Topic: asked.Topic, Partition: p.Partition}
			var refused *Problem
			if seen[at] {
				refused = problem(kerr.InvalidRequest, "Each partition must appear at most once.")
			} else {
				refused = s.alterReassignment(at, p.Replicas, req.AllowReplicationFactorChange)
			}
			seen[at] = true
			out.Partitions = append(out.Partitions, reassignmentAnswer(p.Partition, refused))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func reassignmentAnswer(partition int32, p *Problem) kmsg.AlterPartitionAssignmentsResponseTopicPartition {
	out := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
	out.Partition = partition
	if p != nil {
		out.ErrorCode, out.ErrorMessage = p.Code.Code, p.message()
	}
	return out
}

// alterReassignment moves one partition to the target, or cancels what goes on where the target is nil.
func (s *step) alterReassignment(at kafka.TopicPartition, target []int32, otherFactor bool) *Problem {
	t, ok := s.img.Topic(at.Topic)
	if !ok {
		return problem(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", at.Topic)
	}
	if at.Partition < 0 || int(at.Partition) >= len(t.Partitions) {
		return problem(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", at.Topic, at.Partition)
	}
	c := s.newChange(t, at.Partition)
	if target == nil {
		return s.cancelReassignment(c)
	}
	if p := s.checkReplicas(target, -1); p != nil {
		return p
	}
	if factor := len(without(c.replicas, c.removing)); !otherFactor && factor != len(target) {
		return problem(kerr.InvalidReplicationFactor, "The replication factor is changed from %d to %d", factor, len(target))
	}
	c.reassign(toNodes(target))
	s.commit(c)
	return nil
}

// reassign makes the partition one that moves to the target. A reassignment that goes on is replaced: what it was to add and
// the target does not name goes at once, and what it was to remove is still there to go back to.
//
// Apache Kafka's controller has the replicas that an earlier reassignment was adding removed like old ones, so that
// cancelling the later one leaves them behind. KIP-455 asks for this.
func (c *change) reassign(target []kafka.NodeID) {
	origin := without(c.replicas, c.adding)
	kept := func(ids []kafka.NodeID) []kafka.NodeID {
		return slices.DeleteFunc(slices.Clone(ids), func(id kafka.NodeID) bool {
			return !slices.Contains(target, id) && !slices.Contains(origin, id)
		})
	}
	if c.trusted() && len(kept(c.isr))+len(kept(c.elr)) == 0 {
		// Only replicas that would go hold the records: they stay until others have them.
		origin = append(origin, slices.DeleteFunc(slices.Clone(c.adding), func(id kafka.NodeID) bool {
			return !slices.Contains(c.isr, id) && !slices.Contains(c.elr, id)
		})...)
	}
	c.isr, c.elr = kept(c.isr), kept(c.elr)
	c.adding, c.removing = without(target, origin), without(origin, target)
	slices.Sort(c.adding)
	// The old ones keep their order, so that whom the partition prefers is known again when all this is cancelled.
	c.replicas = append(slices.Clone(target), c.removing...)
}

// trusted tells whether some replica is known to hold all that was acknowledged.
func (c *change) trusted() bool { return len(c.isr)+len(c.elr) > 0 }

// cancelReassignment gives a partition the replicas that it had before.
func (s *step) cancelReassignment(c *change) *Problem {
	if !c.moving() {
		return problem(kerr.NoReassignmentInProgress, "No partition reassignment is in progress.")
	}
	added, trusted := c.adding, c.trusted()
	c.replicas, c.adding, c.removing = without(c.replicas, added), nil, nil
	c.isr, c.elr = without(c.isr, added), without(c.elr, added)
	if len(c.replicas) == 0 {
		return problem(kerr.InvalidReplicaAssignment, "Invalid replica assignment: addingReplicas contains all replicas.")
	}
	if trusted && !c.trusted() {
		// All that was acknowledged is on replicas that would go.
		if !s.uncleanAllowed(c.topic) {
			return problem(kerr.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.",
				c.topic.Name, c.partition)
		}
		i := max(0, slices.IndexFunc(c.replicas, func(id kafka.NodeID) bool { return s.mayLead(c, id) }))
		c.isr, c.recovery, c.election = c.replicas[i:i+1:i+1], recovering, electUnclean
	}
	s.commit(c)
	return nil
}

// moving tells whether a reassignment goes on.
func (c *change) moving() bool { return len(c.adding)+len(c.removing) > 0 }

// finishReassignment ends the reassignment of a partition whose new replicas are all in sync. One that makes replicas fewer
// waits for all that stay: otherwise those in sync could be fewer after it than before, and fewer than anybody asked for.
func (s *step) finishReassignment(c *change) {
	if !c.moving() {
		return
	}
	replicas, isr := without(c.replicas, c.removing), without(c.isr, c.removing)
	if len(replicas) == 0 || len(isr) == 0 || len(without(c.adding, isr)) > 0 {
		return
	}
	if len(c.adding) < len(c.removing) && len(without(replicas, isr)) > 0 {
		return
	}
	c.replicas, c.isr, c.elr = replicas, isr, without(c.elr, c.removing)
	c.adding, c.removing = nil, nil
}

// listReassignments answers with the reassignments that go on, of the partitions that are named or of all.
func (s *step) listReassignments(req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	add := func(t *metadata.Topic, partitions []int32) {
		out := kmsg.NewListPartitionReassignmentsResponseTopic()
		out.Topic = t.Name
		for _, n := range partitions {
			if n < 0 || int(n) >= len(t.Partitions) {
				continue
			}
			if p := &t.Partitions[n]; len(p.AddingReplicas)+len(p.RemovingReplicas) > 0 {
				out.Partitions = append(out.Partitions, reassignmentOf(n, p))
			}
		}
		if len(out.Partitions) > 0 {
			resp.Topics = append(resp.Topics, out)
		}
	}
	if req.Topics == nil {
		for t := range s.img.Topics() {
			all := make([]int32, len(t.Partitions))
			for i := range all {
				all[i] = int32(i)
			}
			add(t, all)
		}
		return resp
	}
	for i := range req.Topics {
		if t, ok := s.img.Topic(req.Topics[i].Topic); ok {
			add(t, req.Topics[i].Partitions)
		}
	}
	return resp
}

func reassignmentOf(n int32, p *metadata.Partition) kmsg.ListPartitionReassignmentsResponseTopicPartition {
	out := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
	out.Partition = n
	out.Replicas, out.AddingReplicas, out.RemovingReplicas = fromNodes(p.Replicas), fromNodes(p.AddingReplicas), fromNodes(p.RemovingReplicas)
	return out
}

func toNodes(ids []int32) []kafka.NodeID {
	nodes := make([]kafka.NodeID, len(ids))
	for i, id := range ids {
		nodes[i] = kafka.NodeID(id)
	}
	return nodes
}

func fromNodes(nodes []kafka.NodeID) []int32 {
	ids := make([]int32, len(nodes))
	for i, id := range nodes {
		ids[i] = int32(id)
	}
	return ids
}

package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// A node with several log directories serves the partitions of one though another has failed (KIP-858). For that the metadata knows
// which directory each replica is in: a node that has one has it there, one with several chooses, and says so with
// AssignReplicasToDirs. The directories of a node's registration are those that are online: a heartbeat takes the failed ones out.
// A replica in a directory that its node does not have online leads nothing and is in no ISR. Which of the two is told first, where
// a replica is or that its directory has failed, does not matter: either one has it leave.

// loseDirs takes directories that went offline out of a node's registration, and their replicas out of what they serve. It answers
// false, and changes nothing, where none would be left.
func (s *step) loseDirs(n *metadata.Node, offline [][16]byte) (some bool) {
	gone := func(dir kafka.TopicID) bool { return slices.Contains(offline, [16]byte(dir)) }
	left := slices.DeleteFunc(slices.Clone(n.LogDirs), gone)
	switch {
	case len(left) == len(n.LogDirs):
		return true
	case len(left) == 0:
		return false
	}
	s.enact(&metadata.BrokerRegistrationChangeRecord{Node: n.ID, Epoch: n.Epoch, LogDirs: left})
	s.eachPartition(func(t *metadata.Topic, i int32, p *metadata.Partition) {
		if dir := p.Directory(n.ID); slices.Contains(n.LogDirs, dir) && gone(dir) {
			c := s.newChange(t, i)
			s.leaveDir(c, n.ID)
			s.commit(c)
		}
	})
	return true
}

// leaveDir takes a replica out of the in-sync ones because its directory is offline. If the directory comes back it holds what was
// flushed, and no more: see holding. A leader epoch begins, since the leader knows how far the replica had come, and would propose
// it again.
func (s *step) leaveDir(c *change, id kafka.NodeID) {
	c.newEpoch = slices.Contains(c.isr, id)
	c.isr = without(c.isr, []kafka.NodeID{id})
	if !s.flushes(c.topic) {
		c.doubted = []kafka.NodeID{id}
	}
}

// assignReplicasToDirs notes in which directories a node has its replicas.
func (s *step) assignReplicasToDirs(req *kmsg.AssignReplicasToDirsRequest) (*kmsg.AssignReplicasToDirsResponse, error) {
	n, p := s.incarnation(req.BrokerID, req.BrokerEpoch)
	if p != nil {
		return nil, p
	}
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	for i := range req.Directories {
		dir := kmsg.NewAssignReplicasToDirsResponseDirectory()
		dir.ID = req.Directories[i].ID
		for _, t := range req.Directories[i].Topics {
			topic := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
			topic.TopicID = t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
				part.Partition = p.Partition
				if code := s.assignReplica(n, dir.ID, t.TopicID, p.Partition); code != nil {
					part.ErrorCode = code.Code
				}
				topic.Partitions = append(topic.Partitions, part)
			}
			dir.Topics = append(dir.Topics, topic)
		}
		resp.Directories = append(resp.Directories, dir)
	}
	s.implied = len(s.records) // a node tells of as many as it has
	return resp, nil
}

func (s *step) assignReplica(n *metadata.Node, dir, topic kafka.TopicID, partition int32) *kerr.Error {
	t, ok := s.img.TopicByID(topic)
	switch {
	case metadata.ReservedDir(dir) && dir != metadata.LostDir:
		return kerr.InvalidRequest
	case !ok:
		return kerr.UnknownTopicID
	case partition < 0 || int(partition) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition
	case !slices.Contains(t.Partitions[partition].Replicas, n.ID):
		return kerr.NotLeaderForPartition
	case t.Partitions[partition].Directory(n.ID) == dir:
		return nil
	}
	c := s.newChange(t, partition)
	c.assigned = &assignment{n.ID, dir}
	if !n.HasDir(dir) {
		s.leaveDir(c, n.ID)
	}
	s.commit(c)
	return nil
}

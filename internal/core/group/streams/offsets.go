package streams

import (
	"github.com/twmb/franz-go/pkg/kerr"
)

// commitKnowsEpochs is the first version of OffsetCommit that carries a member epoch.
const commitKnowsEpochs = 9

// Commit is who commits offsets.
type Commit struct {
	Member        string
	Instance      *string
	Epoch         int32
	Transactional bool
	Version       int16 // of OffsetCommit
}

// MayCommit refuses who may not commit at all, and returns what says so for a partition; nil when it may for all. A member
// that has not heard of its new epoch may commit for the tasks that it had before and still has.
func (g *Group) MayCommit(c Commit) (func(topic string, partition int32) error, error) {
	if c.Epoch < 0 && (g.Members() == 0 || c.Transactional && c.Epoch == -1 && c.Member == "" && c.Instance == nil) {
		return nil, nil
	}
	m := g.Member(c.Member)
	if m == nil {
		return nil, g.unknown(c.Member)
	}
	if !c.Transactional && c.Version < commitKnowsEpochs {
		return nil, refuse(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the streams group protocol")
	}
	switch {
	case c.Epoch == m.Epoch:
		return nil, nil
	case c.Epoch > m.Epoch:
		return nil, refuse(kerr.StaleMemberEpoch, "Received member epoch %d is newer than current member epoch %d.", c.Epoch, m.Epoch)
	}
	topology := g.currentTopology()
	if topology == nil {
		return nil, refuse(kerr.StaleMemberEpoch, "Topology is not available for offset commit validation.")
	}
	return func(topic string, partition int32) error {
		subtopology, ok := topology.sourceOf[topic]
		if !ok {
			return refuse(kerr.StaleMemberEpoch, "Topic %s is not in the topology.", topic)
		}
		t := Task{subtopology, partition}
		epoch, ok := m.Assigned[Active][t]
		if !ok {
			epoch, ok = m.Revoking[Active][t]
		}
		switch {
		case !ok:
			return refuse(kerr.StaleMemberEpoch, "Task %s-%d is not assigned or pending revocation for member.", subtopology, partition)
		case c.Epoch < epoch:
			return refuse(kerr.StaleMemberEpoch, "Received member epoch %d is older than assignment epoch %d for task %s-%d.", c.Epoch, epoch, subtopology, partition)
		}
		return nil
	}, nil
}

// MayFetch refuses a member of another epoch. Without a member anybody may read.
func (g *Group) MayFetch(member *string, epoch int32) error {
	if member == nil && epoch < 0 {
		return nil
	}
	if member == nil {
		return g.unknown("null")
	}
	m, ok := g.members.Committed(*member)
	if !ok {
		return g.unknown(*member)
	}
	if epoch != m.Epoch {
		return refuse(kerr.StaleMemberEpoch, "The received member epoch %d does not match the expected member epoch %d.", epoch, m.Epoch)
	}
	return nil
}

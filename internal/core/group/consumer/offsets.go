package consumer

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
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
// that has not heard of its new epoch may commit what it had before and still has.
func (g *Group) MayCommit(c Commit) (func(kafka.TopicID, int32) error, error) {
	if c.Epoch < 0 && (g.Members() == 0 || c.Transactional && c.Member == "" && c.Instance == nil) {
		return nil, nil
	}
	m := g.Member(c.Member)
	if m == nil {
		return nil, g.unknown(c.Member)
	}
	if !c.Transactional && m.Classic == nil && c.Version < commitKnowsEpochs {
		return nil, refuse(kerr.UnsupportedVersion, "OffsetCommit version 9 or above must be used by members using the consumer group protocol")
	}
	switch stale := m.stale(); {
	case c.Epoch == m.Epoch:
		return nil, nil
	case c.Epoch > m.Epoch:
		return nil, refuse(stale, "Received member epoch %d is newer than current member epoch %d.", c.Epoch, m.Epoch)
	default:
		return func(id kafka.TopicID, p int32) error {
			epoch, ok := m.Assigned[id][p]
			if !ok {
				epoch, ok = m.Revoking[id][p]
			}
			if !ok {
				return refuse(stale, "Partition %v-%d is not assigned or pending revocation for member.", id, p)
			}
			if c.Epoch < epoch {
				return refuse(stale, "Received member epoch %d is older than assignment epoch %d for partition %v-%d.", c.Epoch, epoch, id, p)
			}
			return nil
		}, nil
	}
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
		return refuse(m.stale(), "The received member epoch %d does not match the expected member epoch %d.", epoch, m.Epoch)
	}
	return nil
}

// stale is what a member is told whose epoch is old: its protocol's word for it.
func (m *Member) stale() *kerr.Error {
	if m.Classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

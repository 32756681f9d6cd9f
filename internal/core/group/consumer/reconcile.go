package consumer

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/assign"
)

// reconciliation is one step of a member towards its target. A partition changes hands in three steps: the member that has
// it is told to give it up and keeps it in Revoking; it reports partitions without it; only then it is nobody's, and the
// member whose target has it is given it. So no two members ever have the same one.
type reconciliation struct {
	epoch  int32 // of the target
	target assign.Assignment
	// wants tells whether the member subscribes to a topic. What it no longer wants it gives up without waiting for a target.
	wants func(kafka.TopicID) bool
	// subscriptionChanged: by the request at hand.
	subscriptionChanged bool
	// taken tells whether somebody, perhaps the member itself, has the partition.
	taken func(kafka.TopicID, int32) bool
	// reported are the partitions that the member says it has; nil when it did not say.
	reported []kmsg.ConsumerGroupHeartbeatRequestTopic
}

// step is m as far on its way as is safe: m itself when nothing can be done.
func (r *reconciliation) step(m *Member) *Member {
	switch m.State {
	case Stable:
		switch {
		case m.Epoch != r.epoch:
			return r.next(m)
		case r.subscriptionChanged:
			return r.shrink(m)
		}
		return m
	case UnrevokedPartitions:
		if !r.holds(m.Revoking) {
			return r.next(m)
		}
		if r.subscriptionChanged {
			return r.shrink(m)
		}
		return m
	}
	return r.next(m)
}

// holds tells whether the member has, or may have, any of the partitions.
func (r *reconciliation) holds(partitions Owned) bool {
	if r.reported == nil {
		return true
	}
	for _, topic := range r.reported {
		for _, p := range topic.Partitions {
			if partitions.Has(topic.TopicID, p) {
				return true
			}
		}
	}
	return false
}

// shrink takes from m what it no longer wants.
func (r *reconciliation) shrink(m *Member) *Member {
	kept, revoking := make(Owned), make(Owned)
	for id, partitions := range m.Revoking {
		for p, epoch := range partitions {
			revoking.add(id, p, epoch)
		}
	}
	unwanted := false
	for id, partitions := range m.Assigned {
		if r.wants(id) {
			kept[id] = partitions
			continue
		}
		unwanted = true
		for p, epoch := range partitions {
			revoking.add(id, p, epoch)
		}
	}
	switch {
	case !unwanted:
		return m
	case r.holds(revoking):
		return m.at(m.Epoch, UnrevokedPartitions, kept, revoking)
	}
	return m.at(m.Epoch, m.State, kept, m.Revoking)
}

// next goes on towards the target: first by giving up what is not in it, then by taking what is nobody's.
func (r *reconciliation) next(m *Member) *Member {
	kept, revoking := make(Owned), make(Owned)
	for id, partitions := range m.Assigned {
		wanted := r.wants(id)
		for p, epoch := range partitions {
			if wanted && r.target.Has(id, p) {
				kept.add(id, p, epoch)
			} else {
				revoking.add(id, p, epoch)
			}
		}
	}
	if len(revoking) > 0 && r.holds(revoking) {
		return m.at(m.Epoch, UnrevokedPartitions, kept, revoking)
	}
	state := Stable
	for id, partitions := range r.target {
		if !r.wants(id) {
			continue
		}
		for _, p := range partitions {
			switch {
			case m.Assigned.Has(id, p):
			case m.Revoking.Has(id, p) || !r.taken(id, p):
				kept.add(id, p, r.epoch)
			default:
				state = UnreleasedPartition
			}
		}
	}
	return m.at(r.epoch, state, kept, nil)
}

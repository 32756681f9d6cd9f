package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// registerNode answers a repeated registration of the same incarnation with the epoch it has.
func (s *step) registerNode(req RegisterNode) (RegisteredNode, error) {
	old, known := s.img.Node(req.ID)
	switch {
	case req.ID < 0:
		return RegisteredNode{}, problem(kerr.InvalidRequest, "Invalid negative broker ID.")
	case len(req.Listeners) == 0:
		return RegisteredNode{}, problem(kerr.InvalidRegistration, "Broker %d has no listener.", req.ID)
	case known && old.Incarnation == req.Incarnation:
		return RegisteredNode{Epoch: old.Epoch}, nil
	}
	if p := s.checkFeatures(req); p != nil {
		return RegisteredNode{}, p
	}
	// A node's epoch is the offset of the record that registers it: the first of this batch.
	epoch := int64(s.img.Offset()) + 1
	s.add(&metadata.RegisterBrokerRecord{
		Node: req.ID, Incarnation: req.Incarnation, Epoch: epoch, Listeners: req.Listeners, Features: req.Features,
		Rack: req.Rack, Fenced: req.Fenced, LogDirs: req.LogDirs,
	})
	s.settleRegistration(req, known && old.Active())
	return RegisteredNode{Epoch: epoch}, nil
}

// settleRegistration makes the partitions follow what a registration says of its node.
func (s *step) settleRegistration(req RegisterNode, wasActive bool) {
	switch {
	case req.Fenced && wasActive:
		s.moveLeadersAway(req.ID)
	case !req.Fenced && !wasActive:
		s.giveLeadersBack(req.ID)
	case !req.Fenced && req.Unclean:
		s.newLeaderEpochs(req.ID)
	}
}

// checkFeatures refuses a node that does not support what the cluster has finalised.
func (s *step) checkFeatures(req RegisterNode) *Problem {
	for _, name := range sortedKeys(s.img.Features()) {
		level := s.img.Features()[name]
		i := slices.IndexFunc(req.Features, func(f metadata.FeatureRange) bool { return f.Name == name })
		if i < 0 {
			continue // features that a node does not name are not its business
		}
		if f := req.Features[i]; level < f.Min || level > f.Max {
			return problem(kerr.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. "+
				"The broker wants a version between %d and %d, inclusive.", level, name, f.Min, f.Max)
		}
	}
	return nil
}

func (s *step) fenceNode(req FenceNode) (FencedNode, error) {
	n, ok := s.img.Node(req.ID)
	switch {
	case !ok:
		return FencedNode{}, problem(kerr.BrokerIDNotRegistered, "No node with id %d found.", req.ID)
	case n.Epoch != req.Epoch:
		return FencedNode{}, problem(kerr.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", n.Epoch, req.Epoch)
	case n.Fenced == req.Fenced:
		return FencedNode{}, nil
	case req.Fenced:
		s.add(metadata.FenceBroker(n.ID, n.Epoch))
		s.moveLeadersAway(n.ID)
	default:
		s.add(metadata.UnfenceBroker(n.ID, n.Epoch))
		s.giveLeadersBack(n.ID)
	}
	return FencedNode{Changed: true}, nil
}

// moveLeadersAway takes a node that is no longer active out of every ISR that has another member, and its leadership
// with it. Where it is the last member it stays, so that only it can lead again, and the partition has no leader.
func (s *step) moveLeadersAway(id kafka.NodeID) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if !slices.Contains(p.ISR, id) && p.Leader != id {
			return
		}
		change := metadata.NewPartitionChange(t.ID, n)
		isr := p.ISR
		if rest := slices.DeleteFunc(slices.Clone(isr), func(m kafka.NodeID) bool { return m == id }); len(rest) > 0 {
			change.ISR, isr = rest, rest
		}
		if p.Leader == id {
			change.Leader = s.firstActive(p.Replicas, isr, id)
		}
		if change.ISR != nil || change.Leader != metadata.LeaderUnchanged {
			s.add(change)
		}
	})
}

// firstActive is the first replica in sync that may lead, other than not; NoNode when there is none.
func (s *step) firstActive(replicas, isr []kafka.NodeID, not kafka.NodeID) kafka.NodeID {
	for _, id := range replicas {
		if n, ok := s.img.Node(id); ok && n.Active() && id != not && slices.Contains(isr, id) {
			return id
		}
	}
	return kafka.NoNode
}

// giveLeadersBack lets a node that became active lead the partitions that have no leader and trust it.
func (s *step) giveLeadersBack(id kafka.NodeID) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if p.Leader == kafka.NoNode && slices.Contains(p.ISR, id) {
			change := metadata.NewPartitionChange(t.ID, n)
			change.Leader = id
			s.add(change)
		}
	})
}

// newLeaderEpochs begins a new leader epoch where a node leads. After an unclean stop its log may lack what readers saw
// (durability=os), and they find out where by the epoch's start.
func (s *step) newLeaderEpochs(id kafka.NodeID) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if p.Leader == id {
			change := metadata.NewPartitionChange(t.ID, n)
			change.Leader = id
			s.add(change)
		}
	})
}

func (s *step) eachPartition(visit func(t *metadata.Topic, n int32, p *metadata.Partition)) {
	for t := range s.img.Topics() {
		for n := range t.Partitions {
			visit(t, int32(n), &t.Partitions[n])
		}
	}
}

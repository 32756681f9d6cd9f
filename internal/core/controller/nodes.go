package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// heartbeat moves a node through its states: fenced, active, on its way out. The time that passes between heartbeats is not
// the business of this package: who watches it asks for FenceNode.
// A node none of whose log directories is online is fenced.
func (s *step) heartbeat(req *kmsg.BrokerHeartbeatRequest) (*kmsg.BrokerHeartbeatResponse, error) {
	n, p := s.incarnation(req.BrokerID, req.BrokerEpoch)
	if p != nil {
		return nil, p
	}
	resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
	resp.IsCaughtUp = req.CurrentMetadataOffset >= n.Epoch
	wantFence := req.WantFence || !s.loseDirs(n, req.OfflineLogDirs)
	switch {
	case n.Fenced && req.WantShutdown:
		resp.ShouldShutdown = true
	case n.Fenced:
		if !wantFence && resp.IsCaughtUp {
			s.unfence(n)
		}
	case wantFence:
		s.fence(n)
		resp.ShouldShutdown = req.WantShutdown
	case n.InControlledShutdown || req.WantShutdown:
		resp.ShouldShutdown = s.shutDown(n)
	}
	now, _ := s.img.Node(n.ID)
	resp.IsFenced = now.Fenced
	return resp, nil
}

// incarnation finds the node that a request of its own names, and refuses one of an incarnation before.
func (s *step) incarnation(id int32, epoch int64) (*metadata.Node, *Problem) {
	n, ok := s.img.Node(kafka.NodeID(id))
	switch {
	case !ok:
		return nil, problem(kerr.StaleBrokerEpoch, "No broker registration found for broker id %d", id)
	case n.Epoch != epoch:
		return nil, problem(kerr.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", n.Epoch, epoch)
	}
	return n, nil
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
		s.fence(n)
	default:
		s.unfence(n)
	}
	return FencedNode{Changed: true}, nil
}

func (s *step) fence(n *metadata.Node) {
	s.enact(metadata.FenceBroker(n.ID, n.Epoch))
	s.leaveISRs(n.ID)
}

// unfence lets the node lead what has no leader.
func (s *step) unfence(n *metadata.Node) {
	s.enact(metadata.UnfenceBroker(n.ID, n.Epoch))
	s.eachPartition(func(t *metadata.Topic, i int32, p *metadata.Partition) {
		if p.Leader == kafka.NoNode && slices.Contains(p.Replicas, n.ID) {
			s.commit(s.newChange(t, i))
		}
	})
}

// shutDown moves what an active node leads to others, and tells whether it may go. It may when it leads nothing any more,
// which it hears with the heartbeat after the one that moved its partitions: everybody has had the time to learn of it.
func (s *step) shutDown(n *metadata.Node) (may bool) {
	leads := false
	s.eachPartition(func(_ *metadata.Topic, _ int32, p *metadata.Partition) { leads = leads || p.Leader == n.ID })
	if !leads {
		s.fence(n)
		return true
	}
	if !n.InControlledShutdown {
		s.enact(&metadata.BrokerRegistrationChangeRecord{Node: n.ID, Epoch: n.Epoch, InControlledShutdown: 1})
	}
	s.leaveISRs(n.ID)
	return false
}

// unregisterBroker forgets a node. What it alone can lead stays so: it may come back.
func (s *step) unregisterBroker(req *kmsg.UnregisterBrokerRequest) (*kmsg.UnregisterBrokerResponse, error) {
	n, ok := s.img.Node(kafka.NodeID(req.BrokerID))
	if !ok {
		return nil, problem(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", req.BrokerID)
	}
	s.enact(metadata.UnregisterBroker(n.ID, n.Epoch))
	s.leaveISRs(n.ID)
	return req.ResponseKind().(*kmsg.UnregisterBrokerResponse), nil
}

// leaveISRs takes a node that is no longer active out of every ISR, and its leadership with it. Where eligible replicas are
// not kept, the last one in sync stays, and the partition has no leader until it is back.
func (s *step) leaveISRs(id kafka.NodeID) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if p.Leader == id || slices.Contains(p.ISR, id) {
			c := s.newChange(t, n)
			c.isr = without(p.ISR, []kafka.NodeID{id})
			s.commit(c)
		}
	})
}

// eachPartition walks all partitions. What a request does to so many of them follows from it, and is not what it asked for:
// those records do not count against MaxRecords.
func (s *step) eachPartition(visit func(t *metadata.Topic, n int32, p *metadata.Partition)) {
	before := len(s.records)
	for t := range s.img.Topics() {
		for n := range t.Partitions {
			visit(t, int32(n), &t.Partitions[n])
		}
	}
	s.implied += len(s.records) - before
}

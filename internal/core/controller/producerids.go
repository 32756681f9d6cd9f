package controller

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func (s *step) allocateProducerIDs(req AllocateProducerIDs) (ProducerIDs, error) {
	n, ok := s.img.Node(req.Node)
	switch {
	case !ok:
		return ProducerIDs{}, problem(kerr.StaleBrokerEpoch, "No broker registration found for broker id %d", req.Node)
	case n.Epoch != req.Epoch:
		return ProducerIDs{}, problem(kerr.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", n.Epoch, req.Epoch)
	}
	first := s.img.NextProducerID()
	if first > math.MaxInt64-ProducerIDBlock {
		return ProducerIDs{}, problem(kerr.UnknownServerError, "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")
	}
	s.add(&metadata.ProducerIDsRecord{Node: req.Node, NodeEpoch: req.Epoch, Next: first + ProducerIDBlock})
	return ProducerIDs{First: first, Count: ProducerIDBlock}, nil
}

func (s *step) raiseProducerIDs(req RaiseProducerIDs) RaisedProducerIDs {
	if req.Next > s.img.NextProducerID() {
		s.add(&metadata.ProducerIDsRecord{Node: kafka.NoNode, NodeEpoch: -1, Next: req.Next})
	}
	return RaisedProducerIDs{}
}

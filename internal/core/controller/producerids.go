package controller

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// allocateProducerIDs gives a node a block of producer ids that no one else gets.
func (s *step) allocateProducerIDs(req *kmsg.AllocateProducerIDsRequest) (*kmsg.AllocateProducerIDsResponse, error) {
	n, p := s.incarnation(req.BrokerID, req.BrokerEpoch)
	if p != nil {
		return nil, p
	}
	first := s.img.NextProducerID()
	if first > math.MaxInt64-ProducerIDBlock {
		return nil, problem(kerr.UnknownServerError, "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")
	}
	s.add(&metadata.ProducerIDsRecord{Node: n.ID, NodeEpoch: n.Epoch, Next: first + ProducerIDBlock})
	resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	resp.ProducerIDStart, resp.ProducerIDLen = int64(first), ProducerIDBlock
	return resp, nil
}

func (s *step) raiseProducerIDs(req RaiseProducerIDs) RaisedProducerIDs {
	if req.Next > s.img.NextProducerID() {
		s.add(&metadata.ProducerIDsRecord{Node: kafka.NoNode, NodeEpoch: -1, Next: req.Next})
	}
	return RaisedProducerIDs{}
}

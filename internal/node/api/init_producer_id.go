package api

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// initProducerID gives an idempotent producer its id. Whatever id it had before, it gets a new one at epoch 0: only a
// transactional id would tie the two together.
func (s *Server) initProducerID(ctx context.Context, _ *Call, req *kmsg.InitProducerIDRequest) Response {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	id, err := s.newProducerID(ctx, req)
	if err != nil {
		resp.ErrorCode = s.codeOf(err, "init producer id")
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	return resp
}

func (s *Server) newProducerID(ctx context.Context, init *kmsg.InitProducerIDRequest) (kafka.ProducerID, error) {
	switch {
	case init.TransactionalID != nil && *init.TransactionalID == "":
		return 0, fmt.Errorf("transactional id is empty: %w", kerr.InvalidRequest)
	case (init.ProducerID < 0) != (init.ProducerEpoch < 0):
		return 0, fmt.Errorf("producer id %d with epoch %d: %w", init.ProducerID, init.ProducerEpoch, kerr.InvalidRequest)
	case init.TransactionalID != nil:
		return 0, errNoTransactions
	}
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID = int32(s.NodeID)
	if n, ok := s.Metadata.Image().Node(s.NodeID); ok {
		req.BrokerEpoch = n.Epoch
	}
	return s.producerIDs.next(ctx, s.Controller, req)
}

// producerIDs gives out the ids of a block that the controller granted to this node, and asks for the next block when it is
// used up. A block that is lost with the process is never given out again.
type producerIDs struct {
	mu          sync.Mutex
	first, left int64
}

func (p *producerIDs) next(ctx context.Context, c Controller, req *kmsg.AllocateProducerIDsRequest) (kafka.ProducerID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		reply, err := c.Submit(ctx, req)
		if err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", err)
		}
		block, ok := reply.(*kmsg.AllocateProducerIDsResponse)
		if !ok {
			return 0, fmt.Errorf("controller answered %T to a request for producer ids", reply)
		}
		if err := kerr.ErrorForCode(block.ErrorCode); err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", err)
		}
		if block.ProducerIDLen <= 0 {
			return 0, fmt.Errorf("controller allocated %d producer ids", block.ProducerIDLen)
		}
		p.first, p.left = block.ProducerIDStart, int64(block.ProducerIDLen)
	}
	id := p.first
	p.first++
	p.left--
	return kafka.ProducerID(id), nil
}

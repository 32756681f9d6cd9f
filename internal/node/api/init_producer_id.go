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
func (s *Server) initProducerID(ctx context.Context, c *Call, req *kmsg.InitProducerIDRequest) Response {
	if req.TransactionalID != nil && *req.TransactionalID != "" && s.Txns != nil {
		return s.askTxn(ctx, c, *req.TransactionalID, req)
	}
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
	return s.NewProducerID(ctx)
}

// NewProducerID gives an id that no producer has had. The error is COORDINATOR_LOAD_IN_PROGRESS or ctx's.
func (s *Server) NewProducerID(ctx context.Context) (kafka.ProducerID, error) {
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
	asking      *blockRequest // nil while nobody asks
}

// blockRequest is a request for a block: all who come while it is under way share what becomes of it, so that they do not
// wait one after the other where no controller answers.
type blockRequest struct {
	done chan struct{}
	err  error // set before done is closed
}

func (p *producerIDs) next(ctx context.Context, c Controller, req *kmsg.AllocateProducerIDsRequest) (kafka.ProducerID, error) {
	for {
		p.mu.Lock()
		if p.left > 0 {
			id := p.first
			p.first++
			p.left--
			p.mu.Unlock()
			return kafka.ProducerID(id), nil
		}
		ask, mine := p.asking, false
		if ask == nil {
			ask, mine = &blockRequest{done: make(chan struct{})}, true
			p.asking = ask
		}
		p.mu.Unlock()
		if mine {
			p.fill(ctx, c, req, ask)
		}
		select {
		case <-ask.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if ask.err != nil {
			return 0, ask.err
		}
	}
}

// fill gets a block. Whatever hinders it, a producer is told to come back, as Apache Kafka does it.
func (p *producerIDs) fill(ctx context.Context, c Controller, req *kmsg.AllocateProducerIDsRequest, ask *blockRequest) {
	first, count, err := allocate(ctx, c, req)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		ask.err = fmt.Errorf("allocate producer ids: %w: %v", kerr.CoordinatorLoadInProgress, err)
	} else {
		p.first, p.left = first, count
	}
	p.asking = nil
	close(ask.done)
}

func allocate(ctx context.Context, c Controller, req *kmsg.AllocateProducerIDsRequest) (first, count int64, err error) {
	reply, err := c.Submit(ctx, req)
	if err != nil {
		return 0, 0, err
	}
	block, ok := reply.(*kmsg.AllocateProducerIDsResponse)
	switch {
	case !ok:
		return 0, 0, fmt.Errorf("the controller answered %T", reply)
	case block.ErrorCode != 0:
		return 0, 0, kerr.ErrorForCode(block.ErrorCode)
	case block.ProducerIDLen <= 0:
		return 0, 0, fmt.Errorf("the controller allocated %d of them", block.ProducerIDLen)
	}
	return block.ProducerIDStart, int64(block.ProducerIDLen), nil
}

package app

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/txn"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/node/markers"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/node/txns"
	"github.com/headrace/headrace/internal/node/verify"
)

// What Kafka's keys of transactions have by default. They cannot be set while transactions are served as unstable APIs alone.
const (
	txnLogPartitions   = 50                 // transaction.state.log.num.partitions
	txnLogReplication  = 3                  // transaction.state.log.replication.factor; at most, as with __consumer_offsets
	txnLogMinISR       = 2                  // transaction.state.log.min.isr
	txnLogSegmentBytes = 100 << 20          // transaction.state.log.segment.bytes
	txnMaxTimeout      = 15 * time.Minute   // transaction.max.timeout.ms
	txnExpiration      = 7 * 24 * time.Hour // transactional.id.expiration.ms
	txnSweep           = time.Hour          // transaction.remove.expired.transaction.cleanup.interval.ms
)

// newTxns makes the transaction coordinator and what it works by. As with groups, the topic that exists decides how ids are spread.
func (n *Node) newTxns(img *metadata.Image) {
	partitions := int32(txnLogPartitions)
	if t, ok := img.Topic(kafka.TxnTopic); ok {
		partitions = int32(len(t.Partitions))
	}
	n.asking = &asking{dial: n.dial, conns: map[kafka.NodeID][]*link.Conn{}}
	n.markers = markers.New(markers.Config{
		Self: n.Config.ID, Sync: n.syncMetadata, Local: n.writeTxnMarkers,
		Leader: func(tp kafka.TopicPartition) (kafka.NodeID, bool) {
			p, ok := n.image.Load().Partition(tp)
			return p.Leader, ok
		},
		Dial: func(ctx context.Context, to kafka.NodeID) (markers.Conn, error) {
			c, err := n.dial(ctx, to)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Log: n.Log.With("component", "markers"),
	})
	n.txns = txns.New(txns.Config{
		Partitions: partitions,
		Txn: txn.Config{
			MaxTimeout: txnMaxTimeout, Expiration: txnExpiration, Sweep: txnSweep,
			GroupPartition: func(group string) int32 { return n.groups.Partition(group) },
		},
		ProducerID: func(ctx context.Context) (kafka.ProducerID, error) {
			if s := n.requests.Load(); s != nil {
				return s.NewProducerID(ctx)
			}
			return kafka.NoProducerID, kerr.CoordinatorLoadInProgress
		},
		Markers: n.markers, Rand: n.rand(), Log: n.Log.With("component", "transactions"),
	})
	n.verifier = verify.New(verify.Config{
		Coordinator: n.txnCoordinator, Ask: n.askTxnCoordinator,
		Backoff: func() (each, most time.Duration) {
			c := n.current.Load().Verification
			return c.Backoff, c.MaxBackoff
		},
	})
}

// closeTxns ends what newTxns made.
func (n *Node) closeTxns() {
	if n.txns == nil {
		return
	}
	n.verifier.Close()
	n.txns.Close()
	n.markers.Close()
	n.asking.close()
}

func (n *Node) dial(ctx context.Context, to kafka.NodeID) (*link.Conn, error) {
	if n.link == nil {
		return nil, link.ErrClosed
	}
	return n.link.Dial(ctx, to)
}

// syncMetadata returns when this node has all of the metadata that was decided before: the active controller is asked, and what it
// answers by is waited for.
func (n *Node) syncMetadata(ctx context.Context) error {
	var q *quorum.Quorum
	if q = n.peers.quorum.Load(); q == nil {
		return kerr.NotController
	}
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
	_, err := q.Submit(ctx, req)
	return err
}

// writeTxnMarkers is for partitions led here. Before the node serves, none is written.
func (n *Node) writeTxnMarkers(ctx context.Context, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	if s := n.requests.Load(); s != nil {
		return s.WriteTxnMarkers(ctx, req)
	}
	return kmsg.NewPtrWriteTxnMarkersResponse()
}

// txnCoordinator is the node that leads a transactional id's partition of __transaction_state.
func (n *Node) txnCoordinator(_ context.Context, id string) (kafka.NodeID, error) {
	topic, ok := n.image.Load().Topic(kafka.TxnTopic)
	if !ok {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	leader := topic.Partitions[kafka.CoordinatorPartition(id, int32(len(topic.Partitions)))].Leader
	if leader == kafka.NoNode {
		return kafka.NoNode, kerr.CoordinatorNotAvailable
	}
	return leader, nil
}

func (n *Node) askTxnCoordinator(ctx context.Context, node kafka.NodeID, req *kmsg.AddPartitionsToTxnRequest) (*kmsg.AddPartitionsToTxnResponse, error) {
	if node != n.Config.ID {
		resp, err := n.asking.ask(ctx, node, req)
		if err != nil {
			return nil, err
		}
		return resp.(*kmsg.AddPartitionsToTxnResponse), nil
	}
	s := n.requests.Load()
	if s == nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	return s.AddPartitionsToTxn(ctx, req), nil
}

// asking are connections to other nodes on which requests wait for their coordinators, beside the one that all of this node shares: there
// they would hold up what comes behind them.
type asking struct {
	dial func(ctx context.Context, to kafka.NodeID) (*link.Conn, error)

	mu     sync.Mutex
	conns  map[kafka.NodeID][]*link.Conn // on which nothing is asked
	closed bool
}

// ask sends a request and waits for its answer.
func (a *asking) ask(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error) {
	for {
		c, used := a.take(to)
		if !used {
			var err error
			if c, err = a.dial(ctx, to); err != nil {
				return nil, err
			}
		}
		resp, err := c.Request(ctx, req)
		switch {
		case err == nil:
			a.put(to, c)
			return resp, nil
		case !used || ctx.Err() != nil:
			return nil, err
		}
		// It may have been closed for being idle, or with the node's life before: the question may be asked twice.
	}
}

func (a *asking) take(to kafka.NodeID) (*link.Conn, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	free := a.conns[to]
	if len(free) == 0 {
		return nil, false
	}
	c := free[len(free)-1]
	a.conns[to] = free[:len(free)-1]
	return c, true
}

func (a *asking) put(to kafka.NodeID, c *link.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		c.Close()
		return
	}
	a.conns[to] = append(a.conns[to], c)
}

func (a *asking) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, free := range a.conns {
		for _, c := range free {
			c.Close()
		}
	}
	clear(a.conns)
}

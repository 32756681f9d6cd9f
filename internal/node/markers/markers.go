// Package markers has the partitions of ended transactions get their markers: node/txns says which, and this goes to the partitions'
// leaders, on this node or another, until every partition has its marker or is no more. A Sender owns a goroutine for each transaction
// whose markers are not all written, and one for each node that is being told; Close ends them and waits for them.
package markers

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/txn"
)

// Config is what a Sender needs. Every field is required.
type Config struct {
	Self kafka.NodeID
	// Leader tells which node leads a partition, NoNode where none does; ok is false where the metadata does not have it.
	Leader func(kafka.TopicPartition) (leader kafka.NodeID, ok bool)
	// Sync returns when Leader goes by all that was decided before it was called.
	Sync func(ctx context.Context) error
	// Local writes markers to partitions that this node leads, and returns when they are committed or cannot be.
	Local func(ctx context.Context, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse
	// Dial opens a connection to another node.
	Dial func(ctx context.Context, to kafka.NodeID) (Conn, error)
	Log  *slog.Logger
}

// Conn is a connection to another node: link.Conn. It carries one request at a time. After an error it is closed.
type Conn interface {
	Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
	Close()
}

// Pauses between two attempts.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// Sender writes markers.
type Sender struct {
	cfg  Config
	ctx  context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	nodes map[kafka.NodeID]*outbox
}

// New makes a Sender.
func New(c Config) *Sender {
	s := &Sender{cfg: c, nodes: map[kafka.NodeID]*outbox{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// Close gives up what is under way and waits for the goroutines. Write must not be called any more.
func (s *Sender) Close() {
	s.end()
	s.work.Wait()
}

// Write has every partition of w get its marker, and calls done then. When ctx ends before that, or a newer coordinator has taken over,
// done is not called, and no request begins any more.
func (s *Sender) Write(ctx context.Context, w txn.WriteMarkers, done func()) {
	s.work.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.ctx, cancel)()
		left := w.Partitions
		for pause := firstPause; ; pause = min(2*pause, lastPause) {
			var fenced bool
			if left, fenced = s.attempt(ctx, w.Marker, left); fenced || ctx.Err() != nil {
				return
			}
			if len(left) == 0 {
				done()
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	})
}

// attempt asks the leaders once, and returns which partitions have no marker yet. fenced tells that another coordinator has written
// one of the same producer: this node is no longer the one.
func (s *Sender) attempt(ctx context.Context, m txn.Marker, partitions []kafka.TopicPartition) (left []kafka.TopicPartition, fenced bool) {
	byNode := s.route(ctx, partitions)
	left = byNode[kafka.NoNode]
	delete(byNode, kafka.NoNode)
	answers := make(chan verdict, len(byNode))
	for node, of := range byNode {
		e := &entry{ctx: ctx, Marker: m, partitions: of, answer: answers}
		if node == s.cfg.Self {
			s.work.Go(func() { s.local(e) })
		} else {
			s.post(node, e)
		}
	}
	for range byNode {
		v := <-answers
		left = append(left, v.left...)
		fenced = fenced || v.fenced
	}
	slices.SortFunc(left, txn.ComparePartitions)
	return left, fenced
}

// route parts partitions by their leaders; those without one are NoNode's. A partition that is not in the metadata is left out once
// that is sure to be of now: its topic is deleted. Before, it may have been made after what this node has read.
func (s *Sender) route(ctx context.Context, partitions []kafka.TopicPartition) map[kafka.NodeID][]kafka.TopicPartition {
	byNode, synced := map[kafka.NodeID][]kafka.TopicPartition{}, false
	for _, tp := range partitions {
		leader, ok := s.cfg.Leader(tp)
		if !ok && !synced {
			if err := s.cfg.Sync(ctx); err != nil {
				byNode[kafka.NoNode] = append(byNode[kafka.NoNode], tp)
				continue
			}
			synced = true
			leader, ok = s.cfg.Leader(tp)
		}
		if ok {
			byNode[leader] = append(byNode[leader], tp)
		}
	}
	return byNode
}

// local has this node's own partitions get their marker.
func (s *Sender) local(e *entry) {
	r := newRound([]*entry{e})
	r.settle(s.cfg.Local(e.ctx, r.req), s.cfg.Log)
}

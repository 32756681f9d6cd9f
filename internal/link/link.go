// Package link is this node's connections to the other nodes of its cluster: as a client, in Kafka's frames, each begun with a Hello
// that tells both ends who the other is. The app makes one Pool; the metadata quorum, the replica fetchers and the guard of the
// nodes' lives use it. The Pool owns its goroutines, and Close waits for them: for each node that was called a sender of raft
// messages, for each connection but those of Dial a reader and a writer, while one is made its maker, and those that call Broken.
//
// A node is called on three kinds of connections, so that none waits for another: one for raft messages, which nobody answers and
// which may be as large as a snapshot; one for requests, many of them under way at a time; and those of Dial, one a fetcher. The
// first two are made when they are first used, and again when they are used after they broke, the attempts further and further
// apart. They are watched: the reader notices at once when the other end closes, and where nothing comes for a while it says Hello
// again, so that a machine that has gone without a word is noticed too.
package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Config is what a Pool needs. Every field is required unless it says otherwise.
type Config struct {
	Self        kafka.NodeID  // NoNode while this node has no id
	Incarnation kafka.TopicID // differs with each start of the process
	// ClusterID is the cluster that this node belongs to; empty while it belongs to none.
	ClusterID func() string
	// Dial opens a connection; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve tells the address of a node at the moment; ok is false when none is known.
	Resolve func(kafka.NodeID) (address string, ok bool)
	Log     *slog.Logger
	// Broken hears, at once, of each connection that worked and was not ended from this end. It may block, but must not call Close.
	// Nil means that nobody listens.
	Broken func(kafka.NodeID)
	// Unreachable hears that raft messages to a node were dropped, or may not have come there; a snapshot may be among them. It is
	// called again and again while a node is away. It may block, but must not call Close. Nil means that nobody listens.
	Unreachable func(kafka.NodeID)
	// Clock hears, with each Hello that begins a connection, by how much a node's clock is ahead of this one's, negative where it is
	// behind, and how far that may be off. It must not block. Nil means that nobody listens.
	Clock func(node kafka.NodeID, ahead, within time.Duration)
	// MaxFrame is the largest request that the other nodes take (socket.request.max.bytes, 100 MiB).
	MaxFrame int
}

// Errors to tell apart.
var (
	// ErrClosed is the answer after Close and Forget.
	ErrClosed = errors.New("the connections to other nodes are closed")
	// ErrNoAddress means that it is not known where the node is.
	ErrNoAddress = errors.New("its address is not known")
	// ErrMaybe means that a request went out and the connection broke before its answer came: it may have taken effect. After all
	// other errors of connections it was not sent. When ctx ends, either may be.
	ErrMaybe = errors.New("the connection broke before the answer came")
)

// Times of connections.
const (
	dialTime   = time.Second      // to connect
	helloTime  = 2 * time.Second  // to connect and to be greeted
	writeTime  = 10 * time.Second // for each chunk of a frame to be taken, and for each of an answer to come
	answerTime = time.Minute      // for an answer to come, when the caller does not say
	// A connection on which nothing came for quietTime says Hello, and is given up when the answer takes longer than graceTime. Any
	// other request may take as long as its caller waits and graceTime.
	quietTime = 2 * time.Second
	graceTime = 5 * time.Second
	// A Fetch may take as long as it asks the other node to wait, and fetchGrace, before its answer begins.
	fetchGrace = 3 * time.Second
	watchTime  = time.Second // how often that is looked at
)

// maxExtra is how much longer than a request an answer may be: a Fetch answers with one batch, which came in a request, and more.
const maxExtra = 16 << 20

// Pool is the connections to all nodes. It is safe for use by any number of goroutines.
type Pool struct {
	Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu comes last: no other lock is taken while it is held.
	mu struct {
		sync.Mutex
		closed bool
		nodes  map[kafka.NodeID]*node
		open   map[net.Conn]struct{} // every connection, so that Close ends what waits for it
	}
}

// New makes a Pool without connections.
func New(c Config) *Pool {
	if c.MaxFrame == 0 {
		c.MaxFrame = 100 << 20
	}
	if c.Dial == nil {
		d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: graceTime, Interval: quietTime, Count: 3}}
		c.Dial = d.DialContext
	}
	if c.Broken == nil {
		c.Broken = func(kafka.NodeID) {}
	}
	if c.Unreachable == nil {
		c.Unreachable = func(kafka.NodeID) {}
	}
	if c.Clock == nil {
		c.Clock = func(kafka.NodeID, time.Duration, time.Duration) {}
	}
	p := &Pool{Config: c}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mu.nodes, p.mu.open = map[kafka.NodeID]*node{}, map[net.Conn]struct{}{}
	return p
}

// Raft sends messages of the metadata quorum to a node, in order, and owns them from then on. It never blocks: what finds the queue
// full is dropped, and Unreachable told.
func (p *Pool) Raft(to kafka.NodeID, messages [][]byte) {
	if n := p.node(to); n != nil {
		n.post(messages)
	}
}

// Request sends a request on the connection that all share, and waits for the answer until ctx ends, a minute at most. Bytes in the
// answer may alias one buffer, which is the caller's. While a node does not let itself be reached, and the next attempt is not due,
// the answer is the error of the last one, at once.
func (p *Pool) Request(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error) {
	n := p.node(to)
	if n == nil {
		return nil, ErrClosed
	}
	return n.request(ctx, req)
}

// Heard tells that a node has spoken to this one, so that the next attempt to reach it need not wait.
func (p *Pool) Heard(from kafka.NodeID) {
	p.mu.Lock()
	n := p.mu.nodes[from]
	p.mu.Unlock()
	if n != nil {
		n.hurry()
	}
}

// Down lists the nodes that were called and to which there is no working connection now, in order.
func (p *Pool) Down() []kafka.NodeID {
	p.mu.Lock()
	nodes := make([]*node, 0, len(p.mu.nodes))
	for _, n := range p.mu.nodes {
		nodes = append(nodes, n)
	}
	p.mu.Unlock()
	var down []kafka.NodeID
	for _, n := range nodes {
		if !n.reached() {
			down = append(down, n.id)
		}
	}
	slices.Sort(down)
	return down
}

// Forget closes the connections to a node that has left, but for those of Dial. Another use of the node begins anew.
func (p *Pool) Forget(id kafka.NodeID) {
	p.mu.Lock()
	n := p.mu.nodes[id]
	delete(p.mu.nodes, id)
	p.mu.Unlock()
	if n != nil {
		n.cancel()
		n.hangUp(ErrClosed)
	}
}

// Close ends all connections, those of Dial included, and waits for the goroutines.
func (p *Pool) Close() {
	p.mu.Lock()
	p.mu.closed = true
	p.cancel()
	for nc := range p.mu.open {
		nc.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// node finds or makes what is known of a node; nil after Close.
func (p *Pool) node(id kafka.NodeID) *node {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return nil
	}
	n := p.mu.nodes[id]
	if n == nil {
		n = newNode(p, id)
		p.mu.nodes[id] = n
	}
	return n
}

// run starts a goroutine, unless the pool is closed.
func (p *Pool) run(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

// hold notes a connection, so that Close ends it; or closes it, when that came before.
func (p *Pool) hold(nc net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		nc.Close()
		return false
	}
	p.mu.open[nc] = struct{}{}
	return true
}

// drop closes a connection and forgets it.
func (p *Pool) drop(nc net.Conn) {
	nc.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.open, nc)
}

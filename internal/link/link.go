// Package link is this node's connections to the other nodes of its cluster: as a client, in Kafka's frames, each begun with a Hello
// that tells both ends who the other is. The app makes one Pool; the metadata quorum, the replica fetchers and the guards of the
// nodes' lives use it. The Pool owns its goroutines, and Close waits for them: to a node that was called a sender of raft messages,
// and for each connection but those of Dial a reader and a writer.
package link

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
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
	// Broken hears, at once, of each connection that worked and was not ended from this end. It may block, but must not call Close
	// or Forget. Nil means that nobody listens.
	Broken func(kafka.NodeID)
	// Unreachable hears that raft messages to a node were dropped, or may not have come there; a snapshot may be among them. It may
	// be called again and again while a node is away. It may block, but must not call Close or Forget. Nil means that nobody listens.
	Unreachable func(kafka.NodeID)
	// MaxFrame is the largest request that the other nodes take (socket.request.max.bytes, 100 MiB).
	MaxFrame int
}

// Errors to tell apart.
var (
	// ErrClosed is the answer after Close or Forget.
	ErrClosed = errors.New("the connections to other nodes are closed")
	// ErrNoAddress means that it is not known where the node is.
	ErrNoAddress = errors.New("its address is not known")
	// ErrMaybe means that a request went out and the connection broke before its answer came: it may have taken effect. After all
	// other errors of connections the request was not sent.
	ErrMaybe = errors.New("the connection broke before the answer came")
)

// Pool is the connections to all nodes. It is safe for use by any number of goroutines.
type Pool struct{ Config }

// New makes a Pool without connections: the first use of a node makes them.
func New(c Config) *Pool { return &Pool{c} }

// Raft sends messages of the metadata quorum to a node, in order, and owns them from then on. It never blocks: what cannot be sent
// is dropped, and Unreachable told.
func (p *Pool) Raft(to kafka.NodeID, messages [][]byte) {}

// Request sends a request on the connection to a node that all share, and waits for the answer at most until ctx ends.
func (p *Pool) Request(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error) {
	return nil, ErrClosed
}

// Dial opens a connection that the caller owns.
func (p *Pool) Dial(ctx context.Context, to kafka.NodeID) (*Conn, error) { return nil, ErrClosed }

// Hello asks who is at an address.
func (p *Pool) Hello(ctx context.Context, address string) (*peer.HelloResponse, error) {
	return nil, ErrClosed
}

// Join asks the node at an address to let this one in.
func (p *Pool) Join(ctx context.Context, address string, req *peer.JoinRequest) (*peer.JoinResponse, error) {
	return nil, ErrClosed
}

// Probe tells, with a connection of its own, whether a node's process of that incarnation is alive. An error means that it cannot be
// told: nobody answered, neither yes nor no.
func (p *Pool) Probe(ctx context.Context, to kafka.NodeID, incarnation kafka.TopicID) (alive bool, err error) {
	return false, ErrClosed
}

// Heard tells that a node has spoken to this one, so that the next attempt to reach it need not wait.
func (p *Pool) Heard(from kafka.NodeID) {}

// Down lists the nodes that were called and to which there is no working connection now.
func (p *Pool) Down() []kafka.NodeID { return nil }

// Forget closes the connections to a node that has left.
func (p *Pool) Forget(id kafka.NodeID) {}

// Close ends all connections, those of Dial included, and waits for the goroutines.
func (p *Pool) Close() {}

// Conn is a connection of one user.
type Conn struct{}

// Request sends a request and waits for its answer, at most until ctx ends. Bytes in the answer, records that is, alias a buffer of
// the Conn and hold until the next Request. After an error the Conn is closed.
func (c *Conn) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return nil, ErrClosed
}

// Close ends the connection, and a Request under way.
func (c *Conn) Close() {}

package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// How far apart attempts to reach a node are. A connection that broke within shortLife counts as one that failed.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = time.Second
	shortLife  = time.Second
)

// node is what is known of one other node: its two shared connections, and when it may be called next.
type node struct {
	p      *Pool
	id     kafka.NodeID
	ctx    context.Context // ends with Forget and Close
	cancel context.CancelFunc
	outbox outbox

	// mu comes before the Pool's.
	mu struct {
		sync.Mutex
		requests, raft line
		failures       int           // in a row
		next           time.Time     // when the next attempt may be
		why            error         // the last one failed
		hurried        chan struct{} // closed, and made anew, when next has become sooner
	}
}

// line is one of the shared connections. While one is being made, stream is nil or has ended.
type line struct {
	stream *stream
	making *making
}

// making is an attempt to connect, which any number of goroutines may wait for.
type making struct {
	done   chan struct{}
	stream *stream // or else err; set when done is closed
	err    error
}

func newNode(p *Pool, id kafka.NodeID) *node {
	n := &node{p: p, id: id}
	n.ctx, n.cancel = context.WithCancel(p.ctx)
	n.mu.hurried = make(chan struct{})
	n.outbox.filled = make(chan struct{}, 1)
	return n
}

func (n *node) request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if req.ResponseKind() == nil {
		return nil, errNoAnswer
	}
	frame, err := appendRequest(nil, req, n.p.MaxFrame)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for again := true; ; again = false {
		s, err := n.connect(ctx, &n.mu.requests)
		if err != nil {
			return nil, err
		}
		body, err := s.request(ctx, frame)
		switch {
		case err == nil:
			return decodeAnswer(req, body)
		case errors.Is(err, errUnsent) && again && n.ctx.Err() == nil: // it broke while nobody used it: a new one may do
		default:
			return nil, fmt.Errorf("%s to node %d: %w", name(req), n.id, err)
		}
	}
}

// connect gives the connection of a line. Where there is none it waits for the attempt to make it that is under way, or is begun
// here; while none is due, the error of the last one is the answer.
func (n *node) connect(ctx context.Context, l *line) (*stream, error) {
	n.mu.Lock()
	if l.up() {
		defer n.mu.Unlock()
		return l.stream, nil
	}
	if l.making == nil {
		if n.ctx.Err() != nil {
			n.mu.Unlock()
			return nil, ErrClosed
		}
		if time.Until(n.mu.next) > 0 {
			defer n.mu.Unlock()
			return nil, n.mu.why
		}
		m := &making{done: make(chan struct{})}
		if !n.p.run(func() { n.make(l, m) }) {
			n.mu.Unlock()
			return nil, ErrClosed
		}
		l.making = m
	}
	m := l.making
	n.mu.Unlock()
	select {
	case <-m.done:
		return m.stream, m.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// make makes the connection of a line, and runs it.
func (n *node) make(l *line, m *making) {
	g, err := n.p.reach(n.ctx, n.id)
	if n.ctx.Err() != nil {
		if err == nil {
			n.p.drop(g.nc)
		}
		err = ErrClosed
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	defer close(m.done)
	l.making = nil
	if err != nil {
		m.err = err
		n.failed(err)
		return
	}
	s := newStream(n, g)
	m.stream, l.stream = s, s
	if n.mu.failures > 0 {
		n.p.Log.Info("node is reached again", "node", n.id, "address", g.nc.RemoteAddr().String())
	}
	n.mu.failures, n.mu.next = 0, time.Time{}
	if !n.p.run(s.write) || !n.p.run(func() { n.serve(l, s) }) {
		s.end(ErrClosed)
		l.stream = nil
	}
}

// failed notes an attempt that failed. The caller holds mu.
func (n *node) failed(err error) {
	if n.mu.failures == 0 && !errors.Is(err, ErrClosed) {
		n.p.Log.Warn("node is not reached", "node", n.id, "err", err)
	}
	pause := min(leastPause<<min(n.mu.failures, 10), mostPause)
	pause = pause*3/4 + rand.N(pause/2)
	n.mu.failures++
	n.mu.next, n.mu.why = time.Now().Add(pause), err
}

// serve reads a stream until it ends, and tells who has to know.
func (n *node) serve(l *line, s *stream) {
	born := time.Now()
	err := s.read()
	s.end(err)
	n.mu.Lock()
	if l.stream == s {
		l.stream = nil
	}
	ours := n.ctx.Err() != nil
	if !ours && time.Since(born) < shortLife {
		n.failed(s.err)
	}
	n.mu.Unlock()
	if ours {
		return
	}
	n.p.Log.Warn("connection to node broke", "node", n.id, "err", s.err)
	if errors.Is(s.err, errSilent) {
		n.hangUp(errSilent) // the others only have not noticed yet
	}
	if l == &n.mu.raft {
		n.p.Unreachable(n.id)
	}
	n.p.Broken(n.id)
}

// hangUp ends the shared connections; their goroutines do the rest.
func (n *node) hangUp(why error) {
	n.mu.Lock()
	streams := []*stream{n.mu.requests.stream, n.mu.raft.stream}
	n.mu.Unlock()
	for _, s := range streams {
		if s != nil {
			s.end(why)
		}
	}
}

// hurry lets the next attempt be now.
func (n *node) hurry() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Until(n.mu.next) > 0 {
		n.mu.next = time.Time{}
		close(n.mu.hurried)
		n.mu.hurried = make(chan struct{})
	}
}

// awaitDue waits until an attempt may be made; false when there will be none.
func (n *node) awaitDue() bool {
	for {
		n.mu.Lock()
		wait, hurried := time.Until(n.mu.next), n.mu.hurried
		n.mu.Unlock()
		if wait <= 0 {
			return n.ctx.Err() == nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-hurried:
		case <-n.ctx.Done():
		}
		t.Stop()
		if n.ctx.Err() != nil {
			return false
		}
	}
}

func (n *node) reached() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.requests.up() || n.mu.raft.up()
}

func (l *line) up() bool { return l.stream != nil && !l.stream.ended() }

package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

// errAnswerSize says that what came in place of an answer's length cannot be one.
var errAnswerSize = errors.New("not the protocol of nodes")

// greeted is a connection on which Hello was answered.
type greeted struct {
	nc    net.Conn
	in    *bufio.Reader
	hello *peer.HelloResponse
}

// Hello asks who is at an address. When this node is not welcome there, the answer comes with an error, which wraps kerr's.
func (p *Pool) Hello(ctx context.Context, address string) (*peer.HelloResponse, error) {
	g, err := p.greet(ctx, address)
	if err != nil {
		return nil, err
	}
	defer p.drop(g.nc)
	return g.hello, p.judge(g.hello, address)
}

// Join asks the node at an address to let this one into the metadata quorum. The answer is there whenever err is nil, with its own
// error code.
func (p *Pool) Join(ctx context.Context, address string, req *peer.JoinRequest) (*peer.JoinResponse, error) {
	g, err := p.welcome(ctx, address)
	if err != nil {
		return nil, err
	}
	defer p.drop(g.nc)
	resp, err := p.exchange(ctx, g.nc, g.in, req, 1, answerTime)
	if err != nil {
		return nil, fmt.Errorf("join at %s: %w", address, err)
	}
	return resp.(*peer.JoinResponse), nil
}

// Probe tells, with a connection of its own, whether a node's process of that incarnation is alive. An error means that it cannot be
// told: nobody said either yes or no.
func (p *Pool) Probe(ctx context.Context, to kafka.NodeID, incarnation kafka.TopicID) (alive bool, err error) {
	address, ok := p.Resolve(to)
	if !ok {
		return false, fmt.Errorf("probe node %d: %w", to, ErrNoAddress)
	}
	// A process that was killed loses its connections before or after its listener: a connection that was still accepted is reset.
	// Only the next attempt tells.
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		g, err := p.greet(ctx, address)
		if err == nil {
			p.drop(g.nc)
			return p.sameLife(g.hello, to, incarnation, address)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return false, nil
		}
		cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		if !cut || pause > 200*time.Millisecond || !p.pause(ctx, pause) {
			return false, fmt.Errorf("probe node %d: %w", to, err)
		}
	}
}

// sameLife judges what a probe was answered. A refusal is a sign of life as well.
func (p *Pool) sameLife(hello *peer.HelloResponse, to kafka.NodeID, incarnation kafka.TopicID, address string) (bool, error) {
	if kafka.NodeID(hello.NodeID) != to {
		return false, fmt.Errorf("probe node %d: at %s is node %d", to, address, hello.NodeID)
	}
	return kafka.TopicID(hello.Incarnation) == incarnation, nil
}

// pause waits, and tells whether all of it was waited.
func (p *Pool) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-p.ctx.Done():
	}
	return false
}

// reach makes a connection to a node that is who it should be.
func (p *Pool) reach(ctx context.Context, to kafka.NodeID) (*greeted, error) {
	address, ok := p.Resolve(to)
	if !ok {
		return nil, fmt.Errorf("reach node %d: %w", to, ErrNoAddress)
	}
	g, err := p.welcome(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("reach node %d: %w", to, err)
	}
	if other := kafka.NodeID(g.hello.NodeID); other != to {
		p.drop(g.nc)
		return nil, fmt.Errorf("reach node %d: at %s is node %d", to, address, other)
	}
	return g, nil
}

// welcome makes a connection to where this node is welcome.
func (p *Pool) welcome(ctx context.Context, address string) (*greeted, error) {
	g, err := p.greet(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := p.judge(g.hello, address); err != nil {
		p.drop(g.nc)
		return nil, err
	}
	return g, nil
}

// greet makes a connection and has Hello answered, whatever the answer is.
func (p *Pool) greet(ctx context.Context, address string) (*greeted, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	g, err := p.dialAndGreet(ctx, address)
	if err != nil && p.ctx.Err() != nil {
		return nil, ErrClosed
	}
	return g, err
}

func (p *Pool) dialAndGreet(ctx context.Context, address string) (*greeted, error) {
	dialing, stop := context.WithTimeout(ctx, dialTime)
	nc, err := p.Config.Dial(dialing, "tcp", address)
	stop()
	if err != nil {
		return nil, err // it names the address
	}
	if !p.hold(nc) {
		return nil, ErrClosed
	}
	in := bufio.NewReaderSize(nc, readBuffer)
	asked := time.Now()
	resp, err := p.exchange(ctx, nc, in, p.hello(), 0, helloTime)
	if err != nil {
		p.drop(nc)
		return nil, fmt.Errorf("greet %s: %w", address, strange(err))
	}
	hello := resp.(*peer.HelloResponse)
	p.compareClocks(hello, asked, time.Since(asked))
	return &greeted{nc: nc, in: in, hello: hello}, nil
}

// compareClocks tells of the clock that a Hello was answered by: at some time between the question and the answer.
func (p *Pool) compareClocks(hello *peer.HelloResponse, asked time.Time, took time.Duration) {
	if hello.Clock > 0 {
		p.Clock(kafka.NodeID(hello.NodeID), time.UnixMilli(hello.Clock).Sub(asked.Round(0))-took/2, took/2+time.Millisecond)
	}
}

// strange says of answers that no node of ours gives what may have given them.
func strange(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("it closed the connection, as a broker of Apache Kafka does, which this node cannot join, or a node that is stopping: %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it took the connection and says nothing: is it a node, and is it alive? %w", err)
	case errors.Is(err, errAnswerSize):
		return fmt.Errorf("what listens there is no node: %w", err)
	}
	return err
}

func (p *Pool) hello() *peer.HelloRequest {
	return &peer.HelloRequest{
		ClusterID: p.ClusterID(), NodeID: int32(p.Self), Incarnation: p.Incarnation,
		Oldest: peer.MinVersion, Newest: peer.MaxVersion,
	}
}

// exchange sends the one request of a connection that is under way, and reads its answer, within a time.
func (p *Pool) exchange(ctx context.Context, nc net.Conn, in *bufio.Reader, req kmsg.Request, correlation int32, within time.Duration) (kmsg.Response, error) {
	frame, err := appendRequest(nil, req, p.MaxFrame)
	if err != nil {
		return nil, err
	}
	stamp(frame, correlation)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	_, err = pacedWriter{nc}.Write(frame)
	var body []byte
	if err == nil {
		nc.SetReadDeadline(time.Now().Add(within))
		body, err = readAnswer(nc, in, &room{}, correlation, p.MaxFrame)
	}
	if !stop() {
		return nil, context.Cause(ctx) // the connection is closed, or about to be
	}
	if err != nil {
		return nil, err
	}
	return decodeAnswer(req, body)
}

// judge tells why this node and the one that answered do not belong together.
func (p *Pool) judge(hello *peer.HelloResponse, address string) error {
	own := p.ClusterID()
	switch {
	case hello.ErrorCode != 0:
		return fmt.Errorf("node %d at %s refuses this one: %s: %w", hello.NodeID, address, hello.ErrorMessage, kerr.ErrorForCode(hello.ErrorCode))
	case own != "" && hello.ClusterID != "" && own != hello.ClusterID:
		return fmt.Errorf("node %d at %s is of cluster %s, this one of %s: %w", hello.NodeID, address, hello.ClusterID, own, kerr.InconsistentClusterID)
	case hello.Version < peer.MinVersion || hello.Version > peer.MaxVersion:
		return fmt.Errorf("node %d at %s wants to speak version %d, this one speaks %d to %d: %w",
			hello.NodeID, address, hello.Version, peer.MinVersion, peer.MaxVersion, kerr.UnsupportedVersion)
	}
	return nil
}

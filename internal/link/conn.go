package link

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Conn is a connection of one user, who sends one request at a time. Close alone may be called meanwhile.
type Conn struct {
	p           *Pool
	to          kafka.NodeID
	nc          net.Conn
	in          *bufio.Reader
	out         []byte
	answer      room
	correlation int32
	closed      atomic.Bool
}

// Dial opens a connection that the caller owns.
func (p *Pool) Dial(ctx context.Context, to kafka.NodeID) (*Conn, error) {
	g, err := p.reach(ctx, to)
	if err != nil {
		return nil, err
	}
	return &Conn{p: p, to: to, nc: g.nc, in: g.in}, nil
}

// Request sends a request and waits for its answer, until ctx ends, a minute at most. Bytes in the answer, records that is, alias a
// buffer of the Conn and hold until the next Request. After an error the Conn is closed.
func (c *Conn) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	resp, sent, err := c.roundTrip(req)
	cancelled := !stop()
	if err == nil && !cancelled {
		return resp, nil
	}
	ours := c.closed.Load() || c.p.ctx.Err() != nil
	c.Close()
	switch {
	case cancelled:
		return nil, context.Cause(ctx)
	case ours:
		return nil, ErrClosed
	case !sent:
		return nil, fmt.Errorf("%s to node %d: %w", name(req), c.to, err)
	}
	c.p.Log.Warn("connection to node broke", "node", c.to, "err", err)
	c.p.run(func() { c.p.Broken(c.to) })
	return nil, fmt.Errorf("%s to node %d: %w: %w", name(req), c.to, ErrMaybe, err)
}

// roundTrip tells also whether any of the request may have been sent.
func (c *Conn) roundTrip(req kmsg.Request) (resp kmsg.Response, sent bool, err error) {
	if req.ResponseKind() == nil {
		return nil, false, errNoAnswer
	}
	c.out, err = appendRequest(c.out[:0], req, c.p.MaxFrame)
	if err != nil {
		return nil, false, err
	}
	c.correlation++
	stamp(c.out, c.correlation)
	if _, err := (pacedWriter{c.nc}).Write(c.out); err != nil {
		return nil, true, err
	}
	c.nc.SetReadDeadline(time.Now().Add(silence(req)))
	if _, err := c.in.Peek(1); err != nil {
		return nil, true, err
	}
	c.nc.SetReadDeadline(time.Now().Add(answerTime))
	body, err := readAnswer(c.nc, c.in, &c.answer, c.correlation, c.p.MaxFrame+maxExtra)
	if err != nil {
		return nil, true, err
	}
	resp, err = decodeAnswer(req, body)
	return resp, true, err
}

// silence is how long an answer may take to begin. A request that a broken network swallowed is sent again by TCP after a pause that
// doubles each time: as long as the network was away it may take once more until the other node has it, and a follower would not fetch
// meanwhile.
func silence(req kmsg.Request) time.Duration {
	if f, ok := req.(*kmsg.FetchRequest); ok {
		return fetchGrace + time.Duration(max(f.MaxWaitMillis, 0))*time.Millisecond
	}
	return answerTime
}

// Close ends the connection, and a Request under way.
func (c *Conn) Close() {
	if !c.closed.Swap(true) {
		c.p.drop(c.nc)
	}
}

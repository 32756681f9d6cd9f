package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

func (c *conn) readLoop() {
	defer close(c.queue)
	defer c.survive("reading")
	err := c.readRequests()
	var refused errRefused
	switch {
	case errors.As(err, &refused):
		c.because(ClosedRefused)
		c.complain(refused.reason)
	case c.draining.Load() && errors.Is(err, os.ErrDeadlineExceeded):
	default:
		// The peer has gone, or is to go: nobody waits for answers.
		c.close()
	}
}

func (c *conn) readRequests() error {
	for {
		it, err := c.readRequest()
		if err != nil {
			return err
		}
		if it.op.Begin != nil {
			err = c.begin(it)
		} else {
			c.others.Add(1)
		}
		if err == nil {
			err = c.enqueue(it)
		}
		if err != nil {
			it.frame.release()
			return err
		}
	}
}

func (c *conn) enqueue(it *item) error {
	select {
	case c.queue <- it:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// begin lets a request take effect. Its frame is free from then on: only the answer is outstanding.
func (c *conn) begin(it *item) error {
	defer it.frame.release()
	call, err := c.decode(it)
	if err != nil {
		return err
	}
	it.pending = it.op.Begin(c.ctx, call)
	return nil
}

// awaitTurn waits until at most n requests without Begin are unanswered.
func (c *conn) awaitTurn(n int32) error {
	for c.others.Load() > n {
		select {
		case <-c.turn:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
	return nil
}

// readRequest reads one frame, once the budget lets it in.
func (c *conn) readRequest() (*item, error) {
	size, op, err := c.readPreface()
	if err != nil {
		return nil, err
	}
	ahead := int32(0)
	if op.Begin == nil {
		ahead = 1 // enough to notice a closed connection; more would only hold memory
	}
	if err := c.awaitTurn(ahead); err != nil {
		return nil, err
	}
	evict, err := c.gather(size)
	if err != nil {
		return nil, err
	}
	hold, err := c.srv.Budget.Reserve(c.ctx, charge(&op, int64(size)), evict)
	if err != nil {
		return nil, err
	}
	it := &item{op: op, frame: frame{hold: hold}}
	whole := false
	defer func() {
		if !whole {
			it.frame.release()
		}
	}()
	c.frameDeadline(size)
	it.frame.buf, err = readBody(c.in, size)
	err = c.late(err, ClosedSlow)
	if err == nil {
		hold.Arrived()
		it.arrived = time.Now()
		if !c.before.IsZero() {
			it.pause = it.arrived.Sub(c.before)
		}
		c.before = it.arrived
		c.srv.counters.received.Add(uint64(size) + 4)
		err = it.open()
	}
	whole = err == nil
	return it, err
}

// gather waits until the read buffer holds the frame, or is full of it: what is only announced takes nothing of the budget. It
// returns the means to give up a frame of which more is to come.
func (c *conn) gather(size int) (evict func(), err error) {
	c.frameDeadline(size)
	if _, err := c.in.Peek(min(size, readBuffer)); err != nil {
		return nil, c.late(err, ClosedSlow)
	}
	if size > readBuffer {
		evict = c.evict
	}
	return evict, nil
}

func (c *conn) frameDeadline(size int) {
	c.nc.SetReadDeadline(time.Now().Add(c.srv.frameTime(size)))
	if c.draining.Load() {
		c.nc.SetReadDeadline(time.Unix(1, 0)) // drain came between: its deadline holds
	}
}

// open finds the header and the body in the frame, and the memory that decoding the body will take.
func (it *item) open() (err error) {
	it.header, it.body, err = parseHeader(it.frame.buf, it.op.Flexible)
	if err != nil {
		return refuse("%v", err)
	}
	if it.op.Weight == nil {
		return nil
	}
	size := int64(len(it.frame.buf))
	weight, err := it.op.Weight(it.header.version, it.body)
	if err == nil && weight > size*maxGrowth+spareGrowth {
		err = fmt.Errorf("%d bytes of request decode to %d", size, weight)
	}
	if err != nil {
		return refuse("API key %d version %d: %v", it.header.key, it.header.version, err)
	}
	if it.op.Begin == nil {
		it.frame.hold.Shrink(size + weight)
	}
	return nil
}

// readPreface waits for the next frame and judges its length, key and version before any memory is taken for it.
func (c *conn) readPreface() (int, Op, error) {
	b, err := c.awaitFrame()
	if err != nil {
		return 0, Op{}, err
	}
	size := int32(binary.BigEndian.Uint32(b))
	if size < minFrame || int(size) > c.srv.MaxFrame {
		return 0, Op{}, refuse("request of %d bytes (socket.request.max.bytes is %d)", size, c.srv.MaxFrame)
	}
	if b, err = c.in.Peek(8); err != nil {
		return 0, Op{}, c.late(err, ClosedSlow)
	}
	key, version := int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))
	op, ok := c.srv.Handler.Lookup(key, version)
	if !ok {
		return 0, Op{}, refuse("API key %d version %d is not supported", key, version)
	}
	if op.Begin == nil && int(size) > c.srv.MaxControlFrame {
		return 0, Op{}, refuse("request of %d bytes for API key %d, more than %d", size, key, c.srv.MaxControlFrame)
	}
	_, err = c.in.Discard(4)
	return int(size), op, err
}

// awaitFrame waits for a frame and its length. A connection is idle, and closed, when nothing comes for long and nothing is
// owed to it; one that has begun a frame is not idle, and has less time.
func (c *conn) awaitFrame() ([]byte, error) {
	if err := c.awaitByte(); err != nil {
		return nil, err
	}
	if c.in.Buffered() < 8 {
		c.frameDeadline(0)
	}
	b, err := c.in.Peek(4)
	return b, c.late(err, ClosedSlow)
}

func (c *conn) awaitByte() error {
	for {
		c.nc.SetReadDeadline(time.Now().Add(c.srv.IdleTimeout))
		if c.draining.Load() {
			return os.ErrDeadlineExceeded
		}
		_, err := c.in.Peek(1)
		busy := len(c.queue) > 0 || c.others.Load() > 0 || time.Since(time.Unix(0, c.answeredAt.Load())) < c.srv.IdleTimeout
		if err == nil || c.draining.Load() || !busy || !errors.Is(err, os.ErrDeadlineExceeded) {
			return c.late(err, ClosedIdle)
		}
	}
}

// frameTime is how long a frame may take to arrive when nobody waits for its memory (see Budget for when somebody does).
func (s *Server) frameTime(size int) time.Duration {
	const rate = 128 << 10
	return s.ArrivalTime + time.Duration(size)*time.Second/rate
}

// maxGrowth is by how much a request with a Weight may grow when it is decoded: an honest one grows two- to
// tenfold, the latter with topic names of a few letters.
const (
	maxGrowth   = 16
	spareGrowth = 64 << 10
)

// charge is what a frame holds of the budget until it is decoded. Records are not copied by decoding. Of other bodies a
// hostile byte can become a hundred in memory; small frames are let off cheaply, since a connection decodes one at a time.
func charge(op *Op, size int64) int64 {
	const perFactor, worst = 512, 100
	switch {
	case op.Begin != nil:
		return size
	case op.Weight != nil:
		return size + size*maxGrowth
	default:
		return size + size*min(size/perFactor, worst)
	}
}

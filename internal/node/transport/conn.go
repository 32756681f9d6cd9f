package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is one connection: a reader and a writer goroutine and the queue between them, which is the order of answers.
//
// The reader reads frames and runs Begin of those that have one (Produce), so that appends happen in arrival order while
// earlier ones wait for their flush. Everything else is decoded and handled by the writer when its turn comes, that is
// when all before it was answered; the reader meanwhile reads one frame ahead, which is how a closed connection is noticed
// while a long poll waits. A Begin never overtakes another kind of request: the reader waits for awaitTurn.
//
// What a produced megabyte costs here, with a default producer: one read of the socket into a pooled buffer (the 4 KiB of the
// read buffer are copied, the rest lands in place), no copy of records after it, and a share of one write for the answer.
type conn struct {
	srv    *Server
	nc     net.Conn
	client Client
	in     *bufio.Reader
	before time.Time // when the last request arrived; the reading goroutine's
	out    *writer
	note   atomic.Value // handlers'

	// ctx ends when the connection does; waits, its child, ends also when the server drains.
	ctx, waits         context.Context
	cancel, cancelWait context.CancelFunc

	queue chan *item
	// others counts queued requests without Begin that are not answered yet; turn is signalled when it sinks.
	others   atomic.Int32
	turn     chan struct{}
	draining atomic.Bool
	// again says that the client shall try again, greeted that it has been sent an answer: see close.
	again, greeted atomic.Bool
	// answeredAt is when the last request was answered, in Unix nanoseconds.
	answeredAt atomic.Int64
	// why is the reason for which the connection ends, plus one; 0 while none was noticed.
	why atomic.Int32
}

// item is one request in the queue: begun already, or still to be handled.
type item struct {
	header  header
	op      Op
	pending Pending // begun; or else frame and body are set
	frame   frame
	body    []byte
	arrived time.Time
	pause   time.Duration // since the request before
}

const readBuffer = 4 << 10

func newConn(s *Server, nc net.Conn, listener string) *conn {
	c := &conn{
		srv:   s,
		nc:    nc,
		in:    bufio.NewReaderSize(nc, readBuffer),
		queue: make(chan *item, s.Pipeline),
		turn:  make(chan struct{}, 1),
	}
	c.client = Client{Address: nc.RemoteAddr().String(), Local: nc.LocalAddr().String(), Listener: listener}
	c.client.Host = c.client.Address
	if host, _, err := net.SplitHostPort(c.client.Address); err == nil {
		c.client.Host = host
	}
	c.out = newWriter(nc, s, c.stalled)
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.waits, c.cancelWait = context.WithCancel(c.ctx)
	return c
}

// because notes why the connection ends; the first reason stays.
func (c *conn) because(why Closed) { c.why.CompareAndSwap(0, int32(why)+1) }

// closedBy is the reason that was noted.
func (c *conn) closedBy() Closed { return Closed(max(c.why.Load()-1, 0)) }

// close ends both goroutines: reads and writes fail, waits end. A Go client takes the orderly end of a connection on which it got
// no answer yet for a server that wants TLS, and tells its application; a reset is a broken connection to every client. So a node
// that starts or stops resets those.
func (c *conn) close() {
	c.cancel()
	if nc, ok := c.nc.(interface{ SetLinger(sec int) error }); ok && c.again.Load() && !c.greeted.Load() {
		_ = nc.SetLinger(0) // it fails only on a connection that is closed already
	}
	c.nc.Close()
}

// drain lets what was read be answered, soon, and reads no more.
func (c *conn) drain() {
	c.because(ClosedShutdown)
	c.again.Store(true)
	c.draining.Store(true)
	c.cancelWait()
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// errRefused is why a connection is closed for what its client sent; earlier requests are still answered.
type errRefused struct{ reason string }

func (e errRefused) Error() string { return e.reason }

func refuse(format string, a ...any) error { return errRefused{fmt.Sprintf(format, a...)} }

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

// late notes why a wait that ended by its deadline ends the connection.
func (c *conn) late(err error, why Closed) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.because(why)
	}
	return err
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

func (c *conn) evict() {
	c.because(ClosedSlow)
	c.complain("half-sent request while memory for requests is short")
	c.close()
}

// stalled ends a connection whose client takes nothing of a large answer.
func (c *conn) stalled() {
	c.because(ClosedSlow)
	c.complain("large answer not read while memory for answers is short")
	c.close()
}

// complain logs why a client lost its connection; not every time, when somebody sends rubbish all day.
func (c *conn) complain(reason string) {
	if silent, ok := c.srv.complaints.due(time.Now()); ok {
		c.srv.Log.Warn("connection closed", "client", c.client.Address, "reason", reason, "unlogged_before", silent)
	}
}

func (c *conn) decode(it *item) (*Call, error) {
	req, err := it.op.Decode(it.header.version, it.body)
	if err != nil {
		return nil, refuse("API key %d version %d: %v", it.header.key, it.header.version, err)
	}
	call := &Call{Client: c.client, Version: it.header.version, Request: req, Received: it.arrived, Pause: it.pause, Note: &c.note}
	call.Client.ID = it.header.clientID
	return call, nil
}

func (c *conn) writeLoop() {
	defer c.close()
	defer c.abandon()
	defer c.survive("answering")
	if err := c.writeAnswers(); err != nil && c.ctx.Err() == nil {
		_ = c.late(err, ClosedSlow)
		c.srv.Log.Debug("connection closed", "client", c.client.Address, "err", err)
	}
}

// abandon gives back what is still queued, until the reader has ended too.
func (c *conn) abandon() {
	c.close()
	for it := range c.queue {
		it.frame.release()
		if it.pending != nil {
			c.giveUp(it.pending)
		}
	}
}

// giveUp finishes what nobody is to hear of; a panic in it must not keep the rest from being given back.
func (c *conn) giveUp(p Pending) {
	defer c.survive("giving up")
	discard(p.Finish(c.ctx))
}

// discard gives back what an answer that is not sent holds.
func discard(r Response) {
	if s, ok := r.(Streamed); ok {
		s.Release()
	}
}

func (c *conn) writeAnswers() error {
	for {
		var it *item
		var ok bool
		select {
		case it, ok = <-c.queue:
		default:
			if err := c.out.flush(); err != nil {
				return err
			}
			it, ok = <-c.queue
		}
		if !ok {
			return c.out.flush()
		}
		if err := c.answer(it); err != nil {
			return err
		}
	}
}

// answer waits for one request's answer, or makes it, and queues it for the socket. Answers that are ready one after the
// other go out in one write.
func (c *conn) answer(it *item) error {
	if it.op.Begin == nil {
		defer c.answered()
	}
	defer it.frame.release() // also where a handler panics: its part of the budget is everybody's
	resp, err := c.finish(it)
	now := time.Now()
	c.answeredAt.Store(now.UnixNano())
	c.srv.counters.answered(it.header.key, it.arrived, now)
	if err != nil || resp == nil {
		return err
	}
	if h, ok := resp.(Hangup); ok {
		c.because(ClosedRefused)
		c.again.Store(h.Again || c.again.Load())
		c.complain(h.Reason)
		if err := c.out.flush(); err != nil {
			return err
		}
		return io.EOF
	}
	c.greeted.Store(true)
	return c.out.answer(it.header.correlation, it.op.Flexible && !it.op.PlainReply, resp)
}

func (c *conn) finish(it *item) (Response, error) {
	if it.pending != nil {
		if !it.pending.Ready() {
			if err := c.out.flush(); err != nil {
				discard(it.pending.Finish(c.ctx))
				return nil, err
			}
		}
		return it.pending.Finish(c.ctx), nil
	}
	if err := c.out.flush(); err != nil {
		return nil, err
	}
	call, err := c.decode(it)
	if err != nil {
		var refused errRefused
		if errors.As(err, &refused) {
			c.because(ClosedRefused)
			c.complain(refused.reason)
		}
		return nil, err
	}
	return it.op.Handle(c.waits, call), nil
}

func (c *conn) answered() {
	c.others.Add(-1)
	select {
	case c.turn <- struct{}{}:
	default:
	}
}

// survive is the barrier that keeps one connection's panic from ending the node: whatever it was, the defect is logged and
// the connection ends.
func (c *conn) survive(doing string) {
	if p := recover(); p != nil {
		c.because(ClosedDefect)
		c.srv.Log.Error("panic on a connection", "client", c.client.Address, "doing", doing, "panic", p, "stack", string(debug.Stack()))
		c.close()
	}
}

var _ Response = kmsg.Response(nil)

package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

// late notes why a wait that ended by its deadline ends the connection.
func (c *conn) late(err error, why Closed) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.because(why)
	}
	return err
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

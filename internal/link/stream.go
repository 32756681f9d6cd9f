package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Bounds of a stream. A node lets 64 requests of a connection wait for their answers.
const (
	inFlight = 48 // requests that wait for their answers
	ahead    = 4  // frames that wait to be written
)

var (
	// errUnsent is why a request did not go out. Nobody outside sees it alone.
	errUnsent = errors.New("the connection broke before it was sent")
	errSilent = errors.New("the node does not answer any more")
)

// stream is a connection on which many requests are under way at a time, answered in their order. Its two goroutines are node.serve,
// which reads, and write.
type stream struct {
	n     *node
	nc    net.Conn
	in    *bufio.Reader
	out   chan outgoing
	slots chan struct{} // a token for each request from before it is written until it is answered
	done  chan struct{} // closed by end
	once  sync.Once
	err   error // why it ended; set before done is closed

	mu struct {
		sync.Mutex
		waiting []*call // written, or about to be, and not answered; in their order
	}
}

// outgoing is a frame to be written; call is nil when no answer will come.
type outgoing struct {
	frame []byte
	call  *call
}

// call is a request that is to be answered.
type call struct {
	ctx         context.Context
	correlation int32
	answer      chan []byte // one
	// The stream's mu guards the rest.
	by   time.Time // when the connection is given up for want of the answer; from sent on, never before that of the call before
	sent bool      // or about to be
	left bool      // not to be sent any more
}

func newStream(n *node, g *greeted) *stream {
	return &stream{
		n: n, nc: g.nc, in: g.in, out: make(chan outgoing, ahead),
		slots: make(chan struct{}, inFlight), done: make(chan struct{}),
	}
}

func (s *stream) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// end ends the stream; the first reason stays.
func (s *stream) end(why error) {
	s.once.Do(func() {
		s.err = why
		s.n.p.drop(s.nc)
		close(s.done)
	})
}

// request has a frame written, and waits for the answer's body. Frames are written in an order of their own choosing, but each whole.
func (s *stream) request(ctx context.Context, frame []byte) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	c := &call{ctx: ctx, by: deadline.Add(graceTime), answer: make(chan []byte, 1)} // the context of a request has a deadline
	select {
	case s.slots <- struct{}{}:
	case <-s.done:
		return nil, errUnsent
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := s.send(ctx, outgoing{frame, c}); err != nil {
		<-s.slots
		return nil, err
	}
	select {
	case body := <-c.answer:
		return body, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.done:
	}
	select {
	case body := <-c.answer: // it came just before the end
		return body, nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.sent {
		c.left = true // the frame is the caller's again
		return nil, errUnsent
	}
	return nil, fmt.Errorf("%w: %w", ErrMaybe, s.err)
}

// send hands a frame to the writer.
func (s *stream) send(ctx context.Context, o outgoing) error {
	select {
	case s.out <- o:
		return nil
	case <-s.done:
		return errUnsent
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write sends frames until the stream ends. Those that are ready together go out together.
func (s *stream) write() {
	out := bufio.NewWriterSize(pacedWriter{s.nc}, chunk/16)
	correlation := int32(0)
	for {
		var o outgoing
		select {
		case o = <-s.out:
		default:
			if err := out.Flush(); err != nil {
				s.end(err)
				return
			}
			select {
			case o = <-s.out:
			case <-s.done:
				return
			}
		}
		correlation++
		if o.call != nil && !s.expect(o.call, correlation) {
			<-s.slots
			continue
		}
		stamp(o.frame, correlation)
		if _, err := out.Write(o.frame); err != nil {
			s.end(err)
			return
		}
	}
}

// expect notes that an answer is to come; false when nobody waits for it any more.
func (s *stream) expect(c *call, correlation int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.left || c.ctx.Err() != nil {
		return false
	}
	c.correlation, c.sent = correlation, true
	if c.by.IsZero() {
		c.by = time.Now().Add(graceTime)
	}
	if n := len(s.mu.waiting); n > 0 && s.mu.waiting[n-1].by.After(c.by) {
		c.by = s.mu.waiting[n-1].by
	}
	s.mu.waiting = append(s.mu.waiting, c)
	return true
}

// read hands out answers until the stream breaks.
func (s *stream) read() error {
	limit := s.n.p.MaxFrame + maxExtra
	for {
		if err := s.await(); err != nil {
			return err
		}
		s.nc.SetReadDeadline(time.Now().Add(writeTime))
		size, correlation, err := readHead(s.in, limit)
		if err != nil {
			return err
		}
		c, err := s.next(correlation)
		if err != nil {
			return err
		}
		body, err := readBody(s.nc, s.in, nil, size)
		if err != nil {
			return err
		}
		c.answer <- body
		<-s.slots
	}
}

// next is the call that an answer is for.
func (s *stream) next(correlation int32) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.waiting) == 0 || s.mu.waiting[0].correlation != correlation {
		return nil, fmt.Errorf("answer %d, which is not due", correlation)
	}
	c := s.mu.waiting[0]
	s.mu.waiting = s.mu.waiting[1:]
	return c, nil
}

// await waits for the first byte of an answer. Where nothing comes it says Hello after a while, and gives up when that is late, or
// any other answer is.
func (s *stream) await() error {
	since := time.Now()
	for {
		now := time.Now()
		s.nc.SetReadDeadline(now.Add(watchTime))
		_, err := s.in.Peek(1)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now = time.Now()
		late, due := s.overdue(now)
		if late {
			return errSilent
		}
		if !due && now.Sub(since) >= quietTime {
			s.sayHello()
		}
	}
}

// overdue tells whether the next answer is late, and whether there is one due at all.
func (s *stream) overdue(now time.Time) (late, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.waiting) == 0 {
		return false, false
	}
	return now.After(s.mu.waiting[0].by), true
}

// sayHello asks for a sign of life, unless the writer is busy: then it will notice itself.
func (s *stream) sayHello() {
	frame, err := appendRequest(nil, s.n.p.hello(), s.n.p.MaxFrame)
	if err != nil {
		return // there is none so large
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return
	}
	c := &call{ctx: s.n.ctx, answer: make(chan []byte, 1)}
	select {
	case s.out <- outgoing{frame, c}:
	default:
		<-s.slots
	}
}

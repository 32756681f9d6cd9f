package transport

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"
)

// Config is what a Server needs. Handler, Log and Budget are required; zero of anything else takes the default.
type Config struct {
	Handler Handler
	Log     *slog.Logger
	Budget  *Budget
	// MaxFrame is the largest request (socket.request.max.bytes, 100 MiB).
	MaxFrame int
	// MaxControlFrame is the largest request of any API that carries no records (8 MiB): decoding multiplies those.
	MaxControlFrame int
	// IdleTimeout closes a connection without requests (connections.max.idle.ms, 10 min); below 0 none is.
	IdleTimeout time.Duration
	// ArrivalTime is how long a request may take from its first byte on, besides a second for each 128 KiB (30 s).
	ArrivalTime time.Duration
	// StallTime closes a connection whose peer takes nothing of an answer for so long (5 min).
	StallTime time.Duration
	// MaxConnections and MaxConnectionsPerHost bound connections (no bound).
	MaxConnections, MaxConnectionsPerHost int
	// Pipeline is how many requests of one connection may wait for their answers (64).
	Pipeline int
}

func (c *Config) setDefaults() {
	if c.MaxFrame == 0 {
		c.MaxFrame = 100 << 20
	}
	if c.MaxControlFrame == 0 {
		c.MaxControlFrame = 8 << 20
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 10 * time.Minute
	}
	if c.IdleTimeout < 0 {
		c.IdleTimeout = math.MaxInt64 / 2
	}
	if c.ArrivalTime == 0 {
		c.ArrivalTime = 30 * time.Second
	}
	if c.StallTime == 0 {
		c.StallTime = 5 * time.Minute
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = math.MaxInt
	}
	if c.MaxConnectionsPerHost == 0 {
		c.MaxConnectionsPerHost = math.MaxInt
	}
	if c.Pipeline == 0 {
		c.Pipeline = 64
	}
}

// Server owns listeners and connections.
type Server struct {
	Config
	ctx        context.Context // ends with Close: everything stops at once
	cancel     context.CancelFunc
	complaints sometimes
	unread     unread
	counters   counters
	// accepting counts accept loops, serving the goroutines of connections.
	accepting, serving sync.WaitGroup

	mu        sync.Mutex
	closing   bool
	listeners []net.Listener
	names     []string // of the listeners
	conns     map[*conn]struct{}
	perHost   map[string]int
}

// New makes a Server; Serve gives it listeners.
func New(c Config) *Server {
	c.setDefaults()
	s := &Server{Config: c, conns: map[*conn]struct{}{}, perHost: map[string]int{}}
	s.unread.limit, s.unread.of = s.Budget.capacity()/2, map[*writer]*debt{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections of l until the server closes, on a goroutine of its own. The server owns l from here on.
func (s *Server) Serve(l net.Listener, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		l.Close()
		return
	}
	s.listeners, s.names = append(s.listeners, l), append(s.names, name)
	s.accepting.Go(func() { s.accept(l, name) })
}

func (s *Server) accept(l net.Listener, name string) {
	const maxDelay = 250 * time.Millisecond // a flood that has ended keeps nobody waiting for long
	delay := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.admit(nc, name)
		case errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil:
			return
		default:
			// Out of file descriptors, most likely: wait for connections to end instead of spinning.
			delay = min(max(2*delay, 5*time.Millisecond), maxDelay)
			s.Log.Warn("accept failed", "listener", name, "err", err, "retry_in", delay)
			select {
			case <-time.After(delay):
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// admit starts a connection's goroutines, or closes it when there are too many.
func (s *Server) admit(nc net.Conn, listener string) {
	c := newConn(s, nc, listener)
	s.mu.Lock()
	defer s.mu.Unlock()
	full := len(s.conns) >= s.MaxConnections || s.perHost[c.client.Host] >= s.MaxConnectionsPerHost
	if full || s.closing {
		c.cancel()
		nc.Close()
		if full {
			s.counters.closed[ClosedTooMany].Add(1)
			c.complain("too many connections")
		}
		return
	}
	s.counters.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.perHost[c.client.Host]++
	s.serving.Go(c.readLoop)
	s.serving.Go(func() {
		defer s.forget(c)
		c.writeLoop()
	})
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.closed[c.closedBy()].Add(1)
	delete(s.conns, c)
	if s.perHost[c.client.Host]--; s.perHost[c.client.Host] == 0 {
		delete(s.perHost, c.client.Host)
	}
}

// SetLimits changes MaxConnections and MaxConnectionsPerHost; 0 takes none, as in Apache Kafka. Connections beyond the new
// limits stay; no more are taken.
func (s *Server) SetLimits(connections, perHost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.MaxConnections, s.MaxConnectionsPerHost = connections, perHost
}

// Connections tells how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting and reading, ends long waits, lets what was read be answered, and closes. What is not answered
// when ctx ends is cut off. It returns when every goroutine has ended.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	for _, l := range s.listeners {
		l.Close()
	}
	s.listeners = nil
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	s.accepting.Wait()
	stop := context.AfterFunc(ctx, s.cut)
	defer stop()
	s.serving.Wait()
	s.cancel()
}

// Close stops at once: nothing is answered any more.
func (s *Server) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
}

func (s *Server) cut() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.close()
	}
}

// sometimes lets one through a second, and counts the others.
type sometimes struct {
	mu     sync.Mutex
	last   time.Time
	silent int
}

// due tells whether now is the time, and how many were not let through since the last time.
func (s *sometimes) due(now time.Time) (silent int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) < time.Second {
		s.silent++
		return 0, false
	}
	silent, s.silent, s.last = s.silent, 0, now
	return silent, true
}

package cluster

import (
	"context"
	"net"
	"sync"
	"syscall"

	"github.com/headrace/headrace/internal/memnet"
)

// host is one machine's end of the network. It can lose all connections at once, as when its process is killed, or go silent,
// as when the process is stopped or its cable pulled.
type host struct {
	network *memnet.Network

	mu        sync.Mutex
	dead      bool
	silent    chan struct{} // not nil while it is silent; closed when it is healed
	conns     map[*conn]struct{}
	listeners []net.Listener
}

func newHost(network *memnet.Network) *host {
	return &host{network: network, conns: map[*conn]struct{}{}}
}

func (h *host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := h.network.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = append(h.listeners, l)
	return &listener{l, h}, nil
}

func (h *host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	dead, silent := h.dead, h.silent
	h.mu.Unlock()
	if dead {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ENETDOWN}
	}
	if silent != nil {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	c, err := h.network.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return h.hold(c), nil
}

func (h *host) hold(nc net.Conn) *conn {
	c := &conn{Conn: nc, host: h, closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		nc.Close()
	}
	h.conns[c] = struct{}{}
	return c
}

// kill ends all connections, and takes no more.
func (h *host) kill() {
	h.mu.Lock()
	h.dead = true
	conns, listeners := h.conns, h.listeners
	h.conns, h.listeners = map[*conn]struct{}{}, nil
	h.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for c := range conns {
		c.Conn.Close()
	}
}

// silence lets nothing more through, in either direction, and closes nothing.
func (h *host) silence() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = make(chan struct{})
}

// heal ends the silence. What was sent meanwhile is lost, and with it the connections.
func (h *host) heal() {
	h.mu.Lock()
	silent, conns := h.silent, h.conns
	h.silent, h.conns = nil, map[*conn]struct{}{}
	h.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	close(silent)
}

func (h *host) silenced() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.silent
}

type listener struct {
	net.Listener
	host *host
}

func (l *listener) Accept() (net.Conn, error) {
	if silent := l.host.silenced(); silent != nil {
		<-silent
	}
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.host.hold(c), nil
}

// conn is the host's end of a connection.
type conn struct {
	net.Conn
	host   *host
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Read(b []byte) (int, error) {
	if silent := c.host.silenced(); silent != nil {
		select {
		case <-silent:
		case <-c.closed:
		}
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.host.silenced() != nil {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.host.mu.Lock()
		delete(c.host.conns, c)
		c.host.mu.Unlock()
	})
	return c.Conn.Close()
}

// Package memnet is a network in memory: listeners by host:port and connections between them, with no port of the machine
// opened. The public package headrace and tests of whole nodes use it. It starts no goroutines, and all that blocks in it blocks
// on channels, so that a testing/synctest bubble may hold both ends.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Network is one such network. Addresses of different Networks have nothing to do with each other.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener // by host:port
	last      int                  // the port that was given away last
}

const (
	firstPort = 9092  // the first port given to who asks for any
	farPort   = 49152 // the first port of the dialling ends
)

// New makes a network that nobody listens on.
func New() *Network {
	return &Network{listeners: map[string]*listener{}, last: firstPort - 1}
}

// Listen has the shape of net.ListenConfig.Listen. Port 0 means any free port; a host that is empty or 0.0.0.0 stands for
// 127.0.0.1. An address that is taken is refused with EADDRINUSE.
func (n *Network) Listen(_ context.Context, network, address string) (net.Listener, error) {
	at, err := resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.Port == 0 {
		at.Port = n.free(at)
	}
	if _, taken := n.listeners[at.String()]; taken {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: syscall.EADDRINUSE}
	}
	l := &listener{network: n, at: at, dialled: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[at.String()] = l
	return l, nil
}

// free finds a port of at's host that nobody listens on.
func (n *Network) free(at *net.TCPAddr) int {
	for {
		if n.last++; n.last > 65535 {
			n.last = firstPort
		}
		if _, taken := n.listeners[(&net.TCPAddr{IP: at.IP, Port: n.last}).String()]; !taken {
			return n.last
		}
	}
}

// Dial has the shape of net.Dialer.DialContext. Where nobody listens it fails with ECONNREFUSED.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	at, err := resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	n.mu.Lock()
	l := n.listeners[at.String()]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: network, Addr: at, Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	from := &net.TCPAddr{IP: at.IP, Port: farPort}
	select {
	case l.dialled <- &conn{Conn: far, local: at, remote: from}:
		return &conn{Conn: near, local: from, remote: at}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Addr: at, Err: ctx.Err()}
	}
}

// resolve reads host:port. There are no names but localhost.
func resolve(address string) (*net.TCPAddr, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "" || host == "localhost" || host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	ip := net.ParseIP(host)
	number, err := strconv.ParseUint(port, 10, 16)
	if ip == nil || err != nil {
		return nil, fmt.Errorf("%q is not an address and a port", address)
	}
	return &net.TCPAddr{IP: ip, Port: int(number)}, nil
}

type listener struct {
	network *Network
	at      *net.TCPAddr
	dialled chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.at, Err: net.ErrClosed}
	}
}

func (l *listener) Addr() net.Addr { return l.at }

// Close frees the address. Connections that were accepted stay.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		delete(l.network.listeners, l.at.String())
		l.network.mu.Unlock()
	})
	return nil
}

// conn is one end of a pipe that has addresses, and fails as a socket does when its other end is gone.
type conn struct {
	net.Conn
	local, remote net.Addr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.local, Addr: c.remote, Err: syscall.EPIPE}
	}
	return n, err
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) { // this end was closed: the other one's end is io.EOF
		err = &net.OpError{Op: "read", Net: "tcp", Source: c.local, Addr: c.remote, Err: net.ErrClosed}
	}
	return n, err
}

package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// limited is a listener with room for so many connections. One beyond them takes the place of the one that has been without
// a request for longest, so that clients who hold connections cannot keep a probe out, and a healthy node is not taken for
// a dead one. Only where all are being answered is the new one hung up on.
type limited struct {
	net.Listener
	most int

	mu      sync.Mutex
	open    int
	waiting list.List // of *counted without a request, the longest first
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if counted := l.admit(c); counted != nil {
			return counted, nil
		}
		_ = c.Close() // whatever comes of it, the client is gone
	}
}

// admit makes room for c, or returns nil when there is none.
func (l *limited) admit(c net.Conn) *counted {
	l.mu.Lock()
	var longest *counted
	if l.open >= l.most {
		front := l.waiting.Front()
		if front == nil {
			l.mu.Unlock()
			return nil
		}
		longest = front.Value.(*counted)
		l.leave(longest)
	}
	l.open++
	n := &counted{Conn: c, of: l}
	n.place = l.waiting.PushBack(n)
	l.mu.Unlock()
	if longest != nil {
		_ = longest.Conn.Close() // its server's Close comes later, and finds it gone
	}
	return n
}

// changed follows a connection of an http.Server, whose ConnState it is.
func (l *limited) changed(c net.Conn, state http.ConnState) {
	n := c.(*counted)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n.gone:
	case state == http.StateActive && n.place != nil:
		l.waiting.Remove(n.place)
		n.place = nil
	case state == http.StateIdle && n.place == nil:
		n.place = l.waiting.PushBack(n)
	}
}

// leave takes n out of the count, once. The caller holds mu.
func (l *limited) leave(n *counted) {
	if n.gone {
		return
	}
	n.gone = true
	l.open--
	if n.place != nil {
		l.waiting.Remove(n.place)
		n.place = nil
	}
}

// counted is a connection that has a place until it is closed. Its fields are of's to guard.
type counted struct {
	net.Conn
	of    *limited
	place *list.Element // in of.waiting, or nil while a request is being answered
	gone  bool
}

func (c *counted) Close() error {
	c.of.mu.Lock()
	c.of.leave(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

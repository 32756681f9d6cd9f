package faults

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// wire is what lies between the client and the node. Cutting it first makes a power cut exact: whatever the node still says
// while its disk dies reaches nobody, so that "acknowledged" means acknowledged before the cut.
type wire struct {
	mu    sync.Mutex
	cuts  int
	conns map[*wireConn]struct{}
}

func newWire() *wire { return &wire{conns: map[*wireConn]struct{}{}} }

// dial is a kgo.Dialer.
func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	cuts := w.cuts
	w.mu.Unlock()
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cuts != cuts {
		nc.Close()
		return nil, errCut
	}
	c := &wireConn{Conn: nc, wire: w, made: cuts}
	w.conns[c] = struct{}{}
	return c, nil
}

var errCut = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// cut ends every connection. When it returns, nothing that the node said and the client has not read will be read.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts++
	for c := range w.conns {
		c.Conn.Close()
	}
	clear(w.conns)
}

type wireConn struct {
	net.Conn
	wire *wire
	made int // the number of cuts before it
}

// Read drops what arrived while the wire was being cut. A connection always ends as by a machine that is gone: the client
// takes an orderly end right after it connected for a refusal of plain text, and gives its records up.
func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	switch {
	case c.made != c.wire.cuts:
		return 0, errCut
	case err == io.EOF:
		err = errCut
	}
	return n, err
}

func (c *wireConn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.conns, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

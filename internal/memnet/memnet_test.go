package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T, n *Network, address string) net.Listener {
	t.Helper()
	l, err := n.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestBytesArriveAtWhoListens(t *testing.T) {
	n := New()
	l := listen(t, n, "127.0.0.1:0")
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	c, err := n.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != l.Addr().String() {
		t.Errorf("connected to %s, dialled %s", c.RemoteAddr(), l.Addr())
	}
	if _, err := c.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "abc" {
		t.Fatalf("read %q, %v", got, err)
	}
}

func TestAddressesAreTakenOnceAndFreedByClose(t *testing.T) {
	n := New()
	first := listen(t, n, "127.0.0.1:0")
	if second := listen(t, n, ":0"); second.Addr().String() == first.Addr().String() {
		t.Errorf("both listen on %s", first.Addr())
	}
	if _, err := n.Listen(t.Context(), "tcp", first.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening twice: %v", err)
	}
	first.Close()
	if _, err := n.Dial(t.Context(), "tcp", first.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a closed listener: %v", err)
	}
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting on a closed listener: %v", err)
	}
	listen(t, n, first.Addr().String())
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1", "broker:9092", "127.0.0.1:x", "127.0.0.1:70000"} {
		if l, err := New().Listen(t.Context(), "tcp", address); err == nil {
			t.Errorf("%q: listens on %s", address, l.Addr())
		}
	}
}

func TestDiallingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l := listen(t, n, ":0")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := n.Dial(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody accepts: %v", err)
		}
	})
}

func TestAClosedConnectionFailsAsASocketDoes(t *testing.T) {
	n := New()
	l := listen(t, n, ":0")
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	c, err := n.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far := <-accepted
	far.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading what the other end closed: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing to what the other end closed: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading what this end closed: %v", err)
	}
}

func TestPortsBeginAnewWhereTheyEnd(t *testing.T) {
	n := New()
	for range 60_000 {
		l, err := n.Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		if port := l.Addr().(*net.TCPAddr).Port; port < firstPort || port > 65535 {
			t.Fatalf("port %d", port)
		}
		l.Close()
	}
}

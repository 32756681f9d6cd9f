package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// text is a Response of some bytes.
type text string

func (t text) AppendTo(dst []byte) []byte { return append(dst, t...) }

// The keys of the test's protocol: what an op does is in the name.
const (
	keyBegin  = 0
	keyHandle = 1
	keyPlain  = 2
)

// body is a request that is its own bytes.
type body struct {
	kmsg.Request
	b []byte
}

// fakeHandler lets a test decide when each request, named by its body, is answered.
type fakeHandler struct {
	mu      sync.Mutex
	started []string
	pauses  []time.Duration
	gates   map[string]chan Response
}

func newFakeHandler() *fakeHandler { return &fakeHandler{gates: map[string]chan Response{}} }

func (h *fakeHandler) gate(name string) chan Response {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gates[name] == nil {
		h.gates[name] = make(chan Response, 1)
	}
	return h.gates[name]
}

func (h *fakeHandler) begun() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.started...)
}

func (h *fakeHandler) start(c *Call) string {
	name := string(c.Request.(*body).b)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started, h.pauses = append(h.started, name), append(h.pauses, c.Pause)
	return name
}

type fakePending struct{ gate chan Response }

func (p fakePending) Ready() bool { return len(p.gate) > 0 }

func (p fakePending) Finish(ctx context.Context) Response {
	select {
	case r := <-p.gate:
		return r
	case <-ctx.Done():
		return nil
	}
}

// brokenPending panics when it is finished.
type brokenPending struct{ fakePending }

func (brokenPending) Finish(context.Context) Response { panic("on purpose") }

func (h *fakeHandler) Lookup(key, version int16) (Op, bool) {
	op := Op{Flexible: version >= 9, Decode: func(_ int16, b []byte) (kmsg.Request, error) {
		if string(b) == "undecodable" {
			return nil, errors.New("not a request")
		}
		return &body{b: bytes.Clone(b)}, nil
	}}
	switch key {
	case keyBegin:
		op.Begin = func(_ context.Context, c *Call) Pending {
			name := h.start(c)
			if name == "panic" {
				return brokenPending{fakePending{h.gate(name)}}
			}
			return fakePending{h.gate(name)}
		}
	case keyHandle:
		op.Handle = func(ctx context.Context, c *Call) Response {
			name := h.start(c)
			if name == "panic" {
				panic("on purpose")
			}
			select {
			case r := <-h.gate(name):
				return r
			case <-ctx.Done():
				return text("cancelled")
			}
		}
	case keyPlain:
		op.PlainReply = true
		op.Handle = func(_ context.Context, c *Call) Response { return text("echo " + h.start(c)) }
	default:
		return op, false
	}
	return op, true
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// world is a server on pipes with a fake handler.
type world struct {
	t *testing.T
	*fakeHandler
	srv *Server
	l   *pipes
}

func newWorld(t *testing.T, change func(*Config)) *world {
	h := newFakeHandler()
	c := Config{Handler: h, Log: slog.New(slog.DiscardHandler), Budget: NewBudget(4 << 20)}
	if change != nil {
		change(&c)
	}
	w := &world{t: t, fakeHandler: h, srv: New(c), l: newPipes()}
	w.srv.Serve(w.l, "PLAINTEXT")
	return w
}

func request(key, version int16, correlation int32, body string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, 0, 2, 'm', 'e')
	if version >= 9 {
		b = append(b, 1, 5, 2, 'x', 'y') // one tagged field
	}
	b = append(b, body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (w *world) send(c net.Conn, b []byte) {
	w.t.Helper()
	if _, err := c.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) answer(c net.Conn) (correlation int32, body string) {
	w.t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		w.t.Fatalf("no answer: %v", err)
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, rest); err != nil {
		w.t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), string(rest)
}

func (w *world) wantAnswer(c net.Conn, correlation int32, body string) {
	w.t.Helper()
	if gotC, got := w.answer(c); gotC != correlation || got != body {
		w.t.Fatalf("answer %d %q, want %d %q", gotC, got, correlation, body)
	}
}

func (w *world) wantClosed(c net.Conn) {
	w.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.ErrNoProgress) {
		w.t.Fatalf("read %d bytes, %v; want a closed connection", n, err)
	}
}

func (w *world) wantBegun(names ...string) {
	w.t.Helper()
	synctest.Wait()
	got := w.begun()
	if len(got) != len(names) {
		w.t.Fatalf("begun %v, want %v", got, names)
	}
	for i := range names {
		if got[i] != names[i] {
			w.t.Fatalf("begun %v, want %v", got, names)
		}
	}
}

func TestProducesBeginWhileEarlierOnesWaitAndAreAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		for i, name := range []string{"a", "b", "c"} {
			w.send(c, request(keyBegin, 3, int32(i), name))
		}
		w.wantBegun("a", "b", "c")
		w.gate("c") <- text("C")
		w.gate("b") <- text("B")
		w.gate("a") <- text("A")
		for i, body := range []string{"A", "B", "C"} {
			w.wantAnswer(c, int32(i), body)
		}
	})
}

func TestARequestTellsHowLongItsConnectionWasSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c, other := w.l.dial(), w.l.dial()
		time.Sleep(time.Second)
		w.send(c, request(keyBegin, 3, 0, "first"))
		time.Sleep(30 * time.Millisecond)
		w.send(other, request(keyBegin, 3, 0, "another's"))
		synctest.Wait()
		w.send(c, request(keyBegin, 3, 1, "later"))
		w.send(c, request(keyBegin, 3, 2, "at once"))
		w.wantBegun("first", "another's", "later", "at once")
		if want := []time.Duration{0, 0, 30 * time.Millisecond, 0}; !slices.Equal(w.pauses, want) {
			t.Errorf("silent for %v, want %v", w.pauses, want)
		}
	})
}

func TestEveryOtherRequestWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "p1"))
		w.send(c, request(keyHandle, 4, 2, "h"))
		sent := make(chan error, 1)
		go func() { // the reader takes the body only when its turn has come
			_, err := c.Write(request(keyBegin, 3, 3, "p2"))
			sent <- err
		}()
		w.wantBegun("p1")
		w.gate("p1") <- text("1")
		w.wantAnswer(c, 1, "1")
		w.wantBegun("p1", "h")
		w.gate("h") <- text("2")
		w.wantAnswer(c, 2, "2")
		w.wantBegun("p1", "h", "p2")
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		w.gate("p2") <- text("3")
		w.wantAnswer(c, 3, "3")
	})
}

func TestHeadersFollowTheVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyHandle, 9, 7, "flexible"))
		w.gate("flexible") <- text("x")
		w.wantAnswer(c, 7, "\x00x")
		w.send(c, request(keyPlain, 9, 8, "plain"))
		w.wantAnswer(c, 8, "echo plain")
	})
}

func TestDisconnectCancelsALongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyHandle, 4, 1, "poll"))
		w.wantBegun("poll")
		c.Close()
		synctest.Wait()
		if n := w.srv.Connections(); n != 0 {
			t.Fatalf("%d connections after the client left", n)
		}
		if used := w.srv.Budget.Used(); used != 0 {
			t.Fatalf("%d bytes still reserved", used)
		}
	})
}

func TestMalformedFramesCloseTheConnection(t *testing.T) {
	long := binary.BigEndian.AppendUint32(nil, 200<<20)
	cases := map[string][]byte{
		"negative length":  {0xff, 0xff, 0xff, 0xff},
		"zero length":      {0, 0, 0, 0},
		"too long":         long,
		"http":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"tls":              {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01},
		"unknown key":      request(77, 0, 1, ""),
		"header cut short": append([]byte{0, 0, 0, 9}, request(keyHandle, 4, 1, "")[4:13]...),
		"client id beyond": {0, 0, 0, 12, 0, 1, 0, 4, 0, 0, 0, 1, 0x7f, 0xff, 'a', 'b'},
		"undecodable":      request(keyHandle, 4, 1, "undecodable"),
		"undecodable too":  request(keyBegin, 4, 1, "undecodable"),
		"no records":       append(binary.BigEndian.AppendUint32(nil, 9<<20), 0, keyHandle, 0, 4),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				defer w.srv.Close()
				healthy, c := w.l.dial(), w.l.dial()
				go func() { _, _ = c.Write(b) }() // it may be closed before all is written
				w.wantClosed(c)
				w.send(healthy, request(keyPlain, 0, 5, "still here"))
				w.wantAnswer(healthy, 5, "echo still here")
				if used := w.srv.Budget.Used(); used != 0 {
					t.Fatalf("%d bytes still reserved", used)
				}
			})
		})
	}
}

func TestRequestsBeforeAMalformedOneAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "good"))
		w.send(c, request(77, 0, 2, "")[:8])
		synctest.Wait()
		w.gate("good") <- text("done")
		w.wantAnswer(c, 1, "done")
		w.wantClosed(c)
	})
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		healthy, c := w.l.dial(), w.l.dial()
		w.send(c, request(keyHandle, 4, 1, "panic"))
		w.wantClosed(c)
		synctest.Wait()
		if n := w.srv.Budget.Used(); n != 0 {
			t.Errorf("%d bytes of the budget are lost", n)
		}
		w.send(healthy, request(keyPlain, 0, 5, "x"))
		w.wantAnswer(healthy, 5, "echo x")
	})
}

func TestAPanicWhileAConnectionIsGivenUpKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		healthy, c := w.l.dial(), w.l.dial()
		for i, name := range []string{"first", "panic", "second", "panic", "last"} {
			w.send(c, request(keyBegin, 3, int32(i), name))
		}
		w.wantBegun("first", "panic", "second", "panic", "last")
		c.Close()
		synctest.Wait()
		if conns, used := w.srv.Connections(), w.srv.Budget.Used(); conns != 1 || used != 0 {
			t.Errorf("%d connections and %d bytes of the budget are kept", conns-1, used)
		}
		w.send(healthy, request(keyPlain, 0, 5, "x"))
		w.wantAnswer(healthy, 5, "echo x")
	})
}

func TestNoAnswerAndHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "silent"))
		w.send(c, request(keyBegin, 3, 2, "loud"))
		w.send(c, request(keyBegin, 3, 3, "bye"))
		w.gate("silent") <- nil
		w.gate("loud") <- text("L")
		w.gate("bye") <- Hangup{Reason: "acks=0 failed"}
		w.wantAnswer(c, 2, "L")
		w.wantClosed(c)
	})
}

func TestAClientThatShallComeBackIsReset(t *testing.T) {
	for _, c := range []struct {
		name       string
		greeted    bool // it got an answer before
		end        func(w *world, c net.Conn)
		wantsReset bool
	}{
		{"the node stops", false, func(w *world, _ net.Conn) { w.srv.Close() }, true},
		{"the node stops later", true, func(w *world, _ net.Conn) { w.srv.Close() }, false},
		{"the node starts", false, func(w *world, c net.Conn) {
			w.send(c, request(keyBegin, 3, 1, "x"))
			w.gate("x") <- Hangup{Reason: "starting", Again: true}
		}, true},
		{"it is refused", false, func(w *world, c net.Conn) {
			w.send(c, request(keyBegin, 3, 1, "x"))
			w.gate("x") <- Hangup{Reason: "a mistake"}
		}, false},
	} {
		w := newWorld(t, nil)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.srv.Serve(l, "TCP")
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		for w.srv.Connections() == 0 {
			runtime.Gosched()
		}
		if c.greeted {
			w.send(nc, request(keyPlain, 0, 5, "x"))
			w.wantAnswer(nc, 5, "echo x")
		}
		c.end(w, nc)
		_, err = nc.Read(make([]byte, 1))
		if reset := !errors.Is(err, io.EOF); reset != c.wantsReset {
			t.Errorf("%s: %v", c.name, err)
		}
		nc.Close()
		w.srv.Close()
	}
}

func TestIdleConnectionCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.IdleTimeout = time.Minute })
		defer w.srv.Close()
		c, busy := w.l.dial(), w.l.dial()
		w.send(busy, request(keyHandle, 4, 1, "poll"))
		begun := time.Now()
		w.wantClosed(c)
		if d := time.Since(begun); d != time.Minute {
			t.Fatalf("closed after %v", d)
		}
		w.gate("poll") <- text("late")
		w.wantAnswer(busy, 1, "late")
	})
}

func TestHalfSentFrameLosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		c := w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "half of this")[:20])
		begun := time.Now()
		w.wantClosed(c)
		if d := time.Since(begun); d < 30*time.Second || d > time.Minute {
			t.Fatalf("closed after %v", d)
		}
	})
}

func TestHalfSentFramesDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Budget = NewBudget(4 << 20) })
		defer w.srv.Close()
		var slow []net.Conn
		for range 8 { // as much as the budget, and as much again waiting
			c := w.l.dial()
			w.send(c, append(binary.BigEndian.AppendUint32(nil, 1<<20), request(keyBegin, 3, 1, strings.Repeat("slow", readBuffer))[4:]...))
			slow = append(slow, c)
		}
		for _, text := range []string{"small", strings.Repeat("larger", readBuffer)} {
			c := w.l.dial()
			begun := time.Now()
			w.send(c, request(keyPlain, 0, 5, text))
			w.wantAnswer(c, 5, "echo "+text)
			d := time.Since(begun)
			if d > 5*time.Second {
				t.Fatalf("a healthy client waited %v", d)
			}
			if text == "small" && d > 0 {
				t.Fatalf("a request that had arrived waited %v for those that had not", d)
			}
		}
		for _, c := range slow {
			c.Close()
		}
	})
}

func TestFramesThatAreOnlyAnnouncedHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Budget = NewBudget(4 << 20) })
		defer w.srv.Close()
		var announced []net.Conn
		for range 100 {
			c := w.l.dial()
			w.send(c, append(binary.BigEndian.AppendUint32(nil, 1<<20), request(keyBegin, 3, 1, "slow")[4:]...))
			announced = append(announced, c)
		}
		synctest.Wait()
		if used := w.srv.Budget.Used(); used != 0 {
			t.Errorf("%d bytes are held for nothing", used)
		}
		begun := time.Now()
		for _, c := range announced {
			w.wantClosed(c)
		}
		if d := time.Since(begun); d > time.Minute {
			t.Errorf("they were closed after %v", d)
		}
	})
}

func TestLargeFramesLeaveRoomForSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.srv.Close()
		large := w.l.dial()
		w.send(large, append(binary.BigEndian.AppendUint32(nil, 90<<20), request(keyBegin, 3, 1, "slow")[4:]...))
		c := w.l.dial()
		begun := time.Now()
		w.send(c, request(keyPlain, 0, 5, "small"))
		w.wantAnswer(c, 5, "echo small")
		if d := time.Since(begun); d != 0 {
			t.Fatalf("waited %v", d)
		}
		large.Close()
	})
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.MaxConnections = 2 })
		defer w.srv.Close()
		a, _ := w.l.dial(), w.l.dial()
		w.wantClosed(w.l.dial())
		a.Close()
		synctest.Wait()
		c := w.l.dial()
		w.send(c, request(keyPlain, 0, 5, "x"))
		w.wantAnswer(c, 5, "echo x")
	})
}

func TestShutdownAnswersWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		c, poll, idle := w.l.dial(), w.l.dial(), w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "flush"))
		w.wantBegun("flush")
		w.send(poll, request(keyHandle, 4, 2, "poll"))
		w.wantBegun("flush", "poll")
		done := make(chan struct{})
		go func() {
			w.srv.Shutdown(context.Background())
			close(done)
		}()
		w.wantAnswer(poll, 2, "cancelled")
		w.wantClosed(poll)
		w.wantClosed(idle)
		w.gate("flush") <- text("safe")
		w.wantAnswer(c, 1, "safe")
		w.wantClosed(c)
		<-done
	})
}

func TestShutdownIsCutOffWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		c := w.l.dial()
		w.send(c, request(keyBegin, 3, 1, "never"))
		w.wantBegun("never")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.srv.Shutdown(ctx)
		w.wantClosed(c)
	})
}

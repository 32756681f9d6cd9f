package link

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/memnet"
)

const (
	cluster = "cluster-of-the-test-00"
	self    = kafka.NodeID(1)
	far     = kafka.NodeID(2)
	address = "127.0.0.1:9092"
)

var farLife = kafka.TopicID{2, 2}

// world is a Pool of node 1 in a network of its own, and what it told.
type world struct {
	t    *testing.T
	net  *memnet.Network
	pool *Pool

	mu          sync.Mutex
	dials       []time.Time
	broken      []time.Time
	unreachable int
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	w := &world{t: t, net: memnet.New()}
	c := Config{
		Self: self, Incarnation: kafka.TopicID{1, 1}, Log: slog.New(slog.DiscardHandler),
		ClusterID: func() string { return cluster },
		Resolve:   func(id kafka.NodeID) (string, bool) { return address, id == far },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			w.mu.Lock()
			w.dials = append(w.dials, time.Now())
			w.mu.Unlock()
			return w.net.Dial(ctx, network, address)
		},
		Broken: func(id kafka.NodeID) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.broken = append(w.broken, time.Now())
		},
		Unreachable: func(id kafka.NodeID) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.unreachable++
		},
	}
	for _, f := range change {
		f(&c)
	}
	w.pool = New(c)
	return w
}

func (w *world) breaks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.broken)
}

func (w *world) unreached() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unreachable
}

// received is one request at the other node.
type received struct {
	conn        net.Conn
	key         int16
	version     int16
	correlation int32
	body        []byte
}

// other is the other node: it answers Hello, and hands everything else to the test.
type other struct {
	t        *testing.T
	l        net.Listener
	greeting func(*peer.HelloRequest) *peer.HelloResponse // nil: none is given
	take     func(received)                               // nil: requests are read and left

	wg     sync.WaitGroup
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	hellos []*peer.HelloRequest
}

func listen(w *world) *other {
	w.t.Helper()
	l, err := w.net.Listen(w.t.Context(), "tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	o := &other{t: w.t, l: l, conns: map[net.Conn]struct{}{}}
	o.greeting = func(*peer.HelloRequest) *peer.HelloResponse { return welcome() }
	return o
}

func welcome() *peer.HelloResponse {
	return &peer.HelloResponse{ClusterID: cluster, NodeID: int32(far), Incarnation: farLife, Leader: 2}
}

func (o *other) start() *other {
	o.wg.Go(func() {
		for {
			nc, err := o.l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[nc] = struct{}{}
			o.mu.Unlock()
			o.wg.Go(func() { o.serve(nc) })
		}
	})
	return o
}

func (o *other) serve(nc net.Conn) {
	defer o.forget(nc)
	in := bufio.NewReader(nc)
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		r := kbin.Reader{Src: frame}
		req := received{conn: nc, key: r.Int16(), version: r.Int16(), correlation: r.Int32()}
		r.NullableString()
		if probe := request(req.key); probe != nil {
			if probe.SetVersion(req.version); probe.IsFlexible() {
				r.Uvarint()
			}
		}
		req.body = r.Src
		o.got(req)
	}
}

func request(key int16) kmsg.Request {
	if r := peer.NewRequest(key); r != nil {
		return r
	}
	return kmsg.RequestForKey(key)
}

func (o *other) got(req received) {
	if req.key != peer.KeyHello {
		o.mu.Lock()
		take := o.take
		o.mu.Unlock()
		if take != nil {
			take(req)
		}
		return
	}
	var hello peer.HelloRequest
	if err := hello.ReadFrom(req.body); err != nil {
		o.t.Error(err)
	}
	o.mu.Lock()
	o.hellos = append(o.hellos, &hello)
	greeting := o.greeting
	o.mu.Unlock()
	if greeting == nil {
		return
	}
	if resp := greeting(&hello); resp != nil {
		req.answer(resp)
	} else {
		req.conn.Close()
	}
}

// answer answers in one write. An error means that the caller has gone.
func (r received) answer(resp kmsg.Response) {
	frame := kbin.AppendInt32([]byte{0, 0, 0, 0}, r.correlation)
	if resp.SetVersion(r.version); resp.IsFlexible() {
		frame = append(frame, 0)
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	_, _ = r.conn.Write(frame)
}

func (o *other) forget(nc net.Conn) {
	nc.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, nc)
}

// fall ends the listener and all connections, as a process that is killed.
func (o *other) fall() {
	o.l.Close()
	o.cut()
	o.wg.Wait()
}

func (o *other) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for nc := range o.conns {
		nc.Close()
	}
}

func (o *other) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

func (o *other) greeted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.hellos)
}

func submit(name string) *peer.SubmitRequest { return &peer.SubmitRequest{Body: []byte(name)} }

func (o *other) takes(take func(received)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.take = take
}

func (o *other) greets(greeting func(*peer.HelloRequest) *peer.HelloResponse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.greeting = greeting
}

// echo answers a Submit with its own body.
func echo(r received) {
	if r.key != peer.KeySubmit {
		return
	}
	var req peer.SubmitRequest
	if err := req.ReadFrom(r.body); err != nil {
		panic(err)
	}
	r.answer(&peer.SubmitResponse{Body: req.Body})
}

// ask sends a Submit and gives the answer's body.
func (w *world) ask(ctx context.Context, name string) (string, error) {
	resp, err := w.pool.Request(ctx, far, submit(name))
	if err != nil {
		return "", err
	}
	s, ok := resp.(*peer.SubmitResponse)
	if !ok {
		return "", fmt.Errorf("answer is a %T", resp)
	}
	return string(s.Body), nil
}

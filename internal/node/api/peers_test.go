package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/memnet"
	"github.com/headrace/headrace/internal/node/transport"
)

// node is what a test has other nodes find at node 2.
type node struct {
	mu     sync.Mutex
	hellos []*peer.HelloRequest
	raft   [][]byte
	submit func(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse
}

func (n *node) Hello(c transport.Client, req *peer.HelloRequest) *peer.HelloResponse {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hellos = append(n.hellos, req)
	resp := &peer.HelloResponse{ClusterID: "C", NodeID: 2, Incarnation: [16]byte{2}, Leader: 2}
	if req.ClusterID != "C" && req.ClusterID != "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.InconsistentClusterID.Code, "this is cluster C, not "+req.ClusterID
	}
	return resp
}

func (n *node) Raft(req *peer.RaftRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range req.Messages {
		n.raft = append(n.raft, slices.Clone(m))
	}
}

func (n *node) Submit(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
	return n.submit(ctx, req)
}

func (n *node) Join(_ context.Context, req *peer.JoinRequest) *peer.JoinResponse {
	return &peer.JoinResponse{ErrorCode: kerr.NotController.Code, ErrorMessage: req.Host, Leader: 3}
}

// peers is a node that others reach at its address.
type peers struct {
	*node
	t   *testing.T
	net *memnet.Network
	srv *transport.Server
	api *Server
}

const peersAddress = "127.0.0.1:9092"

func newPeers(t *testing.T) *peers {
	p := &peers{t: t, net: memnet.New(), node: &node{}}
	log := slog.New(slog.DiscardHandler)
	p.api = New(Config{NodeID: 2, Log: log, Peers: p.node})
	p.srv = transport.New(transport.Config{Handler: p.api, Log: log, Budget: transport.NewBudget(256 << 20)})
	l, err := p.net.Listen(t.Context(), "tcp", peersAddress)
	if err != nil {
		t.Fatal(err)
	}
	p.srv.Serve(l, "PLAINTEXT")
	return p
}

func (p *peers) pool(cluster string) *link.Pool {
	return link.New(link.Config{
		Self: 1, Incarnation: kafka.TopicID{1}, Log: slog.New(slog.DiscardHandler), Dial: p.net.Dial,
		ClusterID: func() string { return cluster },
		Resolve:   func(kafka.NodeID) (string, bool) { return peersAddress, true },
	})
}

// heartbeat is a request that nodes forward.
func heartbeat(offset int64) *peer.SubmitRequest {
	b := kmsg.NewPtrBrokerHeartbeatRequest()
	b.BrokerID, b.CurrentMetadataOffset = 1, offset
	return &peer.SubmitRequest{TimeoutMs: 5000, RequestKey: b.Key(), Version: b.Version, Body: b.AppendTo(nil)}
}

func TestNodesTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		p.submit = func(_ context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
			return &peer.SubmitResponse{Leader: 2, Offset: 7, Body: req.Body}
		}
		pool := p.pool("C")
		for i := range 1000 {
			pool.Raft(2, [][]byte{binary.BigEndian.AppendUint32(nil, uint32(i)), bytes.Repeat([]byte("x"), 10000)})
		}
		resp, err := pool.Request(t.Context(), 2, heartbeat(5))
		if s, ok := resp.(*peer.SubmitResponse); err != nil || !ok || s.Offset != 7 || !bytes.Equal(s.Body, heartbeat(5).Body) {
			t.Errorf("%+v, %v", resp, err)
		}
		join, err := pool.Join(t.Context(), peersAddress, &peer.JoinRequest{NodeID: 1, Host: "one"})
		if err != nil || join.ErrorCode != kerr.NotController.Code || join.ErrorMessage != "one" || join.Leader != 3 {
			t.Errorf("%+v, %v", join, err)
		}
		if alive, err := pool.Probe(t.Context(), 2, kafka.TopicID{2}); !alive || err != nil {
			t.Errorf("alive %v, %v", alive, err)
		}
		synctest.Wait()
		if len(p.raft) != 2000 {
			t.Errorf("%d raft messages of 2000", len(p.raft))
		}
		for i := 0; i < len(p.raft); i += 2 {
			if got := binary.BigEndian.Uint32(p.raft[i]); got != uint32(i/2) {
				t.Fatalf("message %d came in the place of %d", got, i/2)
			}
		}
		if h := p.hellos[0]; h.NodeID != 1 || h.Incarnation != [16]byte{1} || h.ClusterID != "C" {
			t.Errorf("said %+v", h)
		}
		pool.Close()
		p.srv.Close()
		if left := p.api.submits.Load(); left != 0 {
			t.Errorf("%d bytes are counted for requests that are done", left)
		}
	})
}

func TestAnotherClusterIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		pool := p.pool("D")
		if _, err := pool.Request(t.Context(), 2, heartbeat(5)); !errors.Is(err, kerr.InconsistentClusterID) {
			t.Error(err)
		}
		pool.Close()
		p.srv.Close()
	})
}

// A forwarded request that waits holds up no other; the answers come in order all the same.
func TestForwardedRequestsRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		var mu sync.Mutex
		begun := 0
		all := make(chan struct{})
		p.submit = func(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
			mu.Lock()
			if begun++; begun == 10 {
				close(all)
			}
			mu.Unlock()
			<-all
			return &peer.SubmitResponse{Body: req.Body}
		}
		pool := p.pool("C")
		var wg sync.WaitGroup
		for i := range int64(10) {
			wg.Go(func() {
				resp, err := pool.Request(t.Context(), 2, heartbeat(i))
				if s, ok := resp.(*peer.SubmitResponse); err != nil || !ok || !bytes.Equal(s.Body, heartbeat(i).Body) {
					t.Errorf("%+v, %v", resp, err)
				}
			})
		}
		wg.Wait()
		pool.Close()
		p.srv.Close()
	})
}

func TestForwardedRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		p.submit = func(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
			<-ctx.Done()
			return &peer.SubmitResponse{ErrorCode: kerr.RequestTimedOut.Code}
		}
		pool := p.pool("C")
		since := time.Now()
		resp, err := pool.Request(t.Context(), 2, heartbeat(1))
		if err != nil || resp.(*peer.SubmitResponse).ErrorCode != kerr.RequestTimedOut.Code || time.Since(since) != 5*time.Second {
			t.Errorf("%+v, %v after %v", resp, err, time.Since(since))
		}
		go func() { _, _ = pool.Request(t.Context(), 2, heartbeat(1)) }()
		synctest.Wait()
		pool.Close() // the caller has gone: so does what it asked for
		synctest.Wait()
		if left := p.api.submits.Load(); left != 0 {
			t.Errorf("%d bytes are held for who has gone", left)
		}
		p.srv.Close()
	})
}

func TestADefectInAForwardedRequestEndsTheConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		p.submit = func(context.Context, *peer.SubmitRequest) *peer.SubmitResponse { panic("a defect") }
		pool := p.pool("C")
		if _, err := pool.Request(t.Context(), 2, heartbeat(1)); !errors.Is(err, link.ErrMaybe) {
			t.Error(err)
		}
		pool.Close()
		synctest.Wait()
		if n := p.srv.Stats().Closed[transport.ClosedDefect]; n != 1 {
			t.Errorf("%d connections ended by a defect", n)
		}
		p.srv.Close()
	})
}

func TestForwardedRequestsAreJudgedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t)
		p.submit = func(context.Context, *peer.SubmitRequest) *peer.SubmitResponse {
			t.Error("it was handed on")
			return &peer.SubmitResponse{}
		}
		pool := p.pool("C")
		topics := kmsg.NewPtrCreateTopicsRequest()
		topics.Version = 7
		bomb := append(kbin.AppendUvarint(nil, 1<<20), make([]byte, 1<<20)...) // more topics than can be in it
		for name, try := range map[string]struct {
			req  peer.SubmitRequest
			want *kerr.Error
		}{
			"no controller's":  {peer.SubmitRequest{RequestKey: 999}, kerr.InvalidRequest},
			"another node's":   {peer.SubmitRequest{RequestKey: peer.KeySubmit}, kerr.InvalidRequest},
			"too new":          {peer.SubmitRequest{RequestKey: topics.Key(), Version: 100, Body: topics.AppendTo(nil)}, kerr.InvalidRequest},
			"too old":          {peer.SubmitRequest{RequestKey: topics.Key(), Version: -1, Body: topics.AppendTo(nil)}, kerr.InvalidRequest},
			"cut off":          {peer.SubmitRequest{RequestKey: topics.Key(), Version: 7, Body: topics.AppendTo(nil)[:2]}, kerr.InvalidRequest},
			"too large":        {peer.SubmitRequest{RequestKey: topics.Key(), Version: 7, Body: make([]byte, largestSubmit+1)}, kerr.InvalidRequest},
			"a bomb":           {peer.SubmitRequest{RequestKey: topics.Key(), Version: 7, Body: bomb}, kerr.InvalidRequest},
			"nothing to judge": {peer.SubmitRequest{RequestKey: topics.Key(), Version: 7}, kerr.InvalidRequest},
		} {
			try.req.TimeoutMs = 1000
			resp, err := pool.Request(t.Context(), 2, &try.req)
			if s, ok := resp.(*peer.SubmitResponse); err != nil || !ok || s.ErrorCode != try.want.Code || s.ErrorMessage == "" {
				t.Errorf("%s: %+v, %v", name, resp, err)
			}
		}
		p.api.submits.Store(submitsMemory)
		resp, err := pool.Request(t.Context(), 2, heartbeat(1))
		if s, ok := resp.(*peer.SubmitResponse); err != nil || !ok || s.ErrorCode != kerr.ThrottlingQuotaExceeded.Code {
			t.Errorf("%+v, %v where others hold all memory", resp, err)
		}
		pool.Close()
		p.srv.Close()
	})
}

// stranger's frames: what comes without Hello, or in spite of it, ends the connection.
func TestNodesThatDoNotIntroduceThemselvesAreHungUpOn(t *testing.T) {
	hello := &peer.HelloRequest{ClusterID: "C", NodeID: 1}
	for name, try := range map[string][]kmsg.Request{
		"raft first":            {&peer.RaftRequest{From: 1, Messages: [][]byte{{1}}}},
		"submit first":          {heartbeat(1)},
		"join first":            {&peer.JoinRequest{}},
		"after a refusal":       {&peer.HelloRequest{ClusterID: "D"}, &peer.JoinRequest{}},
		"of no common version":  {&peer.HelloRequest{ClusterID: "C", Oldest: peer.MaxVersion + 1, Newest: peer.MaxVersion + 2}, heartbeat(1)},
		"welcome, then refused": {hello, &peer.HelloRequest{ClusterID: "D"}, heartbeat(1)},
		"raft of another":       {hello, &peer.RaftRequest{From: 3, Messages: [][]byte{{1}}}},
		"join of another":       {hello, &peer.JoinRequest{NodeID: 3}},
		"submit of nobody":      {&peer.HelloRequest{ClusterID: "C", NodeID: -1}, heartbeat(1)},
		"join of nobody":        {&peer.HelloRequest{ClusterID: "C", NodeID: -1}, &peer.JoinRequest{NodeID: -1}},
		"a key beyond":          {hello, &keyed{key: peer.KeyJoin + 1}},
		"a version beyond":      {hello, &keyed{key: peer.KeyJoin, version: peer.MaxVersion + 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeers(t)
			p.submit = func(context.Context, *peer.SubmitRequest) *peer.SubmitResponse {
				t.Errorf("%s: it was handed on", name)
				return &peer.SubmitResponse{}
			}
			nc, err := p.net.Dial(t.Context(), "tcp", peersAddress)
			if err != nil {
				t.Fatal(err)
			}
			for i, req := range try {
				send(t, nc, req)
				answered := receive(nc)
				if last := i == len(try)-1; answered == last {
					t.Errorf("%s: request %d was answered: %v", name, i, answered)
				}
			}
			nc.Close()
			p.srv.Close()
			if len(p.raft) > 0 {
				t.Errorf("%s: raft got %d messages", name, len(p.raft))
			}
		})
	}
}

// keyed is an empty request of any key and version.
type keyed struct {
	peer.JoinRequest
	key, version int16
}

func (k *keyed) Key() int16        { return k.key }
func (k *keyed) GetVersion() int16 { return k.version }

func send(t *testing.T, nc net.Conn, req kmsg.Request) {
	t.Helper()
	b := kbin.AppendInt16([]byte{0, 0, 0, 0}, req.Key())
	b = kbin.AppendInt16(b, req.GetVersion())
	b = append(b, 0, 0, 0, 1, 0xff, 0xff, 0) // correlation, no client id, no tags
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, _ = nc.Write(b) // the other end may close before it took all
}

func receive(nc net.Conn) bool {
	var size [4]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(size[:])))
	return err == nil
}

func TestHelloAgreesOnAVersion(t *testing.T) {
	for _, try := range []struct{ oldest, newest, want, code int16 }{
		{0, peer.MaxVersion, peer.MaxVersion, 0},
		{0, peer.MaxVersion + 5, peer.MaxVersion, 0},
		{peer.MaxVersion + 1, peer.MaxVersion + 5, peer.MaxVersion, kerr.UnsupportedVersion.Code},
		{-2, -1, -1, kerr.UnsupportedVersion.Code},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPeers(t)
			c := &Call{Note: new(atomic.Value)}
			resp := p.api.hello(t.Context(), c, &peer.HelloRequest{Oldest: try.oldest, Newest: try.newest}).(*peer.HelloResponse)
			if resp.Version != try.want || resp.ErrorCode != try.code || resp.NodeID != 2 {
				t.Errorf("%+v: %+v", try, resp)
			}
			if _, ok := known(c); ok != (try.code == 0) {
				t.Errorf("%+v: known %v", try, ok)
			}
			p.srv.Close()
		})
	}
}

func TestPeersAreNotAdvertised(t *testing.T) {
	with, without := New(Config{Log: slog.New(slog.DiscardHandler), Peers: &node{}}), New(Config{Log: slog.New(slog.DiscardHandler)})
	for key := peer.KeyHello; key <= peer.KeyJoin; key++ {
		if _, ok := without.Lookup(key, 0); ok {
			t.Errorf("key %d is served where there are no peers", key)
		}
		if _, ok := with.Lookup(key, 0); !ok {
			t.Errorf("key %d is not served", key)
		}
		if slices.ContainsFunc(with.entries, func(e Entry) bool { return int16(e.Key) == key }) {
			t.Errorf("key %d is in the table", key)
		}
	}
}

// All that nodes forward has a shape: New would not notice.
func TestWhatNodesForwardCanBeWeighed(t *testing.T) {
	for _, key := range append(slices.Clone(controllerRequests), kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions,
		kmsg.IncrementalAlterConfigs, kmsg.AlterConfigs) {
		if _, ok := shapes[int16(key)]; !ok {
			t.Errorf("%s has no shape: run go generate ./internal/node/api", key.Name())
		}
	}
}

package api

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/node/transport"
)

// Peers takes what other nodes of the cluster send. Its methods may be called at the same time, and never return nil.
type Peers interface {
	// Hello answers who this node is, or (ErrorCode) why the caller is not welcome; Version is filled in behind it. It is the first
	// request of a connection, and comes again while the connection is quiet.
	Hello(c transport.Client, req *peer.HelloRequest) *peer.HelloResponse
	// Raft takes messages in the order of their sender. They hold until it returns. While it blocks, no more are read.
	Raft(req *peer.RaftRequest)
	// Submit answers as the active controller, or says that it is not. Bytes of req hold.
	Submit(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse
	// Join lets a node into the metadata quorum, or says why not.
	Join(ctx context.Context, req *peer.JoinRequest) *peer.JoinResponse
}

// Bounds of requests that other nodes forward.
const (
	longestSubmit = time.Minute
	largestSubmit = 8 << 20  // as transport's MaxControlFrame
	submitsMemory = 64 << 20 // of all that are under way, decoded
)

const longestJoin = time.Minute

// controllerRequests are those that nodes make themselves and the active controller answers, beside what clients may ask for.
var controllerRequests = []kmsg.Key{
	kmsg.AlterPartition, kmsg.AlterPartitionAssignments, kmsg.ListPartitionReassignments, kmsg.ElectLeaders, kmsg.UpdateFeatures,
	kmsg.BrokerRegistration, kmsg.BrokerHeartbeat, kmsg.UnregisterBroker, kmsg.AllocateProducerIDs, kmsg.AddRaftVoter, kmsg.RemoveRaftVoter,
	kmsg.AssignReplicasToDirs,
}

// introduced is what Hello leaves on a connection.
type introduced struct {
	ok   bool
	node int32
}

// addPeers adds the requests of other nodes. They are not in the table: ApiVersions is not to name them.
func (s *Server) addPeers(ops map[opKey]transport.Op) {
	if s.Peers == nil {
		return
	}
	add := func(key int16, op transport.Op) {
		op.Flexible = true
		op.Decode = func(version int16, body []byte) (kmsg.Request, error) {
			req := peer.NewRequest(key)
			req.SetVersion(version)
			return req, req.ReadFrom(body)
		}
		// The decoders believe no length, and what they make is hardly larger than what they read.
		op.Weight = func(_ int16, body []byte) (int64, error) { return 2 * int64(len(body)), nil }
		for v := peer.MinVersion; v <= peer.MaxVersion; v++ {
			ops[opKey{key, v}] = op
		}
	}
	add(peer.KeyHello, transport.Op{Handle: on(s.hello)})
	add(peer.KeyRaft, transport.Op{Begin: s.beginRaft})
	add(peer.KeySubmit, transport.Op{Begin: s.beginSubmit})
	add(peer.KeyJoin, transport.Op{Handle: on(s.join)})
}

// hello lets a connection that is welcome go on, in the newest version that both ends know.
func (s *Server) hello(_ context.Context, c *Call, req *peer.HelloRequest) Response {
	resp := s.Peers.Hello(c.Client, req)
	resp.Version = min(req.Newest, peer.MaxVersion)
	if resp.ErrorCode == 0 && resp.Version < max(req.Oldest, peer.MinVersion) {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		resp.ErrorMessage = fmt.Sprintf("node %d speaks versions %d to %d between nodes, node %d speaks %d to %d: update the older one in steps",
			req.NodeID, req.Oldest, req.Newest, resp.NodeID, peer.MinVersion, peer.MaxVersion)
	}
	c.Note.Store(introduced{ok: resp.ErrorCode == 0 && req.NodeID >= 0, node: req.NodeID}) // who gives no name asks nothing else
	return resp
}

// stranger is the answer to a connection that did not begin with Hello, or was refused.
var stranger = transport.Hangup{Reason: "a request between nodes on a connection without Hello"}

func known(c *Call) (introduced, bool) {
	i, _ := c.Note.Load().(introduced)
	return i, i.ok
}

// settled is a Pending that has its answer: nil for none.
type settled struct{ answer Response }

func (settled) Ready() bool                       { return true }
func (p settled) Finish(context.Context) Response { return p.answer }

func (s *Server) beginRaft(_ context.Context, c *Call) transport.Pending {
	req := c.Request.(*peer.RaftRequest)
	switch from, ok := known(c); {
	case !ok:
		return settled{stranger}
	case from.node != req.From:
		return settled{transport.Hangup{Reason: fmt.Sprintf("raft messages of node %d on a connection of node %d", req.From, from.node)}}
	}
	s.Peers.Raft(req)
	return settled{}
}

func (s *Server) join(ctx context.Context, c *Call, req *peer.JoinRequest) Response {
	switch from, ok := known(c); {
	case !ok:
		return stranger
	case from.node != req.NodeID:
		return transport.Hangup{Reason: fmt.Sprintf("node %d joins on a connection of node %d", req.NodeID, from.node)}
	}
	ctx, cancel := context.WithTimeout(ctx, longestJoin)
	defer cancel()
	return s.Peers.Join(ctx, req)
}

// submitted is a request that another node forwarded, being answered by a goroutine that Finish waits for. There is one for each: a
// request that has to wait must not hold up the heartbeats behind it.
type submitted struct {
	s        *Server
	weight   int64
	done     chan struct{}
	answer   *peer.SubmitResponse
	panicked any // goes off where transport catches it
}

func (s *Server) beginSubmit(ctx context.Context, c *Call) transport.Pending {
	if _, ok := known(c); !ok {
		return settled{stranger}
	}
	req := c.Request.(*peer.SubmitRequest)
	weight, err := weighForwarded(req)
	if err != nil {
		return settled{refusedSubmit(kerr.InvalidRequest, err.Error())}
	}
	if held := s.submits.Add(weight); held > submitsMemory && held > weight { // one alone may, as large as it is
		s.submits.Add(-weight)
		return settled{refusedSubmit(kerr.ThrottlingQuotaExceeded, "too many forwarded requests wait for the controller")}
	}
	req.Body = slices.Clone(req.Body) // the frame is free from here on
	p := &submitted{s: s, weight: weight, done: make(chan struct{})}
	go p.run(ctx, c.Received, req)
	return p
}

func (p *submitted) run(ctx context.Context, received time.Time, req *peer.SubmitRequest) {
	defer close(p.done)
	defer p.s.submits.Add(-p.weight)
	defer func() {
		if r := recover(); r != nil {
			p.panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	within := min(time.Duration(max(req.TimeoutMs, 0))*time.Millisecond, longestSubmit)
	ctx, cancel := context.WithDeadline(ctx, received.Add(within))
	defer cancel()
	p.answer = p.s.Peers.Submit(ctx, req)
}

// Ready implements transport.Pending.
func (p *submitted) Ready() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Finish implements transport.Pending. The request's own deadline, and the end of the connection, end the wait.
func (p *submitted) Finish(context.Context) Response {
	<-p.done
	if p.panicked != nil {
		panic(p.panicked)
	}
	return p.answer
}

// weighForwarded tells how much memory a forwarded request takes, itself included. Its body was weighed where it came in, but it is
// a stranger who says so.
func weighForwarded(req *peer.SubmitRequest) (int64, error) {
	shape, ok := shapes[req.RequestKey]
	if !ok {
		return 0, fmt.Errorf("API key %d is not answered by controllers", req.RequestKey)
	}
	if newest := kmsg.RequestForKey(req.RequestKey).MaxVersion(); req.Version < 0 || req.Version > newest {
		return 0, fmt.Errorf("version %d of API key %d is not known", req.Version, req.RequestKey)
	}
	size := int64(len(req.Body))
	if size > largestSubmit {
		return 0, fmt.Errorf("forwarded request of %d bytes, more than %d", size, largestSubmit)
	}
	weight, err := shape.weigh(req.Version, req.Body)
	return size + weight, err
}

func refusedSubmit(e *kerr.Error, message string) *peer.SubmitResponse {
	return &peer.SubmitResponse{ErrorCode: e.Code, ErrorMessage: message, Leader: -1, Offset: -1}
}

package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/node/transport"
)

// maxKnown nodes are remembered that have said Hello: more than a cluster has. Anybody may say it, under any id.
const maxKnown = 10_000

// peers answers the other nodes, from before this one belongs to a cluster until it is closed.
type peers struct {
	n         *Node
	clusterID atomic.Pointer[string]        // nil while this node belongs to no cluster
	quorum    atomic.Pointer[quorum.Quorum] // nil before it was started

	mu sync.Mutex
	// known is the incarnation of each node that was last let in here.
	known map[kafka.NodeID]kafka.TopicID
	// at is where nodes are reached that may not be registered there yet.
	at map[kafka.NodeID]place
}

// place is where a node is reached, as it or another that knows said.
type place struct {
	address     string
	incarnation kafka.TopicID // of the process there; zero where nobody said
	epoch       int64         // of the node's registration then, as far as it was published; -1 for none
}

func newPeers(n *Node) *peers {
	return &peers{n: n, known: map[kafka.NodeID]kafka.TopicID{}, at: map[kafka.NodeID]place{}}
}

func (p *peers) cluster() string {
	if id := p.clusterID.Load(); id != nil {
		return *id
	}
	return ""
}

// Hello implements api.Peers. The members are named once there is a quorum that has elected a leader or known members
// before: who asks can tell by them whether there is a cluster here.
func (p *peers) Hello(_ transport.Client, req *peer.HelloRequest) *peer.HelloResponse {
	resp := &peer.HelloResponse{
		ClusterID: p.cluster(), NodeID: int32(p.n.Config.ID), Incarnation: p.n.incarnation,
		Version: peer.MaxVersion, Leader: int32(kafka.NoNode), Clock: time.Now().UnixMilli(),
	}
	if q := p.quorum.Load(); q != nil {
		if st := q.Status(); formed(st) {
			resp.Leader, resp.Members = int32(st.Leader), q.Members()
		}
	}
	if err := p.refusal(req, resp.ClusterID); err != nil {
		resp.ErrorCode, resp.ErrorMessage = err.code.Code, err.text
	} else if req.NodeID >= 0 {
		p.n.link.Heard(kafka.NodeID(req.NodeID)) // it may have been away
	}
	return resp
}

// formed tells whether a quorum has ever had a leader. One that is only waiting for its other first voters has not.
func formed(st quorum.Status) bool {
	return st.Leader != kafka.NoNode || st.Term > 0 || st.Applied >= 0
}

type refusal struct {
	code *kerr.Error
	text string
}

// refusal tells why another node is not welcome, or nil.
func (p *peers) refusal(req *peer.HelloRequest, own string) *refusal {
	id, incarnation := kafka.NodeID(req.NodeID), kafka.TopicID(req.Incarnation)
	switch {
	case req.Oldest > peer.MaxVersion || req.Newest < peer.MinVersion:
		return &refusal{kerr.UnsupportedVersion, fmt.Sprintf("node %d speaks versions %d to %d between nodes, this one (%d) speaks %d to %d: update the older one",
			req.NodeID, req.Oldest, req.Newest, p.n.Config.ID, peer.MinVersion, peer.MaxVersion)}
	case own != "" && req.ClusterID != "" && req.ClusterID != own:
		return &refusal{kerr.InconsistentClusterID, fmt.Sprintf("node %d belongs to the cluster %s, but node %d to %s: check its cluster.id and log dirs, and the addresses of the others",
			req.NodeID, req.ClusterID, p.n.Config.ID, own)}
	case id < 0 || incarnation == p.n.incarnation:
		return nil // nobody, or this process itself
	case id == p.n.Config.ID:
		return &refusal{kerr.DuplicateBrokerRegistration, fmt.Sprintf("this node has the id %d too: give one of them another node.id and empty log dirs", id)}
	}
	return p.admit(id, incarnation)
}

// admit lets a node's process in, unless another with its id is alive. That is asked by a probe that says nothing of who asks: one
// with a name would be judged in the same way at the other end, and after all nodes were restarted together, when each knows all
// the others by their processes before, every probe would lead to another without end.
func (p *peers) admit(id kafka.NodeID, incarnation kafka.TopicID) *refusal {
	p.mu.Lock()
	before, ok := p.known[id]
	p.mu.Unlock()
	if ok && before == incarnation {
		return nil
	}
	if img := p.n.image.Load(); img != nil {
		if n, registered := img.Node(id); registered && !n.Fenced {
			before, ok = n.Incarnation, true
		}
	}
	if ok && before != incarnation {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if alive, err := p.n.probes.Probe(ctx, id, before); err == nil && alive {
			return &refusal{kerr.DuplicateBrokerRegistration, fmt.Sprintf("another node with the id %d is alive: give one of them another node.id and empty log dirs", id)}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.known[id]; again || len(p.known) < maxKnown {
		p.known[id] = incarnation
	}
	return nil
}

// Raft implements api.Peers.
func (p *peers) Raft(req *peer.RaftRequest) {
	q := p.quorum.Load()
	if q == nil {
		return // they are sent again
	}
	p.n.link.Heard(kafka.NodeID(req.From))
	if err := q.Raft(req); err != nil {
		p.n.Log.Warn("messages of another node are left out", "component", "quorum", "err", err)
	}
}

// Submit implements api.Peers.
func (p *peers) Submit(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
	q := p.quorum.Load()
	if q == nil {
		return &peer.SubmitResponse{ErrorCode: kerr.NotController.Code, ErrorMessage: "the node is starting", Leader: int32(kafka.NoNode), Offset: -1}
	}
	resp := q.Serve(ctx, req)
	if req.RequestKey == kmsg.BrokerHeartbeat.Int16() && resp.ErrorCode == 0 {
		p.heard(req, resp)
	}
	return resp
}

// heard tells the guard of the nodes' lives of a heartbeat that the controller has taken.
func (p *peers) heard(req *peer.SubmitRequest, resp *peer.SubmitResponse) {
	beat, answer := kmsg.NewPtrBrokerHeartbeatRequest(), kmsg.NewPtrBrokerHeartbeatResponse()
	beat.Version, answer.Version = req.Version, req.Version
	if beat.ReadFrom(req.Body) == nil && answer.ReadFrom(resp.Body) == nil && answer.ErrorCode == 0 {
		p.n.guard.heard(kafka.NodeID(beat.BrokerID))
	}
}

// Join implements api.Peers. A node that has been in the cluster says where it is now: it may have moved, and the leader has to
// reach it before it can register there.
func (p *peers) Join(ctx context.Context, req *peer.JoinRequest) *peer.JoinResponse {
	q := p.quorum.Load()
	if q == nil {
		return &peer.JoinResponse{ErrorCode: kerr.NotController.Code, ErrorMessage: "the node is starting", ClusterID: p.cluster(), Leader: int32(kafka.NoNode)}
	}
	if !req.Fresh && req.ClusterID == p.cluster() && belongs(q, kafka.NodeID(req.NodeID)) {
		p.reach(kafka.NodeID(req.NodeID), address(req.Host, req.Port), req.Incarnation)
		p.n.link.Heard(kafka.NodeID(req.NodeID))
	}
	return q.Admit(ctx, req)
}

// belongs tells whether a node is a member of the quorum, or has been.
func belongs(q *quorum.Quorum, id kafka.NodeID) bool {
	_, _, known := q.Address(id)
	return known || slices.ContainsFunc(q.Members(), func(m peer.Member) bool { return kafka.NodeID(m.ID) == id })
}

// reach notes where a node is that the metadata does not know there.
func (p *peers) reach(id kafka.NodeID, at string, incarnation kafka.TopicID) {
	to := place{address: at, incarnation: incarnation, epoch: -1}
	if img := p.n.image.Load(); img != nil {
		if n, ok := img.Node(id); ok {
			to.epoch = n.Epoch
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[id] = to
}

// settle forgets what was noted of nodes whose registration tells it now. One of before does not: where all nodes have moved together
// they learn from each other where they are, and none could be registered there if this were forgotten as soon as the old
// registrations are read.
func (p *peers) settle(img *metadata.Image, ids []kafka.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		to, noted := p.at[id]
		n, registered := img.Node(id)
		switch {
		case !noted || !registered:
		case n.Incarnation == to.incarnation, to.epoch >= 0 && n.Epoch > to.epoch:
			delete(p.at, id)
		case to.epoch < 0:
			to.epoch = n.Epoch
			p.at[id] = to
		}
	}
}

// resolve is where a node is reached: where it said so last, else where it is registered.
func (p *peers) resolve(id kafka.NodeID) (string, bool) {
	p.mu.Lock()
	to, ok := p.at[id]
	p.mu.Unlock()
	if ok {
		return to.address, true
	}
	if q := p.quorum.Load(); q != nil {
		if host, port, ok := q.Address(id); ok {
			return address(host, port), true
		}
	}
	for _, v := range p.n.Config.Cluster.Voters {
		if v.ID == id {
			return v.Address, true
		}
	}
	return "", false
}

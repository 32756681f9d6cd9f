package quorum

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/base/vfs"
)

// world is a cluster whose nodes come and go, in one synctest bubble. Its nodes are numbered from 1. Raft messages travel in
// their marshalled form and may be lost; requests that are forwarded arrive, or find nobody.
type world struct {
	t      *testing.T
	mu     sync.Mutex // guards what follows
	nodes  map[kafka.NodeID]*worldNode
	loss   float64
	delay  time.Duration // messages take up to this long, and overtake one another
	rng    *rand.Rand
	config func(*Config) // changes what every node starts with
	// segmentBytes is the size of the log's segments.
	segmentBytes int64
	led          map[int32]kafka.NodeID
	killed       sync.WaitGroup // those that end by themselves
}

type worldNode struct {
	q    *Quorum // nil while it is down
	disk *vfs.Mem
	cut  bool
	deaf bool // gets no raft messages
	// fs is over disk; nil means disk itself.
	fs       vfs.FS
	keepDisk bool // the next new disk is the one that is there
	// disks counts the disks that it had, starts its processes.
	disks, starts byte
}

var errNobody = errors.New("connection refused")

// startWorld starts node 1 alone.
func startWorld(t *testing.T, seed uint64, config func(*Config)) *world {
	w := newWorld(t, seed)
	w.config = config
	w.first()
	return w
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, nodes: map[kafka.NodeID]*worldNode{}, rng: rand.New(rand.NewPCG(seed, 5)), led: map[int32]kafka.NodeID{}, segmentBytes: 4000,
	}
	t.Cleanup(w.stop)
	return w
}

// first starts node 1.
func (w *world) first() {
	w.newDisk(1)
	w.start(1, false)
	w.register(1)
}

func (w *world) newDisk(id kafka.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nodes[id]
	if n == nil {
		n = &worldNode{}
		w.nodes[id] = n
	}
	if !n.keepDisk {
		n.disk, n.fs = vfs.NewMem(), nil
	}
	n.keepDisk = false
	n.disks++
}

// start starts a process of a node, on the disk that it has.
func (w *world) start(id kafka.NodeID, joined bool) {
	w.t.Helper()
	q, err := w.tryStart(id, func(c *Config) {
		c.Directory = w.dir(id)
		if c.Joined = joined; joined {
			c.Voters = nil
		}
	})
	if err != nil {
		w.t.Fatalf("node %d: %v", id, err)
	}
	w.mu.Lock()
	w.nodes[id].q = q
	w.nodes[id].starts++
	w.mu.Unlock()
}

func (w *world) tryStart(id kafka.NodeID, change func(*Config)) (*Quorum, error) {
	n := w.nodes[id]
	fsys := n.fs
	if fsys == nil {
		fsys = n.disk
	}
	log, err := openSegments(fsys, testDir, w.segmentBytes)
	if err != nil {
		return nil, err
	}
	cfg := testConfig(w.t, fsys, log)
	cfg.NodeID = id
	w.mu.Lock()
	cfg.Rand = rand.New(rand.NewPCG(w.rng.Uint64(), 1))
	w.mu.Unlock()
	cfg.Send = func(messages []*raftpb.Message) {
		for _, m := range messages {
			to, b, err := Marshal(m)
			if err != nil {
				panic(err)
			}
			w.carry(id, to, b)
		}
	}
	cfg.Forward = func(ctx context.Context, leader kafka.NodeID, key, version int16, body []byte) ([]byte, kafka.Offset, error) {
		q, err := w.reach(id, leader)
		if err != nil {
			return nil, 0, err
		}
		req := &peer.SubmitRequest{TimeoutMs: 2000, RequestKey: key, Version: version, Body: body}
		resp := q.Serve(ctx, req)
		clear(body) // the frame is used for something else
		return Answer(resp)
	}
	cfg.Down = func() (down []kafka.NodeID) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for other, n := range w.nodes {
			if n.q == nil || n.cut || w.nodes[id].cut {
				down = append(down, other)
			}
		}
		return down
	}
	cfg.Led = func(leading bool, term int32) { w.noteLeader(id, leading, term) }
	if w.config != nil {
		w.config(&cfg)
	}
	change(&cfg)
	return Start(cfg)
}

// noteLeader holds that a term has one leader.
func (w *world) noteLeader(id kafka.NodeID, leading bool, term int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !leading {
		return
	}
	if was, ok := w.led[term]; ok && was != id {
		w.t.Errorf("term %d is led by node %d and by node %d", term, was, id)
	}
	w.led[term] = id
}

func (w *world) carry(from, to kafka.NodeID, b []byte) {
	w.mu.Lock()
	a, n := w.nodes[from], w.nodes[to]
	lost := n == nil || a.q == nil || n.q == nil || a.cut || n.cut || n.deaf || w.rng.Float64() < w.loss
	var q *Quorum
	if !lost {
		q = n.q
	}
	wait := time.Duration(0)
	if w.delay > 0 {
		wait = time.Duration(w.rng.Int64N(int64(w.delay)))
	}
	w.mu.Unlock()
	if lost {
		return
	}
	deliver := func() {
		if err := q.Raft(&peer.RaftRequest{From: int32(from), Messages: [][]byte{b}}); err != nil {
			w.t.Error(err)
		}
	}
	if wait == 0 {
		deliver()
		return
	}
	time.AfterFunc(wait, deliver)
}

func (w *world) reach(from, to kafka.NodeID) (*Quorum, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.nodes[to]; n != nil && n.q != nil && !n.cut && !w.nodes[from].cut {
		return n.q, nil
	}
	return nil, errNobody
}

// join admits a node through the others, as its process does before it starts its quorum: fresh with an empty disk.
func (w *world) join(id kafka.NodeID, fresh bool) *peer.JoinResponse {
	w.t.Helper()
	var resp *peer.JoinResponse
	w.eventually(fmt.Sprintf("node %d is admitted", id), func() bool {
		for _, q := range w.alive() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			resp = q.Admit(ctx, w.joinRequest(id, fresh))
			cancel()
			if resp.ErrorCode == 0 {
				return true
			}
		}
		return false
	})
	return resp
}

func (w *world) joinRequest(id kafka.NodeID, fresh bool) *peer.JoinRequest {
	return &peer.JoinRequest{
		ClusterID: "c1", NodeID: int32(id), DirectoryIDs: [][16]byte{w.dir(id)}, Host: fmt.Sprintf("node%d", id), Port: 9092, Fresh: fresh,
	}
}

func (w *world) dir(id kafka.NodeID) [16]byte { return [16]byte{200, byte(id), w.nodes[id].disks} }

// add joins, starts and registers a node with an empty disk.
func (w *world) add(id kafka.NodeID) {
	w.t.Helper()
	w.newDisk(id)
	w.join(id, true)
	w.start(id, true)
	w.ready(id)
	w.register(id)
}

func (w *world) ready(id kafka.NodeID) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("node %d is ready", id), func() bool {
		select {
		case <-w.q(id).Ready():
			return true
		default:
			return false
		}
	})
}

// register registers a node by itself, and has its first heartbeat make it active.
func (w *world) register(id kafka.NodeID) {
	w.t.Helper()
	req := registration()
	n := w.nodes[id]
	req.BrokerID, req.IncarnationID, req.LogDirs = int32(id), [16]byte{1, byte(id), n.starts}, [][16]byte{w.dir(id)}
	req.Listeners[0].Host, req.Listeners[0].Port = fmt.Sprintf("node%d", id), 9092
	epoch := w.submit(id, req).(*kmsg.BrokerRegistrationResponse).BrokerEpoch
	beat := kmsg.NewPtrBrokerHeartbeatRequest()
	beat.BrokerID, beat.BrokerEpoch, beat.CurrentMetadataOffset = int32(id), epoch, int64(w.q(id).Image().Offset())
	if r := w.submit(id, beat).(*kmsg.BrokerHeartbeatResponse); r.IsFenced {
		w.t.Fatalf("node %d stays fenced: %+v", id, r)
	}
}

// conf is raft's view of the members on a node.
func (w *world) conf(id kafka.NodeID) *raftpb.ConfState {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, err := offline(w.t, id, w.nodes[id].disk.CrashClone(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	return l.conf
}

func (w *world) q(id kafka.NodeID) *Quorum {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[id].q
}

func (w *world) alive() map[kafka.NodeID]*Quorum {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[kafka.NodeID]*Quorum{}
	for id, n := range w.nodes {
		if n.q != nil && !n.cut {
			all[id] = n.q
		}
	}
	return all
}

// submit asks through one node, as its clients do, until it is answered.
func (w *world) submit(id kafka.NodeID, req kmsg.Request) kmsg.Response {
	w.t.Helper()
	var reply any
	w.eventually(fmt.Sprintf("an answer to %T", req), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := w.q(id).Submit(ctx, req)
		if err != nil && !errors.Is(err, kerr.NotController) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kerr.RequestTimedOut) {
			w.t.Fatalf("node %d: %v", id, err)
		}
		reply = r
		return err == nil
	})
	return reply.(kmsg.Response)
}

func (w *world) create(id kafka.NodeID, topic string) {
	w.t.Helper()
	r := w.submit(id, createTopics(topic)).(*kmsg.CreateTopicsResponse).Topics[0]
	if r.ErrorCode != 0 && r.ErrorCode != kerr.TopicAlreadyExists.Code {
		w.t.Fatalf("create %s: %v", topic, kerr.ErrorForCode(r.ErrorCode))
	}
	if _, ok := w.q(id).Image().Topic(topic); !ok {
		w.t.Fatalf("node %d has answered, and does not know %s", id, topic)
	}
}

// kill ends a node as kill -9 or a power cut does, and keeps what is durable of its disk. The others are told nothing.
func (w *world) kill(id kafka.NodeID) {
	w.mu.Lock()
	n := w.nodes[id]
	q := n.q
	n.q = nil // what it does from here on reaches neither the others nor the disk that is kept
	torn := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	w.mu.Unlock()
	after := n.disk.CrashClone(torn)
	w.killed.Go(func() { q.Close() }) // it hands over to nobody
	n.disk = after
}

// lost tells all others that the process of a node is gone, as their connections do.
func (w *world) lost(id kafka.NodeID) {
	for other, q := range w.alive() {
		if other != id {
			q.LeaderLost(id)
			q.Unreachable(id)
		}
	}
}

func (w *world) close(id kafka.NodeID) {
	w.t.Helper()
	if err := w.q(id).Close(); err != nil {
		w.t.Errorf("close node %d: %v", id, err)
	}
	w.mu.Lock()
	w.nodes[id].q = nil
	w.mu.Unlock()
}

func (w *world) setCut(id kafka.NodeID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].cut = cut
}

func (w *world) setDeaf(id kafka.NodeID, deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].deaf = deaf
}

func (w *world) setLoss(p float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loss = p
}

func (w *world) stop() {
	defer w.killed.Wait()
	for id := range w.nodes {
		if q := w.q(id); q != nil {
			if err := q.Close(); err != nil {
				w.t.Errorf("node %d: %v", id, err)
			}
		}
	}
}

// eventually waits up to two minutes of the bubble's time.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for range 2400 {
		synctest.Wait()
		if ok() {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	for id, q := range w.alive() {
		st := q.Status()
		w.t.Logf("node %d: leader %d, term %d, voters %v, learners %v, end %d, applied %d, members %+v, %v",
			id, st.Leader, st.Term, st.Voters, st.Learners, st.End, st.Applied, st.Members, q.Err())
	}
	w.t.Fatalf("never: %s", what)
}

// leader waits for one that leads, and that all who are alive follow.
func (w *world) leader() kafka.NodeID {
	w.t.Helper()
	leader := kafka.NoNode
	w.eventually("one leader for all", func() bool {
		leader = kafka.NoNode
		for _, q := range w.alive() {
			l := q.Status().Leader
			if l == kafka.NoNode || leader != kafka.NoNode && l != leader {
				return false
			}
			leader = l
		}
		q, ok := w.alive()[leader]
		return ok && q.Status().Leads
	})
	return leader
}

// voters waits until all who are alive agree that exactly these vote, and that the rest of the members learn.
func (w *world) voters(ids ...kafka.NodeID) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("voters %v", ids), func() bool {
		for _, q := range w.alive() {
			if !slices.Equal(q.Status().Voters, ids) {
				return false
			}
		}
		return true
	})
}

// agree waits until all who are alive have the same Image.
func (w *world) agree() {
	w.t.Helper()
	w.eventually("the same Image on all", func() bool {
		var first *Quorum
		for _, q := range w.alive() {
			if first == nil {
				first = q
			}
			if !q.Image().Equal(first.Image()) || q.Image().Offset() < 0 || q.Status().Leader == kafka.NoNode {
				return false
			}
		}
		return true
	})
}

func (w *world) describe(id kafka.NodeID) *kmsg.DescribeQuorumResponseTopicPartition {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 2
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = kafka.MetadataTopic
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	return &w.submit(id, req).(*kmsg.DescribeQuorumResponse).Topics[0].Partitions[0]
}

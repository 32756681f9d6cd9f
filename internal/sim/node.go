package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	heartbeatTime = 500 * time.Millisecond
	sessionTime   = 3 * time.Second
	// answerTime is how long who asks another node waits for its answer.
	answerTime = time.Second
)

// epochTime is where the clocks begin.
var epochTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// node is one process with its disk. Fields below up are those of the process and end with it.
type node struct {
	w     *world
	index int
	id    kafka.NodeID
	disk  disk
	clock clock
	slow  bool // its disk takes long to flush
	// incarnation counts starts.
	incarnation int

	up     bool
	paused bool
	parked []func() // what came while paused
	member *member
	image  *metadata.Image
	// published tells that the node has caught up with the metadata, and acts on it.
	published bool
	epoch     int64 // of its registration; -1 before
	asking    bool  // a registration or heartbeat is under way
	stopping  bool  // it hands over what it leads, to end then
	replicas  map[int32]*replicaOf
}

// disk is what outlives the process.
type disk struct {
	raft raftDisk
	logs map[int32]*log
}

func (n *node) start() {
	w := n.w
	n.incarnation++
	n.up, n.paused, n.parked = true, false, nil
	n.image, n.published, n.epoch, n.asking, n.stopping = metadata.New(clusterID), false, -1, false, false
	n.replicas = map[int32]*replicaOf{}
	for _, l := range n.disk.logs {
		l.restart()
	}
	n.member = newMember(n)
	w.tracef("node %d starts", n.id)
	n.every(tick, n.member.tick)
	n.every(heartbeatTime/2, n.heartbeat)
	n.every(tick, func() {
		n.member.input(func() {
			if c := n.member.control; c != nil {
				c.expire()
			}
		})
	})
}

// crash ends the process. With power lost too, what was not flushed is gone, but for a part that had reached the disk by
// chance; without, the operating system keeps what was written.
func (n *node) crash(power bool) {
	if !n.up {
		return
	}
	n.w.tracef("node %d crashes (power lost: %v)", n.id, power)
	n.w.result.Crashes++
	n.up = false
	if m := n.member; m.writing {
		n.tear(m)
	}
	for _, tp := range sortedKeys(n.disk.logs) {
		if power {
			n.disk.logs[tp].losePower(n.w.rng)
		}
	}
}

// tear leaves a write of raft's state half done: nothing of it, the vote alone, or some of the entries too. The commit is kept
// last, once its entries are there: see quorum's carryOut.
func (n *node) tear(m *member) {
	d, hs, entries := &n.disk.raft, m.pending.HardState, m.pending.Entries
	kept := n.w.rng.IntN(3)
	if kept == 0 {
		return
	}
	if !raft.IsEmptyHardState(hs) {
		commit := d.hard.GetCommit()
		d.hard = &raftpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: &commit}
	}
	if kept == 2 {
		d.save(nil, entries[:n.w.rng.IntN(len(entries)+1)])
	}
}

func (n *node) pause() {
	if n.up && !n.paused {
		n.w.tracef("node %d is paused", n.id)
		n.w.result.Pauses++
		n.paused = true
	}
}

func (n *node) resume() {
	if !n.up || !n.paused {
		return
	}
	n.w.tracef("node %d goes on", n.id)
	n.paused = false
	parked := n.parked
	n.parked = nil
	for _, do := range parked {
		do()
	}
}

// parkedMost is how many messages and timers wait for a paused process; more are lost, as where a socket's buffer is full.
const parkedMost = 1000

// do runs something in the process, later if it is paused.
func (n *node) do(f func()) {
	switch {
	case !n.paused:
		f()
	case len(n.parked) < parkedMost:
		n.parked = append(n.parked, f)
	}
}

// after plans something in this process.
func (n *node) after(d time.Duration, f func()) {
	lives := n.process()
	n.w.after(d, func() {
		if lives() {
			n.do(f)
		}
	})
}

func (n *node) every(d time.Duration, f func()) {
	n.after(n.w.around(d), func() {
		f()
		n.every(d, f)
	})
}

// clock is a machine's: the monotonic one runs at a speed of its own, the wall clock jumps too.
type clock struct {
	at, since time.Duration // what it showed, and when that was
	drift     float64       // seconds in a second
	skew      time.Duration
}

func (c *clock) read(now time.Duration) time.Duration {
	d := now - c.since
	return c.at + d + time.Duration(c.drift*float64(d))
}

func (c *clock) set(now time.Duration, drift float64, skew time.Duration) {
	c.at, c.since, c.drift, c.skew = c.read(now), now, drift, skew
}

// monotonic is what the process measures durations by.
func (n *node) monotonic() time.Duration { return n.clock.read(n.w.now) }

// wall is the time of day for the process.
func (n *node) wall() time.Time { return epochTime.Add(n.monotonic() + n.clock.skew) }

// flushTime is how long a flush of this node's disk takes.
func (n *node) flushTime() time.Duration {
	if n.slow {
		return n.w.around(200 * time.Millisecond)
	}
	return n.w.around(time.Millisecond)
}

// process tells of the process that runs now whether it still does: the answer to a question ends with the connection.
func (n *node) process() func() bool {
	incarnation := n.incarnation
	return func() bool { return n.up && n.incarnation == incarnation }
}

// ask carries a request to the active controller and its answer back; either may be lost, and reply is called at most once.
func (n *node) ask(req any, reply func(any, error)) {
	leader := n.member.leader
	if leader == kafka.NoNode {
		return
	}
	to := n.w.node(leader)
	answered, asker := false, n.process()
	once := func(v any, err error) {
		if !answered {
			answered = true
			reply(v, err)
		}
	}
	decide := func() {
		to.member.input(func() {
			c := to.member.control
			if c == nil {
				return
			}
			c.ask(req, func(v any, err error) {
				n.w.send(to, n, func() {
					if asker() {
						once(v, err)
					}
				})
			})
		})
	}
	if to == n {
		decide()
		return
	}
	n.w.send(n, to, decide)
}

// heartbeat registers the node, or says that it lives.
func (n *node) heartbeat() {
	if n.asking || !n.published {
		return
	}
	n.asking = true
	n.after(answerTime, func() { n.asking = false })
	if n.epoch < 0 {
		n.register()
		return
	}
	hb := kmsg.NewPtrBrokerHeartbeatRequest()
	hb.BrokerID, hb.BrokerEpoch, hb.CurrentMetadataOffset = int32(n.id), n.epoch, int64(n.image.Offset())
	hb.WantShutdown = n.stopping
	n.ask(hb, func(v any, err error) {
		n.asking = false
		r, ok := v.(*kmsg.BrokerHeartbeatResponse)
		switch {
		case err != nil || !ok:
		case r.ErrorCode != 0:
			n.epoch = -1 // registered by nobody, or another incarnation is
		case r.ShouldShutdown:
			n.w.tracef("node %d has handed over", n.id)
			n.w.crashFor(n, false)
		}
	})
}

func (n *node) incarnationID() kafka.TopicID {
	return kafka.TopicID{byte(n.index + 1), byte(n.incarnation), byte(n.incarnation >> 8), 1}
}

// registered tells whether the metadata knows this process. What it gave to the one before is not this one's to lead.
func (n *node) registered() bool {
	known, ok := n.image.Node(n.id)
	return ok && known.Incarnation == n.incarnationID()
}

func (n *node) register() {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID = int32(n.id), clusterID
	req.IncarnationID = n.incarnationID()
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "node", uint16(9092+n.index)
	req.Listeners = append(req.Listeners, l)
	for _, name := range sortedKeys(features) {
		level := features[name]
		f := kmsg.NewBrokerRegistrationRequestFeature()
		f.Name, f.MinSupportedVersion, f.MaxSupportedVersion = name, level, level
		req.Features = append(req.Features, f)
	}
	req.LogDirs = [][16]byte{{byte(n.index + 1), 2}}
	n.ask(req, func(v any, err error) {
		n.asking = false
		if r, ok := v.(*kmsg.BrokerRegistrationResponse); err == nil && ok && r.ErrorCode == 0 {
			n.epoch = r.BrokerEpoch
		}
	})
}

// catchUp begins to act on the metadata once all that was known to be committed before this start is applied.
func (n *node) catchUp() {
	if !n.published && n.member.leader != kafka.NoNode && n.member.applied > 0 && n.member.applied >= n.member.raft.BasicStatus().GetCommit() {
		n.published = true
		n.takeRoles(metadata.New(clusterID))
	}
}

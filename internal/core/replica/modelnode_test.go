package replica

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

type modelNode struct {
	m  *model
	id kafka.NodeID
	// The disk: the log, how much of it is flushed, and the starts of the epochs.
	log     []record
	flushed int
	epochs  []EpochEnd // End is the start here

	// The process.
	run         int
	brokerEpoch int64
	applied     int // of metas
	leader      *Leader
	hw          kafka.Offset
	asked       int // the last fetch, and the epoch it was made in
	askedIn     kafka.LeaderEpoch
}

func (n *modelNode) meta() meta { return n.m.metas[n.applied] }

func (n *modelNode) end() kafka.Offset { return kafka.Offset(len(n.log)) }

// registered tells whether the node has heard of its own registration.
func (n *modelNode) registered() bool { return n.meta().active[n.id] == n.brokerEpoch }

func (n *modelNode) given() Leadership {
	d := n.meta()
	return Leadership{
		Epoch: d.epoch, PartitionEpoch: d.partitionEpoch, Replicas: nodes(1, 2, 3), ISR: d.isr, MinISR: n.m.minISR, Active: d.active, MaxLag: maxLag,
	}
}

// apply takes up the next decision of the controller.
func (n *modelNode) apply() {
	if n.applied+1 < len(n.m.metas) {
		was := n.meta().epoch
		n.applied++
		n.takeRole(was)
	}
}

func (n *modelNode) takeRole(was kafka.LeaderEpoch) {
	d := n.meta()
	leads := d.leader == n.id && (n.registered() || n.m.broken == leadUnregistered)
	switch {
	case leads && n.leader != nil && was == d.epoch:
		n.leader.Regive(n.m.now, n.given())
	case leads:
		n.assign(d.epoch, n.end())
		n.leader = Lead(n.m.now, n.id, n.given(), n.end(), n.hw)
		n.leader.Secured(n.m.now, kafka.Offset(n.flushed))
		n.checkLeader()
	default:
		n.leader = nil
	}
	n.raised()
}

// checkLeader looks whether a new leader has all that was committed in earlier epochs. One that is late to hear of its leadership
// may find that a later one has begun and gone on.
func (n *modelNode) checkLeader() {
	c := n.m.committed
	for len(c) > 0 && n.m.committedIn[len(c)-1] >= n.meta().epoch {
		c = c[:len(c)-1]
	}
	if len(n.log) < len(c) || !slices.Equal(n.log[:len(c)], c) {
		n.m.fail("node %d leads in epoch %d with %v, where %v is committed", n.id, n.meta().epoch, n.log, c)
	}
}

// raised looks at the high watermark after it may have moved.
func (n *modelNode) raised() {
	m, hw := n.m, n.hw
	if n.leader != nil {
		if m.broken == joinBelowStart {
			n.leader.epochStart = 0
		}
		if m.broken == leaderAlone {
			n.leader.highWatermark = max(n.leader.highWatermark, n.leader.safe)
		}
		hw = n.leader.HighWatermark()
	}
	if hw < n.hw {
		m.fail("the high watermark of node %d goes back from %d to %d", n.id, n.hw, hw)
	}
	if hw > n.end() {
		m.fail("the high watermark of node %d is %d, its log ends at %d", n.id, hw, n.end())
		return
	}
	n.hw = hw
	for n.leader != nil && int(hw) > len(m.committed) {
		m.committed = append(m.committed, n.log[len(m.committed)])
		m.committedIn = append(m.committedIn, n.leader.Epoch())
	}
	if int(hw) > len(m.committed) || !slices.Equal(n.log[:hw], m.committed[:hw]) {
		m.fail("node %d has %v below its high watermark, where %v is committed", n.id, n.log[:hw], m.committed)
	}
}

func (n *modelNode) produce() {
	if n.leader == nil || n.leader.EnoughInSync() != nil {
		return
	}
	n.m.value++
	n.log = append(n.log, record{n.leader.Epoch(), n.m.value})
}

func (n *modelNode) flush() {
	n.flushed = len(n.log)
	if n.leader != nil {
		n.leader.Secured(n.m.now, kafka.Offset(n.flushed))
		n.raised()
	}
}

// crash loses some of what was not flushed. The process comes back with the metadata as it knew it some time ago.
func (n *modelNode) crash() {
	keep := n.flushed + n.m.rng.IntN(len(n.log)-n.flushed+1)
	n.truncate(kafka.Offset(keep))
	n.flushed = keep // it flushes what it recovers
	n.run++
	n.brokerEpoch, n.leader, n.asked = -1, nil, n.asked+1
	n.hw = min(kafka.Offset(n.m.rng.IntN(int(n.hw)+1)), n.end())
	n.applied -= n.m.rng.IntN(min(n.applied+1, 3))
	n.takeRole(-1)
	run := n.run
	n.m.mail = append(n.m.mail, func() {
		if n.run == run {
			n.m.register(n)
		}
	})
}

func (n *modelNode) propose() {
	m, l := n.m, n.leader
	if l == nil {
		return
	}
	if m.broken == joinBelowHW {
		defer func(hw, start kafka.Offset) { l.highWatermark, l.epochStart = hw, start }(l.highWatermark, l.epochStart)
		l.highWatermark, l.epochStart = 0, 0
	}
	p, ok := l.Propose(m.now, maxLag, n.end())
	if !ok {
		return
	}
	if m.broken == forgetPending {
		l.pending = nil
	}
	m.mail = append(m.mail, func() {
		err := m.alter(p)
		if m.rng.IntN(4) == 0 {
			err = kerr.RequestTimedOut // the answer is lost
		}
		m.mail = append(m.mail, func() {
			if n.leader == l {
				l.Settled(m.now, p, err)
				n.raised()
			}
		})
	})
}

func (n *modelNode) lastEpoch() kafka.LeaderEpoch {
	if len(n.epochs) == 0 {
		return kafka.NoLeaderEpoch
	}
	return n.epochs[len(n.epochs)-1].Epoch
}

// fetch asks the leader for more. What comes too late, after another fetch of the epoch, nobody waits for any more.
func (n *modelNode) fetch() {
	m, d := n.m, n.meta()
	if d.leader == n.id || d.leader == kafka.NoNode || !n.registered() {
		return
	}
	offset := n.end()
	switch {
	case m.broken == countUnflushed:
	case n.flushed < len(n.log):
		return // see partition.FetchState
	}
	n.asked++
	n.askedIn = d.epoch
	asked, run, last, brokerEpoch := n.asked, n.run, n.lastEpoch(), n.brokerEpoch
	leader := m.nodes[d.leader-1]
	leaderRun := leader.run
	m.mail = append(m.mail, func() {
		if leader.run == leaderRun {
			leader.serve(n, run, asked, d.epoch, last, offset, brokerEpoch)
		}
	})
}

// serve is the leader's side of a fetch.
func (n *modelNode) serve(from *modelNode, run, asked int, epoch, last kafka.LeaderEpoch, offset kafka.Offset, brokerEpoch int64) {
	m, l := n.m, n.leader
	if l == nil || l.CheckEpoch(epoch) != nil {
		return
	}
	// An answer to a fetch of an earlier epoch may come late; the follower has to look at the epoch.
	waits := func() bool { return from.run == run && (from.asked == asked || from.askedIn != epoch) }
	if last != kafka.NoLeaderEpoch && m.broken != neverTruncate {
		if at := n.endOf(last); at.Epoch < last || at.End < offset {
			m.mail = append(m.mail, func() {
				if waits() {
					from.diverged(epoch, at)
				}
			})
			return
		}
	}
	if _, _, err := l.Fetched(m.now, Fetch{Replica: from.id, BrokerEpoch: brokerEpoch, Offset: offset}, n.end()); err != nil {
		return
	}
	n.raised()
	some := slices.Clone(n.log[offset:min(len(n.log), int(offset)+1+m.rng.IntN(4))])
	hw := l.HighWatermark()
	m.mail = append(m.mail, func() {
		if waits() {
			from.append(epoch, offset, some, hw)
		}
	})
}

// append is the follower's side of an answer.
func (n *modelNode) append(epoch kafka.LeaderEpoch, offset kafka.Offset, some []record, hw kafka.Offset) {
	if n.m.broken != appendAnyEpoch && (n.meta().epoch != epoch || n.meta().leader == n.id) || offset != n.end() {
		return
	}
	for _, r := range some {
		n.assign(r.epoch, n.end())
		n.log = append(n.log, r)
	}
	if n.leader == nil {
		n.hw = Follow(n.hw, hw, n.end())
	}
	n.raised()
}

func (n *modelNode) diverged(epoch kafka.LeaderEpoch, at EpochEnd) {
	if n.meta().epoch != epoch || n.meta().leader == n.id {
		return
	}
	to := TruncationPoint(at, n.endOf(at.Epoch), n.end())
	if to < n.hw {
		n.m.fail("node %d cuts its log back to %d, %d is committed", n.id, to, n.hw)
	}
	n.truncate(to)
}

func (n *modelNode) truncate(to kafka.Offset) {
	n.log = n.log[:to]
	n.flushed = min(n.flushed, len(n.log))
	n.epochs = slices.DeleteFunc(n.epochs, func(e EpochEnd) bool { return e.End >= to })
}

// assign notes that an epoch begins, as the log's cache of epochs does.
func (n *modelNode) assign(e kafka.LeaderEpoch, start kafka.Offset) {
	if n.lastEpoch() != e {
		n.epochs = slices.DeleteFunc(n.epochs, func(o EpochEnd) bool { return o.Epoch >= e || o.End >= start })
		n.epochs = append(n.epochs, EpochEnd{e, start})
	}
}

// endOf is the largest epoch not above e, and where it ends.
func (n *modelNode) endOf(e kafka.LeaderEpoch) EpochEnd {
	found := EpochEnd{kafka.NoLeaderEpoch, n.end()}
	for i, o := range n.epochs {
		if o.Epoch <= e {
			found = EpochEnd{o.Epoch, n.end()}
			if i+1 < len(n.epochs) {
				found.End = n.epochs[i+1].End
			}
		}
	}
	return found
}

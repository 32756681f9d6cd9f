package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	electionTicks  = 10
	heartbeatTicks = 1
	// maxMessageBytes bounds the entries in one message, maxApplyBytes those applied and published together.
	maxMessageBytes = 1 << 20
	maxApplyBytes   = 4 << 20
	maxInflight     = 64
	// maxUncommittedBytes of proposals wait for a majority; more are refused.
	maxUncommittedBytes = 64 << 20
)

// loop is the state that the Quorum's goroutine owns.
//
// One turn is: take what has arrived (all submissions that wait, one message, or a tick), let raft say what follows, and
// do that until it says nothing more. So submissions that arrive while a turn flushes share the next turn's flush.
type loop struct {
	cfg   *Config
	q     *Quorum
	log   *slog.Logger
	node  *raft.RawNode
	store *storage
	conf  *raftpb.ConfState
	notes notes
	// voters and learners are those of conf.
	voters, learners []kafka.NodeID
	// newcomer says that conf has a member that the last snapshot does not know.
	newcomer bool
	// nodesChanged says that the metadata tells other things of nodes than when learners were last looked at, whether they may vote.
	nodesChanged bool
	// image is after the entry at applied; the quorum's published Image is at most one turn behind it.
	image     *metadata.Image
	applied   uint64
	published bool
	leader    kafka.NodeID
	leading   bool // raft says that this node leads
	term      uint64
	// mistakenAt is when the log was told of a message that is for another quorum's node.
	mistakenAt time.Time
	// shortSince is when a leader began to say that this node's log must be longer, zero while none does; lost is what follows.
	shortSince time.Time
	lost       error
	// lastAppend is when the newest record was stored, for the snapshot's header.
	lastAppend int64

	lead  leadership
	told  told
	loss  loss
	lacks lacking
	// members is how far the others are, made anew at each tick of a leader; ticks counts.
	members []MemberStatus
	ticks   int
}

func newLoop(cfg *Config, q *Quorum) (*loop, error) {
	store, img, err := openStorage(cfg)
	if err != nil {
		return nil, err
	}
	_, conf, _ := store.InitialState()
	l := &loop{
		cfg: cfg, q: q, log: cfg.Logger, store: store, image: img,
		applied: store.state.Raft.Snapshot.Index, leader: kafka.NoNode, term: uint64(store.state.LeaderEpoch),
	}
	l.setMembers(conf, store.state.Raft.Snapshot.Notes)
	l.node, err = raft.NewRawNode(&raft.Config{
		ID:                        store.state.Raft.member(),
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   store,
		Applied:                   l.applied,
		MaxSizePerMsg:             maxMessageBytes,
		MaxCommittedSizePerReady:  maxApplyBytes,
		MaxUncommittedEntriesSize: maxUncommittedBytes,
		MaxInflightMsgs:           maxInflight,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// run is the goroutine.
func (l *loop) run() error {
	err := l.turns()
	if err != nil && !errors.Is(err, errStopped) {
		l.log.Error("metadata quorum stops", "error", err)
		l.resign(fmt.Errorf("metadata quorum has failed: %w", err))
		return err
	}
	l.resign(fmt.Errorf("metadata quorum is closed: %w", kerr.NotController))
	return nil
}

func (l *loop) turns() (err error) {
	defer func() {
		if p := recover(); p != nil {
			if l.store.unread == nil {
				panic(p)
			}
			err = l.store.unread // raft knows no other way to say that its storage failed
		}
	}()
	if l.decidesAlone() {
		if err := l.node.Campaign(); err != nil {
			return fmt.Errorf("campaign: %w", err)
		}
	}
	ticker := time.NewTicker(l.cfg.TickInterval)
	defer ticker.Stop()
	defer l.endLoss()
	for {
		if err := l.settleAll(); err != nil {
			return err
		}
		// A node alone needs no time: nobody expects heartbeats of it.
		ticks := ticker.C
		if l.leading && len(l.voters)+len(l.learners) == 1 && len(l.lead.wants) == 0 {
			ticks = nil
		}
		if stop := l.await(ticks); stop {
			return l.handOver(ticker.C)
		}
		if l.lost != nil {
			return l.lost
		}
	}
}

// await takes one thing that arrives.
func (l *loop) await(ticks <-chan time.Time) (stop bool) {
	select {
	case s := <-l.q.inbox:
		l.take(s)
	case m := <-l.q.messages:
		l.stepMessage(time.Now(), m)
	case h := <-l.q.hints:
		l.takeHint(time.Now(), h)
	case now := <-l.standTime():
		l.stand(now)
	case now := <-ticks:
		l.tick(now)
	case <-l.q.stop:
		return true
	}
	return false
}

func (l *loop) tick(now time.Time) {
	l.node.Tick()
	l.watchMembers(now)
	if l.ticks++; l.ticks%ruleTicks == 0 {
		l.followRules(now)
	}
}

// decidesAlone tells whether this node is the only voter.
func (l *loop) decidesAlone() bool {
	v := l.conf.GetVoters()
	return len(v) == 1 && v[0] == l.store.state.Raft.member() && !isJoint(l.conf)
}

// settleAll settles, and goes on while there are changes of members to propose.
func (l *loop) settleAll() error {
	for {
		if err := l.settle(); err != nil {
			return err
		}
		now := time.Now()
		l.followNews(now)
		if proposed, err := l.changeMembers(now); err != nil || !proposed {
			return err
		}
	}
}

// settle carries out what raft wants done until it wants nothing more.
func (l *loop) settle() error {
	for l.beginRead(); l.node.HasReady(); l.beginRead() {
		rd := l.node.Ready()
		was := l.image
		delta, err := l.carryOut(&rd)
		if err != nil {
			return err
		}
		l.nodesChanged = l.nodesChanged || delta == nil || len(delta.NodesChanged) > 0
		l.node.Advance(rd)
		if err := l.activate(); err != nil {
			return err
		}
		if err := l.snapshotForNewcomer(); err != nil {
			return err
		}
		l.publish(was, delta)
		l.tellStatus()
		l.q.news.ring()
	}
	return l.snapshotIfDue()
}

// carryOut does one Ready in the order that raft asks for: first everything that must be durable, then what tells others
// of it, then what is committed is applied. The Delta is nil where it is not known from records.
func (l *loop) carryOut(rd *raft.Ready) (*metadata.Delta, error) {
	l.noteRole(rd)
	l.noteReads(rd.ReadStates)
	replaced := !raft.IsEmptySnap(rd.Snapshot)
	if replaced {
		if err := l.receive(rd.Snapshot); err != nil {
			return nil, err
		}
	}
	// Commits alone are not worth a write, but see commitsConf.
	if !raft.IsEmptyHardState(rd.HardState) && l.voteChanged(rd.HardState) {
		if err := l.roomFor(func() error { return l.store.saveVote(rd.HardState, l.leader) }); err != nil {
			return nil, err
		}
	}
	if len(rd.Entries) > 0 {
		if err := l.roomFor(func() error { return l.store.append(rd.Entries, l.encode) }); err != nil {
			return nil, err
		}
		if err := l.roomFor(l.store.flush); err != nil {
			return nil, err
		}
	}
	if l.store.commitsConf(rd.HardState.GetCommit()) {
		if err := l.roomFor(func() error { return l.store.saveCommit(rd.HardState.GetCommit()) }); err != nil {
			return nil, err
		}
	}
	if len(rd.Messages) > 0 {
		l.send(rd.Messages)
	}
	delta, err := l.apply(rd.CommittedEntries)
	if err != nil || replaced {
		return nil, err
	}
	return delta, nil
}

// receive takes a leader's snapshot, which comes when this node lacks entries that the leader no longer has.
func (l *loop) receive(snap *raftpb.Snapshot) error {
	img, err := l.store.receiveSnapshot(snap, l.cfg.ClusterID)
	if err != nil {
		return err
	}
	l.image = img.WithController(l.leader)
	l.setMembers(snap.GetMetadata().GetConfState(), l.store.state.Raft.Snapshot.Notes)
	l.applied = snap.GetMetadata().GetIndex()
	return nil
}

func (l *loop) voteChanged(hs *raftpb.HardState) bool {
	st := &l.store.state
	return int32(hs.GetTerm()) != st.LeaderEpoch || hs.GetVote() != st.vote()
}

// noteRole follows who leads. Losing the leadership answers everyone who waits.
func (l *loop) noteRole(rd *raft.Ready) {
	if hs := rd.HardState; !raft.IsEmptyHardState(hs) && hs.GetTerm() != l.term {
		l.term = hs.GetTerm()
		l.resign(l.errNotLeader())
	}
	if rd.SoftState == nil {
		return
	}
	leading := rd.SoftState.RaftState == raft.StateLeader
	if l.leading && !leading {
		l.resign(l.errNotLeader())
	}
	l.leading = leading
	if leader := nodeID(rd.SoftState.Lead); leader != l.leader {
		l.leader = leader
		l.image = l.image.WithController(leader)
		l.log.Info("metadata leader", "leader", leader, "term", l.term)
	}
}

func (l *loop) encode(e *raftpb.Entry, base kafka.Offset) []byte {
	l.lastAppend = time.Now().UnixMilli()
	leader := kafka.NoNode
	if e.GetTerm() == l.term {
		leader = l.leader
	}
	return encodeEntry(e, base, l.lastAppend, leader, nodeIDs(l.conf.GetVoters()))
}

func (l *loop) send(messages []*raftpb.Message) {
	if l.cfg.Send == nil {
		return // only a member that nobody admitted here could miss them
	}
	l.cfg.Send(messages)
	for _, m := range messages {
		if m.GetType() == raftpb.MsgSnap {
			// Whether it arrived shows in the member's next answer; one lost is sent again then.
			l.node.ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
		}
	}
}

// apply advances the Image by committed entries, all as one change.
func (l *loop) apply(entries []*raftpb.Entry) (*metadata.Delta, error) {
	var recs []metadata.Record
	registered := false
	for _, e := range entries {
		switch {
		case e.GetType() != raftpb.EntryNormal:
			if err := l.applyConfChange(e); err != nil {
				return nil, err
			}
		case len(e.GetData()) == 0:
			if l.leading && e.GetTerm() == l.term {
				l.lead.electedAt = e.GetIndex()
			}
		default:
			more, err := decodeRecords(e.GetData())
			if err != nil {
				return nil, fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
			}
			recs = append(recs, more...)
			registered = registered || slices.ContainsFunc(more, isRegistration)
		}
		l.applied = e.GetIndex()
	}
	// Registrations tell where the nodes are. Nodes that restarted together and knew of no commit could not ask one another.
	if registered && memberCount(l.conf) > 1 && l.store.state.Raft.Commit < l.applied {
		if err := l.roomFor(func() error { return l.store.saveCommit(l.applied) }); err != nil {
			return nil, err
		}
	}
	if len(entries) == 0 {
		return &metadata.Delta{}, nil
	}
	img, delta, err := l.image.Replay(recs, l.store.offsetAfter(l.applied)-1)
	if err != nil {
		return nil, fmt.Errorf("apply entries up to %d: %w", l.applied, err)
	}
	l.image = img
	return delta, nil
}

// errNotLeader is the answer of a node that does not lead.
func (l *loop) errNotLeader() error {
	if l.leader == kafka.NoNode {
		return l.q.errNoLeader()
	}
	return fmt.Errorf("node %d is not the active controller, node %d is: %w", l.cfg.NodeID, l.leader, kerr.NotController)
}

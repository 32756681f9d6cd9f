package sim

import (
	"encoding/binary"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	tick          = 100 * time.Millisecond
	electionTicks = 10
)

// history is the metadata log as the world knows it. Entries of raft carry the number of a change, so that records need not
// be encoded; what is committed at an index is told by the first node that applies it, and must be the same on all.
type history struct {
	changes [][]metadata.Record
	// committed are the numbers by index, from 1; -1 for an entry without records. images are the Images after them.
	committed []int
	images    []*metadata.Image
	leaders   map[uint64]int // by term
}

// noChange is the number of an entry without records: the first of a term.
const noChange = -1

func numberOf(e *raftpb.Entry) int {
	if len(e.GetData()) == 0 {
		return noChange
	}
	return int(binary.BigEndian.Uint64(e.GetData()))
}

func (h *history) add(recs []metadata.Record) []byte {
	h.changes = append(h.changes, recs)
	return binary.BigEndian.AppendUint64(nil, uint64(len(h.changes)-1))
}

// apply is the Image after an entry that was committed, which every node must see at the same index.
func (w *world) applied(n *node, e *raftpb.Entry) *metadata.Image {
	h, index, number := &w.meta, int(e.GetIndex()), numberOf(e)
	if index > len(h.committed) {
		if index != len(h.committed)+1 {
			w.breaks("node %d applies index %d after %d", n.id, index, len(h.committed))
			return n.image
		}
		img := h.image(index - 1)
		if number != noChange {
			recs := h.changes[number]
			img, _ = img.Apply(recs, img.Offset()+kafka.Offset(len(recs)))
		}
		h.committed, h.images = append(h.committed, number), append(h.images, img)
	}
	if h.committed[index-1] != number {
		w.breaks("metadata index %d is change %d on node %d, and was committed as %d", index, number, n.id, h.committed[index-1])
	}
	return h.image(index)
}

func (h *history) image(index int) *metadata.Image {
	if index == 0 {
		return metadata.New(clusterID)
	}
	return h.images[index-1]
}

const clusterID = "c2ltdWxhdGVkLWNsdXN0ZXI"

// raftDisk is what raft has on a node's disk. Index i is entries[i-1]; the log is never compacted, which the tests of
// node/quorum are for.
type raftDisk struct {
	hard    *raftpb.HardState
	entries []*raftpb.Entry
	conf    *raftpb.ConfState
}

func (d *raftDisk) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return d.hard, d.conf, nil
}
func (d *raftDisk) FirstIndex() (uint64, error) { return 1, nil }
func (d *raftDisk) LastIndex() (uint64, error)  { return uint64(len(d.entries)), nil }

func (d *raftDisk) Term(i uint64) (uint64, error) {
	switch {
	case i == 0:
		return 0, nil
	case i > uint64(len(d.entries)):
		return 0, raft.ErrUnavailable
	}
	return d.entries[i-1].GetTerm(), nil
}

func (d *raftDisk) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo < 1:
		return nil, raft.ErrCompacted
	case hi > uint64(len(d.entries))+1:
		return nil, raft.ErrUnavailable
	}
	const most = 64 // an entry is eight bytes: sizes say nothing here
	hi = min(hi, lo+most)
	return d.entries[lo-1 : hi-1 : hi-1], nil
}

func (d *raftDisk) Snapshot() (*raftpb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

func (d *raftDisk) save(hs *raftpb.HardState, entries []*raftpb.Entry) {
	if !raft.IsEmptyHardState(hs) {
		d.hard = hs
	}
	if len(entries) > 0 {
		first := entries[0].GetIndex()
		d.entries = append(d.entries[:first-1:first-1], entries...)
	}
}

// member is a running node's part of the metadata quorum.
type member struct {
	n       *node
	raft    *raft.RawNode
	writing bool
	pending *raft.Ready // while writing
	inbox   []func()    // what came while writing
	applied uint64
	role    raft.StateType
	leader  kafka.NodeID
	term    uint64
	silent  int // ticks since the leader was heard of, or since an attempt to become it
	patient int // how many of them this node waits
	control *control
}

func raftID(id kafka.NodeID) uint64 { return uint64(id) + 1 }
func idOf(r uint64) kafka.NodeID    { return kafka.NodeID(r) - 1 }

func newMember(n *node) *member {
	m := &member{n: n, leader: kafka.NoNode}
	node, err := raft.NewRawNode(&raft.Config{
		ID: raftID(n.id), ElectionTick: electionTicks, HeartbeatTick: 1, Storage: &n.disk.raft,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 64, CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: silence{},
	})
	if err != nil {
		panic(err) // the configuration is constant
	}
	m.raft = node
	m.wait()
	return m
}

// wait draws how long this node waits for a leader. Raft's own choice comes from a source of chance that has no seed, so
// that its timer is kept from firing: followers get ticks that count and decide nothing.
func (m *member) wait() {
	m.silent, m.patient = 0, electionTicks+m.n.w.rng.IntN(electionTicks)
}

func (m *member) tick() {
	m.input(func() {
		if m.role == raft.StateLeader {
			m.raft.Tick()
			return
		}
		m.raft.TickQuiesced()
		if m.silent++; m.silent >= m.patient {
			m.wait()
			m.campaign()
		}
	})
}

func (m *member) campaign() {
	if err := m.raft.Campaign(); err != nil {
		m.n.w.breaks("node %d: campaign: %v", m.n.id, err)
	}
}

func (m *member) receive(msg *raftpb.Message) {
	m.input(func() {
		switch msg.GetType() {
		case raftpb.MsgApp, raftpb.MsgHeartbeat:
			if msg.GetTerm() >= m.term {
				m.wait()
			}
		}
		_ = m.raft.Step(msg) // what is stale is refused
	})
}

// input is something that raft is told, when it is not waiting for the disk.
func (m *member) input(do func()) {
	if m.writing {
		m.inbox = append(m.inbox, do)
		return
	}
	do()
	m.pump()
}

// pump lets raft's wishes be carried out, one Ready after the other: durable first, then told, then applied.
func (m *member) pump() {
	for !m.writing && m.raft.HasReady() {
		rd := m.raft.Ready()
		m.note(&rd)
		if len(rd.Entries) == 0 && raft.IsEmptyHardState(rd.HardState) {
			m.finish(&rd)
			continue
		}
		m.writing, m.pending = true, &rd
		m.n.after(m.n.flushTime(), m.written)
	}
}

func (m *member) written() {
	rd := m.pending
	m.n.disk.raft.save(rd.HardState, rd.Entries)
	m.writing, m.pending = false, nil
	m.finish(rd)
	m.pump()
	for !m.writing && len(m.inbox) > 0 {
		do := m.inbox[0]
		m.inbox = m.inbox[1:]
		do()
		m.pump()
	}
}

func (m *member) finish(rd *raft.Ready) {
	for _, msg := range rd.Messages {
		to := m.n.w.node(idOf(msg.GetTo()))
		m.n.w.send(m.n, to, func() { to.member.receive(msg) })
	}
	for _, e := range rd.CommittedEntries {
		m.apply(e)
	}
	if m.control != nil {
		m.control.confirm(rd.ReadStates)
		m.control.answer()
	}
	m.raft.Advance(*rd)
	m.n.catchUp()
}

// note follows who leads.
func (m *member) note(rd *raft.Ready) {
	if hs := rd.HardState; !raft.IsEmptyHardState(hs) && hs.GetTerm() != m.term {
		m.term = hs.GetTerm()
		m.control = nil
	}
	if rd.SoftState == nil {
		return
	}
	m.role = rd.SoftState.RaftState
	if m.role != raft.StateLeader {
		m.control = nil
	}
	if m.role == raft.StateLeader && m.control == nil {
		m.lead()
	}
	was := m.leader
	m.leader = idOf(rd.SoftState.Lead)
	if rd.SoftState.Lead == raft.None {
		m.leader = kafka.NoNode
	}
	if m.leader != was {
		m.n.w.tracef("node %d: metadata leader %d, term %d", m.n.id, m.leader, m.term)
	}
}

func (m *member) lead() {
	w := m.n.w
	if other, taken := w.meta.leaders[m.term]; taken && other != m.n.index {
		w.breaks("nodes %d and %d both lead the metadata in term %d", w.nodes[other].id, m.n.id, m.term)
	}
	w.meta.leaders[m.term] = m.n.index
	w.result.Controllers++
	m.control = newControl(m)
}

func (m *member) apply(e *raftpb.Entry) {
	n := m.n
	was := n.image
	n.image = n.w.applied(n, e)
	m.applied = e.GetIndex()
	if m.control != nil {
		m.control.applied(e)
	}
	if n.published && n.image != was {
		n.takeRoles(was)
	}
	if m.control != nil {
		m.control.answer()
	}
}

// silence is a logger of raft that says nothing.
type silence struct{}

func (silence) Debug(...any)            {}
func (silence) Debugf(string, ...any)   {}
func (silence) Info(...any)             {}
func (silence) Infof(string, ...any)    {}
func (silence) Warning(...any)          {}
func (silence) Warningf(string, ...any) {}
func (silence) Error(...any)            {}
func (silence) Errorf(string, ...any)   {}
func (silence) Fatal(v ...any)          { panic(v) }
func (silence) Fatalf(f string, v ...any) {
	panic(append([]any{f}, v...))
}
func (silence) Panic(v ...any)            { panic(v) }
func (silence) Panicf(f string, v ...any) { panic(append([]any{f}, v...)) }

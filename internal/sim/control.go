package sim

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// control is the active controller on the node that leads the metadata quorum: requests are decided upon the speculative
// Image and answered when their records are applied, as node/quorum does it.
type control struct {
	m           *member
	active      bool // the first entry of its term is applied
	speculative *metadata.Image
	proposed    uint64 // index of the last proposal
	waiting     []ticket
	heard       map[kafka.NodeID]time.Duration // heartbeats, by this node's monotonic clock
	// reads are the times at which the others were asked whether this node leads, and confirmed those that they said yes to.
	reads, confirmed uint64
}

type ticket struct {
	index uint64
	read  uint64
	reply func(any, error)
	value any
}

// rules are the topic configurations of every topic here.
type rules struct{}

func (rules) Check(*metadata.Image, metadata.ConfigResource, map[string]string, map[string]string) error {
	return nil
}
func (rules) IsList(metadata.ConfigType, string) bool    { return false }
func (rules) Default(metadata.ConfigType, string) string { return "" }
func (rules) Effective(*metadata.Image, map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	return nil
}
func (rules) MinISR(*metadata.Image, string) int   { return minISR }
func (rules) Unclean(*metadata.Image, string) bool { return false }
func (rules) Flushes(*metadata.Image, string) bool { return true }

const minISR = 2

func newControl(m *member) *control {
	return &control{m: m, heard: map[kafka.NodeID]time.Duration{}}
}

// applied is told of each entry that the leader applies.
func (c *control) applied(e *raftpb.Entry) {
	if c.active || e.GetTerm() != c.m.term {
		return
	}
	// Everything before this entry is applied too, and nothing comes after it yet.
	c.active, c.speculative, c.proposed = true, c.m.n.image, e.GetIndex()
	for _, n := range c.speculative.Nodes() {
		c.heard[n.ID] = c.m.n.monotonic()
	}
	c.ask(controller.Bootstrap{}, func(any, error) {})
}

// ask decides one request.
func (c *control) ask(req any, reply func(any, error)) {
	if !c.active {
		reply(nil, kerr.NotController)
		return
	}
	n := c.m.n
	if hb, ok := req.(*kmsg.BrokerHeartbeatRequest); ok {
		c.heard[kafka.NodeID(hb.BrokerID)] = n.monotonic()
	}
	out := n.w.controller.Step(n.wall(), n.w.rng, c.speculative, req)
	if out.Err == nil && len(out.Records) > 0 {
		out.Err = c.propose(out.Records)
	}
	if out.Err != nil {
		reply(nil, out.Err)
		return
	}
	t := ticket{index: c.proposed, reply: reply, value: out.Reply}
	if len(out.Records) == 0 {
		c.reads++
		t.read = c.reads
		c.m.raft.ReadIndex(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, c.m.term), c.reads))
	}
	c.waiting = append(c.waiting, t)
}

// confirm takes raft's word that this node led when the reads were begun.
func (c *control) confirm(states []raft.ReadState) {
	for _, s := range states {
		if binary.BigEndian.Uint64(s.RequestCtx) == c.m.term {
			c.confirmed = max(c.confirmed, binary.BigEndian.Uint64(s.RequestCtx[8:]))
		}
	}
}

func (c *control) propose(recs []metadata.Record) error {
	err := c.m.raft.Propose(c.m.n.w.meta.add(recs))
	switch {
	case errors.Is(err, raft.ErrProposalDropped):
		return kerr.NotController
	case err != nil:
		return err
	}
	c.proposed++
	c.speculative, _ = c.speculative.Apply(recs, c.speculative.Offset()+kafka.Offset(len(recs)))
	return nil
}

// answer gives the replies that are due.
func (c *control) answer() {
	for len(c.waiting) > 0 && c.waiting[0].index <= c.m.applied && c.waiting[0].read <= c.confirmed {
		t := c.waiting[0]
		c.waiting = c.waiting[1:]
		t.reply(t.value, nil)
	}
}

// expire fences nodes that were silent for a session.
func (c *control) expire() {
	if !c.active {
		return
	}
	for _, n := range c.speculative.Nodes() {
		if n.ID == c.m.n.id {
			continue
		}
		if heard, ok := c.heard[n.ID]; !n.Fenced && (!ok || c.m.n.monotonic()-heard > sessionTime) {
			c.m.n.w.tracef("node %d: fences node %d", c.m.n.id, n.ID)
			c.ask(controller.FenceNode{ID: n.ID, Epoch: n.Epoch, Fenced: true}, func(any, error) {})
		}
	}
}

package partition

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// A partition has one role at a time: its node leads it in a leader epoch, follows another node in one, or does neither while there
// is no leader. The metadata changes it, by update, which holds the role lock alone; all that appends, truncates or moves the high
// watermark holds it too, shared or alone, and looks at the epoch under it. So:
//
//   - An append that came before the change is whole when the change begins: the epoch of a new leader starts after it, and a
//     follower's log ends with it. An append that comes after finds another epoch, and is refused: a fetched batch of the former
//     leader (AppendFetched), a produced one of the former leadership (appendIn finds no leader, or one of another epoch).
//   - A truncation holds the role alone from before it looks at the log until the lines and the high watermark fit it. A new
//     leadership cannot begin at an end that is about to be cut, and no reader sees the log between.
//   - A flush goes on without the lock, and may have begun before a truncation: the log itself never calls flushed what was cut
//     meanwhile (commitlog.MarkFlushed), and what the flusher then says, it reads from the log under the role lock (flushed).
//   - The high watermark of the partition, not that of a leadership, is what clients see. It rises only, whatever the role: a new
//     leadership begins with it, a follower takes its leader's where that is higher. The one exception is a truncation below it,
//     after an election of a leader that did not have all that was committed; cut says so loudly.
//   - Who waits in a line is woken by every change of the role and every truncation, since what he waits for may never come: the
//     lines begin anew where the log is. Who joins a line after such a change, having looked at the partition before it, waits
//     until the line comes there or his time is over: he asked for a bounded time, or for a line of which the change told him.

// Role tells who leads a partition, as this node knows it.
type Role struct {
	Leader         kafka.NodeID // NoNode while there is none
	Epoch          kafka.LeaderEpoch
	PartitionEpoch int32
	Leads          bool // this node does
	Replicas, ISR  []kafka.NodeID
}

// Role tells who leads the partition. It does not open the log.
func (p *Partition) Role() Role {
	p.role.RLock()
	defer p.role.RUnlock()
	g := &p.role.given
	return Role{
		Leader: g.Leader, Epoch: g.LeaderEpoch, PartitionEpoch: g.PartitionEpoch, Leads: p.leads(), Replicas: g.Replicas, ISR: g.ISR,
	}
}

// leads tells whether this node shall lead; role is held.
func (p *Partition) leads() bool {
	return p.role.ended == nil && p.role.given.Leader == p.set.Node && p.set.nodes.Load().registered
}

// follows tells whether this node shall follow another; role is held.
func (p *Partition) follows() bool {
	return p.role.ended == nil && p.role.given.Leader != p.set.Node && p.role.given.Leader != kafka.NoNode
}

// lead takes up the leadership that role.given says, at the end of the log; role is locked.
func (p *Partition) lead(now time.Time, log *commitlog.Log, hw kafka.Offset) error {
	err := log.AssignEpoch(p.role.given.LeaderEpoch)
	if err != nil { // its dir has failed, so that nothing will be appended; what was flushed is read from a leader all the same
		err = p.set.storageError(p.dir(), fmt.Errorf("begin epoch %d of %v: %w", p.role.given.LeaderEpoch, p.tp, err))
	}
	p.role.leader = replica.Lead(now, p.set.Node, p.leadership(), log.End(), hw)
	p.advance(now, p.role.leader, log, p.safe(log))
	return err
}

func (p *Partition) leadership() replica.Leadership {
	g := p.role.given
	return replica.Leadership{
		Epoch: g.LeaderEpoch, PartitionEpoch: g.PartitionEpoch, Replicas: g.Replicas, ISR: g.ISR,
		MinISR: p.settings.Load().topic.MinISR, Active: p.set.nodes.Load().active, MaxLag: p.set.ReplicaLag,
	}
}

// safe is the offset below which this node's log counts as safe, by the topic's durability.
func (p *Partition) safe(log *commitlog.Log) kafka.Offset {
	if p.set.flushes(p) {
		return log.Flushed()
	}
	return log.End()
}

// update takes a change of the partition's metadata, and the topic's configuration that holds with it; nil is the one there is. One of
// the two without the other is a state that the metadata may never have had: a node that was behind hears of several changes at once.
// With the ISR of one and the min.insync.replicas of another, what the eligible replicas lack would be committed.
func (p *Partition) update(given metadata.Partition, c *settings) error {
	p.role.Lock()
	defer p.role.Unlock()
	was := p.role.given
	p.role.given = given
	if c != nil {
		p.settings.Store(c) // configure, which comes after it, does the rest
	}
	defer p.reconsider()
	if m := p.role.move; m != nil {
		m.to.mover.ring()
	}
	log := p.role.log
	if log == nil {
		return nil
	}
	same := was.LeaderEpoch == given.LeaderEpoch && was.Leader == given.Leader
	switch {
	case p.leads() && same && p.role.leader != nil:
		p.regive(time.Now(), log)
	case p.leads():
		p.resetLines(log)
		return p.lead(time.Now(), log, p.HighWatermark())
	case !same:
		p.role.leader = nil
		p.resetLines(log)
		if p.safe(log) < log.End() { // a follower speaks of what is safe only: see FetchState
			p.dir().flusher.add(p, 0)
		}
	}
	return nil
}

// resetLines wakes all who wait, so that they look again at who leads, and begins the lines where the log is.
func (p *Partition) resetLines(log *commitlog.Log) {
	p.replicated.Reset(p.HighWatermark())
	p.secured.Reset(p.safe(log))
	p.deleted.Reset(kafka.NoOffset)
	p.watchers.note()
}

// breakLines wakes all who wait, and all who come.
func (p *Partition) breakLines() {
	p.replicated.Break()
	p.secured.Break()
	p.deleted.Break()
	p.watchers.note()
}

// configure takes a change of the topic's configuration.
func (p *Partition) configure(s *settings) {
	p.settings.Store(s)
	p.role.Lock()
	defer p.role.Unlock()
	log := p.role.log
	if log == nil {
		return
	}
	log.SetConfig(s.log)
	if p.role.leader != nil {
		p.regive(time.Now(), log)
	}
	p.nowSafe(log)
	if p.safe(log) < log.End() { // it may have been safe without a flush until now, and nothing more may be appended
		p.resetLines(log)
		p.dir().flusher.add(p, 0)
	}
}

// nodesChanged tells a leader with followers that other nodes are active than before, one that may lead now to do so, and one whose
// id another process has taken to stop.
func (p *Partition) nodesChanged(now time.Time) error {
	p.role.Lock()
	defer p.role.Unlock()
	defer p.reconsider()
	log := p.role.log
	switch {
	case log == nil:
	case !p.leads():
		if p.role.leader != nil {
			p.role.leader = nil
			p.resetLines(log)
		}
	case p.role.leader == nil:
		p.resetLines(log)
		return p.lead(now, log, p.HighWatermark())
	case p.role.leader.Followed():
		p.regive(now, log)
	}
	return nil
}

// regive passes the leadership's rules on; role is held.
func (p *Partition) regive(now time.Time, log *commitlog.Log) {
	l := p.role.leader
	p.rules.Lock()
	l.Regive(now, p.leadership())
	hw, followed := p.raise(l, log), l.Followed()
	p.followDeleted(l, log)
	p.rules.Unlock()
	p.replicated.Advance(hw)
	if followed { // perhaps since now
		p.watchers.note()
	}
}

// advance says that this node's log is safe below end, and wakes who waited for it or for the high watermark it moves.
// role is held, shared or not.
func (p *Partition) advance(now time.Time, l *replica.Leader, log *commitlog.Log, end kafka.Offset) {
	p.rules.Lock()
	l.Secured(now, end)
	hw := p.raise(l, log)
	p.rules.Unlock()
	p.secured.Advance(end)
	p.replicated.Advance(hw)
}

// raise takes over the leadership's high watermark; rules is held.
func (p *Partition) raise(l *replica.Leader, log *commitlog.Log) kafka.Offset {
	hw := l.HighWatermark()
	if p.HighWatermark() < hw {
		p.highWatermark.Store(int64(hw))
		log.Replicated(hw)
		p.watchers.hint()
	}
	return hw
}

// stall is told by the flusher that there was no room for a flush. Who waits for it is told so: the records may become
// durable yet, and a producer that sends them again is answered with their first place then.
func (p *Partition) stall(why error) {
	p.stalled.Store(&why)
	p.role.Lock()
	defer p.role.Unlock()
	if p.role.log != nil {
		p.resetLines(p.role.log)
	}
}

// flushed is told by the flusher that more of the log is on disk.
func (p *Partition) flushed() {
	if p.stalled.Load() != nil {
		p.stalled.Store(nil)
	}
	p.role.RLock()
	defer p.role.RUnlock()
	if p.role.log != nil {
		p.nowSafe(p.role.log)
	}
}

// nowSafe tells the leadership, or else who waits, how much of the log is safe; role is held.
func (p *Partition) nowSafe(log *commitlog.Log) {
	if l := p.role.leader; l != nil {
		p.advance(time.Now(), l, log, p.safe(log))
		return
	}
	p.secured.Advance(p.safe(log))
}

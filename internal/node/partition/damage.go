package partition

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// A replica whose log is damaged heals from the others. Committed records may lie in what it has to cut off, so the danger is that
// it counts as one that has them meanwhile: elected then, it would make everybody else cut them off too. So nothing is cut off
// before nobody counts it:
//
//   - Damage that is found in an open log (by a read, by compaction) changes nothing of the log. Elected, it still has all that it
//     had; what is damaged it refuses, and serves the rest. But it fetches no more.
//   - A log that is found damaged, or shorter than the checkpoints tell, when it is opened is not opened, and left as it is: the
//     next process finds the same. What is not open leads nothing.
//   - The replica asks the controller to be counted no longer (withdrawal): out of the in-sync replicas, out of those eligible, and
//     out of the leadership, if another has what it has. That begins a new leader epoch: what the leader was told by an earlier
//     fetch of how far this log goes, or will be by one that is under way, is void, so that it cannot be proposed again for it.
//   - A folder whose partition.metadata names another topic, or none, is treated alike: one bit makes another topic's of it.
//   - When the metadata shows all this, the log is opened so that it ends before the damage (mend), and follows like one that is
//     late. It counts again when it has all.
//
// When a log is opened, the metadata may be that of a time long ago. What it says of this replica holds from this process's
// registration on: since then nothing but its own fetches make it count again.
//
// Where no other replica has the data it is as if there were no others.
type damage struct {
	why error
	// epoch is the newest leader epoch in which others were told how far the log goes; NoLeaderEpoch if this process never did.
	epoch kafka.LeaderEpoch
	trust logdir.Trust // to open it with, when it may be cut
}

// errOther says that the folder names another topic's id.
var errOther = fmt.Errorf("%w: it names another topic id", commitlog.ErrForeign)

// errDamaged is the error of what is not read, and of a partition that is not used, because it is damaged.
func errDamaged(why error) error {
	return fmt.Errorf("%w: damaged on this disk: %w", kerr.KafkaStorageError, why)
}

// hurt notes that the log is damaged, of a partition that others may have too; role is held, shared or not.
func (p *Partition) hurt(why error) {
	d := &damage{why: why, epoch: p.role.given.LeaderEpoch, trust: logdir.Salvage}
	if p.role.log == nil {
		d.epoch = kafka.NoLeaderEpoch
	}
	switch {
	case errors.Is(why, commitlog.ErrShort):
		d.trust = logdir.TakeAnyEnd
	case errors.Is(why, commitlog.ErrForeign):
		d.trust = logdir.BeginAnew
	}
	if !p.shared() || !p.damage.CompareAndSwap(nil, d) {
		return
	}
	p.set.Log.Error("this replica is damaged: what is damaged is not served, and fetched anew if others have it", "partition", p.tp.String(),
		"dir", p.dir().Path(), "epoch", int32(p.role.given.LeaderEpoch), "err", why)
	p.reconsider()
}

// Damaged tells whether the replica waits to be healed by the others.
func (p *Partition) Damaged() bool { return p.damage.Load() != nil }

// shared tells whether there are other replicas; role is held.
func (p *Partition) shared() bool { return len(p.role.given.Replicas) > 1 }

// counts tells whether the metadata has the replica among those that have all that is committed; role is held.
func (p *Partition) counts() bool {
	g := &p.role.given
	return slices.Contains(g.ISR, p.set.Node) || slices.Contains(g.ELR, p.set.Node)
}

// alone tells whether it is certain that no other replica has all that is committed; role is held.
func (p *Partition) alone() bool {
	g := &p.role.given
	other := func(id kafka.NodeID) bool { return id != p.set.Node }
	return p.set.nodes.Load().registered && !slices.ContainsFunc(g.ISR, other) && !slices.ContainsFunc(g.ELR, other)
}

// mayMend tells whether the log may be cut off; role is held.
func (p *Partition) mayMend(d *damage) bool {
	return p.follows() && p.set.nodes.Load().registered && !p.counts() && p.role.given.LeaderEpoch > d.epoch
}

// trust tells how the log is to be opened.
func (p *Partition) trust() (logdir.Trust, error) {
	p.role.RLock()
	defer p.role.RUnlock()
	d := p.damage.Load()
	switch {
	case d != nil && p.mayMend(d):
		return d.trust, nil
	case d != nil && p.alone() && errors.Is(d.why, errOther):
		return d.trust, nil
	case !p.shared() || p.alone():
		return logdir.TakeAnyEnd, nil
	case d != nil:
		return 0, errDamaged(d.why)
	}
	return logdir.TakeWhole, nil
}

// reconsider goes on with a damaged replica after something has changed; role is held.
func (p *Partition) reconsider() {
	d := p.damage.Load()
	if d == nil || p.role.ended != nil {
		return
	}
	switch {
	case p.role.log == nil && (p.mayMend(d) || p.alone()):
		p.set.toOpen.add(p)
	case p.mayMend(d):
		p.set.later(func() { p.mend(d) })
	default:
		if changed := p.set.ISRChanged; changed != nil {
			changed(p)
		}
	}
}

// mend closes the log and opens it anew, without what is damaged.
func (p *Partition) mend(d *damage) {
	p.set.cleaners.pause(p)
	cut := false
	defer func() { p.set.cleaners.resume(p, cut) }()
	end, ok := p.putDown(d)
	if !ok {
		return
	}
	log, err := p.use()
	if err == nil {
		cut = log.End() < end
		p.role.RUnlock()
	} else if p.alive() {
		p.set.Log.Error("a damaged replica could not be opened anew, and will be tried again", "partition", p.tp.String(), "err", err)
	}
}

// putDown closes the log, and tells where it ended.
func (p *Partition) putDown(d *damage) (end kafka.Offset, ok bool) {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.role.Lock()
	log := p.role.log
	ok = log != nil && p.damage.Load() == d && p.mayMend(d)
	if ok {
		end = log.End()
		p.role.log, p.role.leader = nil, nil
	}
	p.role.Unlock()
	if ok {
		p.dir().Abandon(log)
	}
	return end, ok
}

// mended notes that the log was opened; role is locked.
func (p *Partition) mended(log *commitlog.Log) {
	d := p.damage.Swap(nil)
	if d == nil {
		return
	}
	p.role.cut = true
	p.set.Log.Info("a damaged replica was opened anew, and fetches what it lacks", "partition", p.tp.String(), "end", int64(log.End()))
}

// withdrawal is the proposal of a damaged replica to be counted no longer, if others have what it has; role is held. A leader that
// serves what is not damaged makes it only when another one can go on at once.
func (p *Partition) withdrawal() (ISRProposal, bool) {
	d, g := p.damage.Load(), &p.role.given
	switch {
	case d == nil || p.role.ended != nil || !p.set.nodes.Load().registered || p.alone():
		return ISRProposal{}, false
	case g.Leader == p.set.Node && p.role.log != nil && len(g.ISR) < 2:
		return ISRProposal{}, false
	case !p.counts() && g.LeaderEpoch > d.epoch:
		return ISRProposal{}, false
	}
	pr := ISRProposal{Partition: p.tp, TopicID: p.id, LeaderEpoch: g.LeaderEpoch, PartitionEpoch: g.PartitionEpoch}
	for _, id := range g.ISR {
		if id != p.set.Node {
			pr.ISR = append(pr.ISR, replica.Member{ID: id, BrokerEpoch: -1})
		}
	}
	return pr, true
}

// Hurt walks the partitions that are damaged.
func (s *Set) Hurt() []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var hurt []*Partition
	for _, p := range s.parts {
		if p.Damaged() {
			hurt = append(hurt, p)
		}
	}
	return hurt
}

// read plans a read, and checks it where there are others to ask instead: what is damaged is not sent. To check all would cost what
// sending files from the page cache saves, so that what was written a short time ago counts as it came, unless the reader has
// doubts. What comes before the damage is sent.
func (p *Partition) read(log *commitlog.Log, off, limit kafka.Offset, maxBytes int, minOne, doubted bool) (commitlog.ReadPlan, error) {
	plan, err := log.Read(off, limit, maxBytes, minOne)
	if !p.shared() {
		return plan, err
	}
	at := kafka.NoOffset
	if err == nil && (doubted || plan.First < p.recent()) {
		if at, err = plan.Check(); err != nil {
			plan.Release()
		}
	}
	if err == nil || !errors.Is(err, kerr.CorruptMessage) {
		return plan, err
	}
	p.hurt(err)
	if at > off {
		if plan, again := log.Read(off, at, maxBytes, minOne); again == nil && plan.Bytes > 0 {
			return plan, nil
		}
	}
	return commitlog.ReadPlan{}, errDamaged(err)
}

// recent is the offset from which on the log was written a short time ago, by this process.
func (p *Partition) recent() kafka.Offset { return kafka.Offset(p.ends[0].Load()) }

// age forgets that what was written before the last call is recent.
func (p *Partition) age(log *commitlog.Log) {
	p.ends[0].Store(p.ends[1].Swap(int64(log.End())))
}

package partition

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// Partition is one partition hosted here. Its log is opened when it is first needed.
//
// Lock order: opening, role, rules. The last two are not held while waiting for a flush or a recovery.
type Partition struct {
	set *Set
	tp  kafka.TopicPartition
	id  kafka.TopicID
	dir *dir
	// cleared is closed when the folder of an earlier topic of this name is gone; nil when there was none.
	cleared <-chan struct{}
	// replicated is the line of the high watermark, secured that of what is safe in this node's own log.
	replicated, secured await.Line
	settings            atomic.Pointer[settings]
	highWatermark       atomic.Int64
	dirty               atomic.Bool // queued with the flusher
	// stalled is why the last flush could not be made, for want of room; nil once one was.
	stalled atomic.Pointer[error]
	traffic traffic
	cleaned cleaned

	opening sync.Mutex // held while the log is opened, and when it ends
	// role is held, shared, by whoever uses the log, so that it cannot be closed under them.
	role struct {
		sync.RWMutex
		given  metadata.Partition // what the metadata says
		log    *commitlog.Log     // nil before the first use, and after the end
		leader *replica.Leader    // nil while another node leads, or before the log is open
		ended  error              // why nothing goes on here: deleted, moved away or shut down
	}
	rules sync.Mutex // guards the state of role.leader
}

// errNotLeader is what clients look up the leader again for.
var errNotLeader = fmt.Errorf("not the leader: %w", kerr.NotLeaderForPartition)

// Name is the partition's.
func (p *Partition) Name() kafka.TopicPartition { return p.tp }

// TopicID is the topic's.
func (p *Partition) TopicID() kafka.TopicID { return p.id }

// lead takes up the leadership that role.given says; role is locked.
func (p *Partition) lead(hw kafka.Offset) error {
	log := p.role.log
	err := log.AssignEpoch(p.role.given.LeaderEpoch)
	if err != nil { // its dir has failed, so that nothing will be appended; what was flushed is read from a leader all the same
		err = p.set.storageError(p.dir, fmt.Errorf("begin epoch %d of %v: %w", p.role.given.LeaderEpoch, p.tp, err))
	}
	p.role.leader = replica.Lead(p.set.Node, p.leadership(), log.End(), hw)
	p.advance(p.role.leader, log, p.safe(log))
	return err
}

func (p *Partition) leadership() replica.Leadership {
	g := p.role.given
	return replica.Leadership{
		Epoch: g.LeaderEpoch, Replicas: g.Replicas, ISR: g.ISR, MinISR: p.settings.Load().topic.MinISR,
	}
}

// safe is the offset below which this node's log counts as safe, by the topic's durability.
func (p *Partition) safe(log *commitlog.Log) kafka.Offset {
	if p.set.flushes(p) {
		return log.Flushed()
	}
	return log.End()
}

// update takes a change of the partition's metadata.
func (p *Partition) update(given metadata.Partition) error {
	p.role.Lock()
	defer p.role.Unlock()
	was := p.role.given
	p.role.given = given
	if p.role.log == nil {
		return nil
	}
	leads := given.Leader == p.set.Node
	switch {
	case leads && p.role.leader != nil && was.LeaderEpoch == given.LeaderEpoch:
		p.regive()
	case leads:
		p.breakLines()
		return p.lead(p.HighWatermark())
	default:
		p.role.leader = nil
		p.breakLines()
	}
	return nil
}

// breakLines wakes all who wait, so that they look again at who leads.
func (p *Partition) breakLines() {
	p.replicated.Reset(p.HighWatermark())
	p.secured.Reset(p.role.log.Flushed())
}

// configure takes a change of the topic's configuration.
func (p *Partition) configure(s *settings) {
	p.settings.Store(s)
	p.role.Lock()
	defer p.role.Unlock()
	if p.role.log == nil {
		return
	}
	p.role.log.SetConfig(s.log)
	if p.role.leader != nil {
		p.regive()
		p.advance(p.role.leader, p.role.log, p.safe(p.role.log))
	}
}

// regive passes the leadership's rules on; role is locked.
func (p *Partition) regive() {
	p.rules.Lock()
	moved := p.role.leader.Regive(p.leadership())
	p.rules.Unlock()
	if moved {
		p.advance(p.role.leader, p.role.log, p.role.leader.Safe())
	}
}

// advance says that this node's log is safe below end, and wakes who waited for it or for the high watermark it moves.
// role is held, shared or not.
func (p *Partition) advance(l *replica.Leader, log *commitlog.Log, end kafka.Offset) {
	p.rules.Lock()
	l.Secured(p.set.Node, end)
	hw := l.HighWatermark()
	if kafka.Offset(p.highWatermark.Load()) < hw {
		p.highWatermark.Store(int64(hw))
		log.Replicated(hw)
	}
	p.rules.Unlock()
	p.secured.Advance(end)
	p.replicated.Advance(hw)
}

// stall is told by the flusher that there was no room for a flush. Who waits for it is told so: the records may become
// durable yet, and a producer that sends them again is answered with their first place then.
func (p *Partition) stall(why error) {
	p.stalled.Store(&why)
	p.role.Lock()
	defer p.role.Unlock()
	if p.role.log != nil {
		p.breakLines()
	}
}

// flushed is told by the flusher that everything below end is on disk.
func (p *Partition) flushed() {
	if p.stalled.Load() != nil {
		p.stalled.Store(nil)
	}
	p.role.RLock()
	defer p.role.RUnlock()
	if p.role.leader != nil && p.role.log != nil {
		p.advance(p.role.leader, p.role.log, p.safe(p.role.log))
	}
}

// Rules are those for a batch that a client sends now.
func (p *Partition) Rules(now time.Time, zstdAllowed bool) batch.ProduceRules {
	r := p.settings.Load().rules
	r.Now, r.ZstdAllowed = now, zstdAllowed
	return r
}

// AllReplicas is acks=all: a batch that too few replicas are in sync for is refused.
const AllReplicas int16 = -1

// Append appends a batch as the leader, without waiting for anything but the page cache (see Ack). v's bytes are changed
// in place (offset and epoch) and not kept. Who produces had sent nothing for pause: the flush may wait a part of it for company.
// The leader epoch returned is what Acked compares.
func (p *Partition) Append(now time.Time, v batch.Validated, acks int16, origin commitlog.Origin, pause time.Duration) (commitlog.Appended, kafka.LeaderEpoch, error) {
	return p.appendIn(kafka.NoLeaderEpoch, now, v, acks, origin, pause)
}

// appendIn is Append for who leads in the given epoch alone; NoLeaderEpoch stands for any.
func (p *Partition) appendIn(epoch kafka.LeaderEpoch, now time.Time, v batch.Validated, acks int16, origin commitlog.Origin, pause time.Duration) (commitlog.Appended, kafka.LeaderEpoch, error) {
	log, err := p.use()
	if err != nil {
		return commitlog.Appended{}, 0, err
	}
	defer p.role.RUnlock()
	l := p.role.leader
	if l == nil || epoch != kafka.NoLeaderEpoch && epoch != l.Epoch() {
		return commitlog.Appended{}, 0, errNotLeader
	}
	if acks == AllReplicas {
		if err := p.enoughInSync(l); err != nil {
			return commitlog.Appended{}, 0, err
		}
	}
	a, err := log.AppendLeader(now, v, l.Epoch(), origin)
	p.traffic.appended(v, a, err)
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		p.dir.full(err)
		return a, 0, err
	case errors.Is(err, commitlog.ErrOffline):
		return a, 0, p.set.storageError(p.dir, err)
	case err != nil:
		return a, 0, err
	case p.set.flushes(p):
		p.dir.flusher.add(p, pause)
	default:
		p.advance(l, log, a.End)
	}
	return a, l.Epoch(), nil
}

func (p *Partition) enoughInSync(l *replica.Leader) error {
	p.rules.Lock()
	defer p.rules.Unlock()
	return l.EnoughInSync()
}

// line is the line that an append with acks waits in.
func (p *Partition) line(acks int16) *await.Line {
	if acks == AllReplicas {
		return &p.replicated
	}
	return &p.secured
}

// Await joins w for the acknowledgement of an append that ended before next.
func (p *Partition) Await(w *await.Waiter, acks int16, next kafka.Offset) { p.line(acks).Join(w, next) }

// AwaitMore joins w for a high watermark above seen.
func (p *Partition) AwaitMore(w *await.Waiter, seen kafka.Offset) { p.replicated.Join(w, seen+1) }

// LeaveMore gives up the place that AwaitMore took.
func (p *Partition) LeaveMore(w *await.Waiter) { p.replicated.Leave(w) }

// Leave gives up every place of w.
func (p *Partition) Leave(w *await.Waiter) {
	p.replicated.Leave(w)
	p.secured.Leave(w)
}

// Acked tells whether an append in the leader's epoch that ended before next may be acknowledged, or why it never will be.
func (p *Partition) Acked(acks int16, epoch kafka.LeaderEpoch, next kafka.Offset) (bool, error) {
	p.role.RLock()
	defer p.role.RUnlock()
	l := p.role.leader
	switch {
	case p.role.ended != nil:
		return false, p.role.ended
	case l == nil || l.Epoch() != epoch:
		return false, errNotLeader
	}
	at := p.HighWatermark()
	if acks != AllReplicas {
		at = p.safe(p.role.log)
	}
	if at >= next {
		if acks == AllReplicas && p.enoughInSync(l) != nil {
			return true, fmt.Errorf("in-sync replicas were lost after the append: %w", kerr.NotEnoughReplicasAfterAppend)
		}
		return true, nil
	}
	if err := p.role.log.Failed(); err != nil {
		return false, err
	}
	if err := p.dir.offline(); err != nil { // which may not have reached the log yet
		return false, err
	}
	if why := p.stalled.Load(); why != nil {
		return false, *why
	}
	return false, nil
}

// Broken tells whether waiting here is of no use: the partition is gone or its log dir failed.
func (p *Partition) Broken() bool { return p.replicated.Broken() }

// HighWatermark is the offset below which records may be read; it is that of the checkpoint until the log is open.
func (p *Partition) HighWatermark() kafka.Offset { return kafka.Offset(p.highWatermark.Load()) }

// Waiting tells how many requests wait here, counted once for each line they are in.
func (p *Partition) Waiting() int { return p.replicated.Waiting() + p.secured.Waiting() }

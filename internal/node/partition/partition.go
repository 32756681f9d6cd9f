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
// Lock order: opening, role, rules; a line's own comes after them. role and rules are not held while waiting for a flush or a recovery.
type Partition struct {
	set   *Set
	tp    kafka.TopicPartition
	id    kafka.TopicID
	place atomic.Pointer[dir] // stored with role held alone, once the partition is hosted
	// counted is the dir whose placed has the partition; guarded by Set.mu. It follows place when a move is over.
	counted *dir
	// takesUp is the future folder that becomes the partition's when it is opened; empty for most.
	takesUp string
	// cleared is closed when the folder of an earlier topic of this name is gone; nil when there was none.
	cleared <-chan struct{}
	// replicated is the line of the high watermark, secured that of what is safe in this node's own log, deleted that of the low
	// watermark.
	replicated, secured, deleted await.Line
	watchers                     watchers // of followers, noted where the log's end advances, and more
	settings                     atomic.Pointer[settings]
	highWatermark                atomic.Int64
	dirty                        atomic.Bool // queued with the flusher
	// stalled is why the last flush could not be made, for want of room; nil once one was.
	stalled atomic.Pointer[error]
	damage  atomic.Pointer[damage] // set with role held; nil for a log that is well
	// ends are where the log ended at the last calls of age, the older first: what lies beyond that was written since.
	ends    [2]atomic.Int64
	traffic traffic
	cleaned cleaned

	opening sync.Mutex // held while the log is opened, and when it ends
	// role is held, shared, by whoever uses the log, so that it cannot be closed under them.
	role struct {
		sync.RWMutex
		given  metadata.Partition // what the metadata says
		log    *commitlog.Log     // nil before the first use, and after the end
		leader *replica.Leader    // nil while another node leads, or before the log is open
		// cut says that the log was truncated, and that the recovery point on the disk may be beyond its end yet: nothing may
		// be appended before it is not.
		cut   bool
		move  *move // to another log dir; nil for most
		ended error // why nothing goes on here: deleted, moved away or shut down
	}
	rules sync.Mutex // guards the state of role.leader
}

// errNotLeader is what clients look up the leader again for.
var errNotLeader = fmt.Errorf("not the leader: %w", kerr.NotLeaderForPartition)

// dir is the log dir that the partition is in. It changes with role.log.
func (p *Partition) dir() *dir { return p.place.Load() }

// Name is the partition's.
func (p *Partition) Name() kafka.TopicPartition { return p.tp }

// TopicID is the topic's.
func (p *Partition) TopicID() kafka.TopicID { return p.id }

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
	log, err := p.useToAppend()
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
		p.dir().full(err)
		return a, 0, err
	case errors.Is(err, commitlog.ErrOffline):
		return a, 0, p.set.storageError(p.dir(), err)
	case err != nil:
		return a, 0, err
	case p.set.flushes(p):
		p.dir().flusher.add(p, pause)
	default:
		p.advance(now, l, log, a.End)
	}
	if l.Followed() {
		p.watchers.note()
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
	if err := p.dir().offline(); err != nil { // which may not have reached the log yet
		return false, err
	}
	if why := p.stalled.Load(); why != nil {
		return false, *why
	}
	return false, nil
}

// Broken tells whether waiting here is of no use: the partition is gone or its log dir failed.
func (p *Partition) Broken() bool { return p.replicated.Broken() }

// HighWatermark is the offset below which records may be read; while the log is being opened it is that of the checkpoint, and before
// that 0.
func (p *Partition) HighWatermark() kafka.Offset { return kafka.Offset(p.highWatermark.Load()) }

// Waiting tells how many requests wait here, counted once for each line they are in.
func (p *Partition) Waiting() int {
	return p.replicated.Waiting() + p.secured.Waiting()
}

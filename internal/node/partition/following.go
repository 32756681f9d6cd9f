package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// ErrEpochOver is the error of a follower's call for a leader epoch in which it does not follow any more, or not yet.
var ErrEpochOver = fmt.Errorf("not following in that leader epoch: %w", kerr.FencedLeaderEpoch)

// FetchState is where a follower goes on.
type FetchState struct {
	Leader kafka.NodeID
	Epoch  kafka.LeaderEpoch
	// Offset is the log's end, and all below is safe.
	Offset kafka.Offset
	// LastEpoch is the newest epoch of the log, NoLeaderEpoch if it has none.
	LastEpoch kafka.LeaderEpoch
	LogStart  kafka.Offset
}

// FetchState opens the log, waits until all of it is safe, and tells where to fetch from; ok is false when this node does not follow
// (any more).
//
// It waits since a follower has to ask from its log's end, with the epoch that it ends with, or the leader could not tell whether
// they diverge, and may only ask from what is safe. It has something to wait for after it was the leader or came out of a round
// that was cut short; the flush was queued then. The wait ends when the role changes, the partition ends or the flush fails.
func (p *Partition) FetchState() (s FetchState, ok bool, err error) {
	for {
		s, w, ok, err := p.fetchState()
		if w == nil || !ok || err != nil {
			return s, ok, err
		}
		<-w.Woken()
		if why := p.stalled.Load(); why != nil && w.Broken() {
			return FetchState{}, false, *why
		}
	}
}

// fetchState gives the state, or a waiter in the line of what is safe.
func (p *Partition) fetchState() (s FetchState, wait *await.Waiter, ok bool, err error) {
	log, err := p.use()
	if err != nil {
		return s, nil, false, err
	}
	defer p.role.RUnlock()
	if !p.follows() {
		return s, nil, false, nil
	}
	if err := p.failed(log); err != nil {
		return s, nil, false, err
	}
	if d := p.damage.Load(); d != nil {
		return s, nil, false, errDamaged(d.why)
	}
	s = FetchState{
		Leader: p.role.given.Leader, Epoch: p.role.given.LeaderEpoch, Offset: log.End(), LastEpoch: log.LatestEpoch(), LogStart: log.Start(),
	}
	if p.safe(log) < s.Offset {
		wait = await.NewWaiter(1)
		p.secured.Join(wait, s.Offset)
		p.dir().flusher.add(p, 0)
	}
	return s, wait, true, nil
}

// failed tells why nothing can be appended any more; its dir's failure may not have reached the log yet.
func (p *Partition) failed(log *commitlog.Log) error {
	if err := log.Failed(); err != nil {
		return err
	}
	return p.dir().offline()
}

// AppendFetched appends what the leader of an epoch sent: whole batches, a part of one at the end is left out. It does not wait for
// the flush; see AwaitSafe. It is refused when the epoch is over, and what is of a later epoch is left out: the answer was then
// made when the leader was another already, and what this node has need not be what that one has before it.
func (p *Partition) AppendFetched(now time.Time, epoch kafka.LeaderEpoch, batches []byte) error {
	log, err := p.useToAppend()
	if err != nil {
		return err
	}
	defer p.role.RUnlock()
	if err := p.followsIn(epoch); err != nil {
		return err
	}
	if batches, err = upToEpoch(batches, epoch); err != nil {
		return fmt.Errorf("what the leader of %v sent: %w", p.tp, err)
	}
	before := log.End()
	_, err = log.AppendFollower(now, batches)
	if end := log.End(); end > before { // of several segments the first may have been written, and the second refused
		if p.set.flushes(p) {
			p.dir().flusher.add(p, 0)
		} else {
			p.secured.Advance(end)
		}
	}
	return p.appendFailed(err)
}

// upToEpoch cuts batches off before the first of a later epoch.
func upToEpoch(batches []byte, epoch kafka.LeaderEpoch) ([]byte, error) {
	n := 0
	for one, err := range batch.Split(batches) {
		if errors.Is(err, batch.ErrShort) {
			break
		}
		if err != nil {
			return nil, err
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			return nil, err
		}
		if h.LeaderEpoch > epoch {
			break
		}
		n += len(one)
	}
	return batches[:n], nil
}

// appendFailed says what an error of an append means for the log dir.
func (p *Partition) appendFailed(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		p.dir().full(err)
	case errors.Is(err, commitlog.ErrOffline):
		return p.set.storageError(p.dir(), err)
	}
	return err
}

// followsIn refuses who follows in another epoch; role is held.
func (p *Partition) followsIn(epoch kafka.LeaderEpoch) error {
	if !p.follows() || p.role.given.LeaderEpoch != epoch {
		return fmt.Errorf("%v in epoch %d: %w", p.tp, epoch, ErrEpochOver)
	}
	return nil
}

// LogEnd is the offset after the last record; 0 while the log is not open.
func (p *Partition) LogEnd() kafka.Offset {
	if log := p.openLog(); log != nil {
		return log.End()
	}
	return 0
}

// AwaitSafe joins w for everything below end to be safe on this node. It is woken before when the role changes.
func (p *Partition) AwaitSafe(w *await.Waiter, end kafka.Offset) { p.secured.Join(w, end) }

// Heard takes the high watermark and log start that the leader of an epoch told, after what it sent was appended. It tells whether the
// log starts elsewhere now.
func (p *Partition) Heard(epoch kafka.LeaderEpoch, highWatermark, logStart kafka.Offset) (moved bool) {
	log, err := p.use()
	if err != nil {
		return false
	}
	defer p.role.RUnlock()
	if p.followsIn(epoch) != nil {
		return false
	}
	p.rules.Lock()
	hw := replica.Follow(p.HighWatermark(), highWatermark, log.End())
	if hw > p.HighWatermark() {
		p.highWatermark.Store(int64(hw))
		log.Replicated(hw)
	}
	p.rules.Unlock()
	p.replicated.Advance(hw)
	start := min(logStart, hw)
	return start > log.Start() && log.AdvanceStart(start) == nil // only an offline log refuses, whose next append says so
}

// Diverged cuts the log off where it parts from the leader's, as its answer to a fetch in the epoch said. The next fetch tells
// whether that was all.
func (p *Partition) Diverged(epoch kafka.LeaderEpoch, at EpochEnd) error {
	return p.change(epoch, func(log *commitlog.Log) error {
		own := EpochEnd{}
		own.Epoch, own.End = log.EndOffsetForEpoch(at.Epoch)
		return log.TruncateTo(replica.TruncationPoint(at, own, log.End()))
	})
}

// StartAnew drops the whole log and begins it at start: the leader's begins after our end.
func (p *Partition) StartAnew(epoch kafka.LeaderEpoch, start kafka.Offset) error {
	return p.change(epoch, func(log *commitlog.Log) error { return log.TruncateFullyAndStartAt(start) })
}

// change cuts the log as cut does, alone. It waits for a flush that is under way, and for the disk, with the role locked: that is
// seldom, and nothing may come in between.
func (p *Partition) change(epoch kafka.LeaderEpoch, cut func(*commitlog.Log) error) error {
	if _, err := p.use(); err != nil {
		return err
	}
	p.role.RUnlock()
	p.role.Lock()
	defer p.role.Unlock()
	if p.role.ended != nil {
		return p.role.ended
	}
	if err := p.followsIn(epoch); err != nil {
		return err
	}
	log, known, end := p.role.log, p.HighWatermark(), p.role.log.End()
	p.role.cut = true
	if err := cut(log); err != nil {
		return p.appendFailed(err)
	}
	hw := min(max(known, log.Start()), log.End())
	if hw < known {
		p.set.Log.Error("committed records are cut off, as the leader does not have them: it was elected without all of them",
			"partition", p.tp.String(), "leader", int32(p.role.given.Leader), "epoch", int32(epoch),
			"watermark", int64(known), "end", int64(end), "now", int64(log.End()))
	}
	p.highWatermark.Store(int64(hw))
	log.Replicated(hw)
	p.cutMove(log)
	p.resetLines(log)
	return p.checkpointCut(log)
}

// checkpointCut takes the recovery point on the disk back to what is flushed of a log that was cut; role is locked.
func (p *Partition) checkpointCut(log *commitlog.Log) error {
	err := p.dir().Checkpoint([]*commitlog.Log{log}, func(kafka.TopicPartition) kafka.Offset { return p.HighWatermark() })
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		p.dir().full(err)
		return err
	case err != nil:
		return p.set.storageError(p.dir(), err)
	}
	p.role.cut = false
	return nil
}

// useToAppend is use for who appends: a log that was cut has its recovery point on the disk put right first.
func (p *Partition) useToAppend() (*commitlog.Log, error) {
	for {
		log, err := p.use()
		if err != nil || !p.role.cut {
			return log, err
		}
		p.role.RUnlock()
		p.role.Lock()
		if p.role.cut && p.role.log != nil {
			err = p.checkpointCut(p.role.log)
		}
		p.role.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

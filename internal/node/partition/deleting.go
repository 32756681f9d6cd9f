package partition

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// DeleteBefore moves the log's start to off, or to the high watermark if that is -1, and returns where it is to begin now on every
// replica (DeleteRecords). The followers hear of it with their next fetch.
func (p *Partition) DeleteBefore(off kafka.Offset) (start kafka.Offset, err error) {
	start = kafka.NoOffset
	err = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, l *replica.Leader) error {
		hw := p.HighWatermark()
		switch {
		case !p.settings.Load().log.Delete:
			return fmt.Errorf("cleanup.policy of %s has no delete: %w", p.tp.Topic, kerr.PolicyViolation)
		case off == kafka.NoOffset:
			off = hw
		case off < 0 || off > hw:
			return fmt.Errorf("offset %d is not in 0..%d: %w", off, hw, kerr.OffsetOutOfRange)
		}
		if err := log.AdvanceStart(off); err != nil {
			return err
		}
		start = off
		p.rules.Lock()
		p.followDeleted(l, log)
		followed := l.Followed()
		p.rules.Unlock()
		if followed {
			p.watchers.note()
		}
		return nil
	})
	return start, err
}

// followDeleted brings the line of the low watermark to where that is. rules is held, so that of two fetches at the same time the later
// has the last word: unlike the high watermark, this one may go back, and a line that an older one took back would let who waits there
// wait until the next fetch.
func (p *Partition) followDeleted(l *replica.Leader, log *commitlog.Log) {
	p.deleted.Follow(l.LowWatermark(log.Start()))
}

// LowWatermark is the least log start of the replicas whose nodes are active; -1 while one of them was not heard of yet.
func (p *Partition) LowWatermark() (low kafka.Offset, err error) {
	low = kafka.NoOffset
	err = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, l *replica.Leader) error {
		p.rules.Lock()
		defer p.rules.Unlock()
		low = l.LowWatermark(log.Start())
		return nil
	})
	return low, err
}

// AwaitDeleted joins w for a low watermark of start or above. It is woken before when the role or the replicas change: the low
// watermark may sink then.
func (p *Partition) AwaitDeleted(w *await.Waiter, start kafka.Offset) { p.deleted.Join(w, start) }

// LeaveDeleted gives w's places up.
func (p *Partition) LeaveDeleted(w *await.Waiter) { p.deleted.Leave(w) }

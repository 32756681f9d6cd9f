package partition

import (
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// CoordinatorLog is a partition as the coordinator uses it that keeps its state there: it appends in one leader epoch, and
// reads what it wrote before it is committed. It is a coord.PartitionLog.
type CoordinatorLog struct{ p *Partition }

// CoordinatorLog gives the partition to its coordinator.
func (p *Partition) CoordinatorLog() CoordinatorLog { return CoordinatorLog{p} }

// Append appends v as the leader of epoch, and returns the offset of its first record.
func (c CoordinatorLog) Append(now time.Time, epoch kafka.LeaderEpoch, v batch.Validated) (kafka.Offset, error) {
	a, _, err := c.p.appendIn(epoch, now, v, AllReplicas, commitlog.OriginCoordinator, 0)
	return a.First, err
}

// AppendMarker is Append for a marker that ends a transaction of the given transaction.version.
func (c CoordinatorLog) AppendMarker(now time.Time, epoch kafka.LeaderEpoch, v batch.Validated, txnVersion int16) (kafka.Offset, error) {
	a, _, err := c.p.appendIn(epoch, now, v, AllReplicas, commitlog.OriginOfMarker(txnVersion), 0)
	return a.First, err
}

// Read appends to dst whole batches from the one that holds off, up to the log's end.
func (c CoordinatorLog) Read(dst []byte, off kafka.Offset, maxBytes int) ([]byte, error) {
	err := c.p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		plan, err := c.p.read(log, off, log.End(), maxBytes, true, false)
		if err != nil {
			return err
		}
		defer plan.Release()
		dst, err = plan.ReadAll(dst)
		return err
	})
	return dst, err
}

// Offsets are those of the first record and the high watermark; both are 0 for a partition that cannot be opened, which
// Read then tells.
func (c CoordinatorLog) Offsets() (start, highWatermark kafka.Offset) {
	_ = c.p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		start, highWatermark = log.Start(), c.p.HighWatermark()
		return nil
	})
	return start, highWatermark
}

// Reached returns a channel that is closed when the high watermark is next or above, or never will be.
func (c CoordinatorLog) Reached(next kafka.Offset) (reached <-chan struct{}, leave func()) {
	w := await.NewWaiter(1)
	c.p.AwaitMore(w, next-1)
	return w.Woken(), func() { c.p.LeaveMore(w) }
}

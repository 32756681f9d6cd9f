package coord

import (
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// PartitionLog is a partition of the topic that this node leads. While a shard runs on it nothing else appends
// to it. Its methods may be called from any goroutine.
type PartitionLog interface {
	// Append writes v, whose batch is the log's from now on, as the leader of epoch, and returns the offset of its first
	// record without waiting for a flush. It fails with kerr.NotLeaderForPartition when the partition is not led in this
	// epoch; after any failure nothing of v is in the log.
	Append(now time.Time, epoch kafka.LeaderEpoch, v batch.Validated) (first kafka.Offset, err error)
	// AppendMarker is Append for a marker that ends a transaction of the given transaction.version, which tells what its producer's
	// epoch has to be.
	AppendMarker(now time.Time, epoch kafka.LeaderEpoch, v batch.Validated, txnVersion int16) (first kafka.Offset, err error)
	// Read appends to dst the whole batches from the one that holds off, up to about maxBytes but one at least, ending
	// before the log's end and not its high watermark. At the end it returns dst as it is.
	Read(dst []byte, off kafka.Offset, maxBytes int) ([]byte, error)
	// Offsets returns the offset of the first record and the high watermark.
	Offsets() (start, highWatermark kafka.Offset)
	// Reached returns a channel that is closed when the high watermark is next or above. It is also closed, without that,
	// when the partition is no longer led or has failed. leave gives the wait up.
	Reached(next kafka.Offset) (reached <-chan struct{}, leave func())
}

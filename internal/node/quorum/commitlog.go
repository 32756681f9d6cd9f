package quorum

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// CommitLog makes a Log of the partition __cluster_metadata-0. Its segments should be no larger than SnapshotBytes: only
// whole ones can go after a snapshot.
func CommitLog(l *commitlog.Log) Log { return commitLog{l} }

type commitLog struct{ log *commitlog.Log }

func (c commitLog) Start() kafka.Offset { return c.log.Start() }
func (c commitLog) End() kafka.Offset   { return c.log.End() }

// Append is a follower's append on every node: offsets and epochs are in the batches since they were proposed.
func (c commitLog) Append(batches []byte) error {
	_, err := c.log.AppendFollower(time.Now(), batches)
	return err
}

func (c commitLog) Flush() error {
	_, err := c.log.Flush()
	return err
}

func (c commitLog) Read(dst []byte, from kafka.Offset, maxBytes int) ([]byte, error) {
	plan, err := c.log.Read(from, c.log.End(), maxBytes, true)
	if err != nil {
		return dst, fmt.Errorf("read the metadata log at offset %d: %w", from, err)
	}
	defer plan.Release()
	return plan.ReadAll(dst)
}

func (c commitLog) TruncateTo(end kafka.Offset) error   { return c.log.TruncateTo(end) }
func (c commitLog) StartAt(start kafka.Offset) error    { return c.log.TruncateFullyAndStartAt(start) }
func (c commitLog) DropBefore(start kafka.Offset) error { return c.log.AdvanceStart(start) }

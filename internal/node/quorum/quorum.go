// Package quorum keeps the cluster's metadata: it drives etcd's raft over the log __cluster_metadata-0, asks
// core/controller what each request changes while this node leads, and publishes an Image after every committed change.
// app starts it, node/api submits requests to it, node/partition and others receive what it publishes.
//
// A Quorum owns one goroutine, "the loop", started by Start and stopped by Close. The raft state, the log, the files and
// the speculative Image belong to it alone; the published Image is an atomic pointer that anyone reads.
package quorum

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Config is what a Quorum is made of. Fields without a default must be set.
type Config struct {
	NodeID    kafka.NodeID
	ClusterID string
	// Voters are the quorum's members; empty means this node alone. It counts only where the folder holds no state yet.
	Voters []kafka.NodeID
	// Log is the partition __cluster_metadata-0. The Quorum is its only user and does not close it.
	Log Log
	// FS and Dir are where quorum-state and the snapshots are: the folder of the log's partition.
	FS  vfs.FS
	Dir string
	// Rand gives topic ids and election timeouts. The loop alone uses it.
	Rand       *rand.Rand
	Logger     *slog.Logger
	Controller *controller.Controller
	// Publish is called on the loop, once with the whole Image when this node has caught up after its start, then after
	// every change, in order. The Images of two calls are never the same. Nothing else happens until it returns.
	Publish func(*metadata.Delta, *metadata.Image)
	// Send hands messages to other nodes, without waiting; those lost are sent again. Nil where there is one voter.
	Send func([]*raftpb.Message)
	// SnapshotBytes of log since the last snapshot lead to another; 0 means 20 MiB.
	SnapshotBytes int64
	// TickInterval is the unit of raft's timeouts: 10 for an election, 1 for a heartbeat; 0 means 100 ms.
	TickInterval time.Duration
}

// Log is what a Quorum needs of a partition's log. Offsets and epochs are stamped by Append. CommitLog makes one of a
// commitlog.Log.
type Log interface {
	// Append writes one batch, stamped with the next offset and the epoch, without making it durable.
	Append(batch []byte, epoch kafka.LeaderEpoch) (last kafka.Offset, err error)
	// Flush makes durable all that was appended.
	Flush() error
	// Read appends to dst whole batches from the one that holds from, up to maxBytes but at least one; nothing at the end.
	Read(dst []byte, from kafka.Offset, maxBytes int) ([]byte, error)
	// TruncateTo drops what is at and after end, durably.
	TruncateTo(end kafka.Offset) error
	// StartAt drops all and begins again, empty, at start, durably.
	StartAt(start kafka.Offset) error
	// DropBefore lets everything before start go. It need not be durable.
	DropBefore(start kafka.Offset) error
	Start() kafka.Offset
	End() kafka.Offset
}

// Quorum is this node's part of the metadata quorum.
type Quorum struct {
	image atomic.Pointer[metadata.Image]
}

// Start opens the quorum's files, and starts the loop. With one voter the loop campaigns at once.
func Start(cfg Config) (*Quorum, error) { return nil, nil }

// Image is the last published one.
func (q *Quorum) Image() *metadata.Image { return q.image.Load() }

// Submit asks the controller, which must be this node, and returns its reply when the records that it decided are
// durable, committed, applied and published. Errors wrap kerr.NotController when another node leads, or when this one
// ceased to before it was sure: the request may then have been carried out nevertheless.
func (q *Quorum) Submit(ctx context.Context, req any) (any, error) { return nil, nil }

// Close stops the loop. Requests not yet answered get kerr.NotController.
func (q *Quorum) Close() error { return nil }

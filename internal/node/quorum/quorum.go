// Package quorum keeps the cluster's metadata: it drives etcd's raft over the log __cluster_metadata-0, asks
// core/controller what each request changes while this node leads, and publishes an Image after every committed change.
// app starts it, node/api submits requests to it, node/partition and others receive what it publishes.
//
// A Quorum owns one goroutine, "the loop", started by Start and stopped by Close. The raft state, the log, the files and
// the speculative Image belong to it alone; the published Image is an atomic pointer that anyone reads.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/histogram"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Config is what a Quorum is made of. Fields without a default must be set.
type Config struct {
	NodeID    kafka.NodeID
	ClusterID string
	// Voters are the quorum's members; empty means this node alone. It counts only where the folder holds no state yet, and
	// so does Joined: this node has asked a cluster to admit it, waits to be told everything by its leader, and never campaigns
	// before it is.
	Voters []kafka.NodeID
	Joined bool
	// Directory is the directory id of the disk that holds the metadata, and the first one of the JoinRequest that this node was
	// admitted by. It must be set with Joined, and should be for a node alone: if it ever begins anew with an empty disk, the nodes
	// that have joined it since do not take it for the one before.
	Directory kafka.TopicID
	// MaxVoters is how many members may vote, 1, 3 or 5; the others follow as learners. 0 means 3.
	MaxVoters int
	// Listener names the one at which nodes talk to each other; empty means each node's first.
	Listener string
	// Log is the partition __cluster_metadata-0. The Quorum is its only user and does not close it.
	Log Log
	// FS and Dir are where quorum-state and the snapshots are: the folder of the log's partition.
	FS  vfs.FS
	Dir string
	// Rand gives topic ids. The loop alone uses it.
	Rand       *rand.Rand
	Logger     *slog.Logger
	Controller *controller.Controller
	// Publish is called on the loop, once with the whole Image when this node has caught up after its start, then after
	// every change, in order. The loop does nothing else until it returns.
	Publish func(*metadata.Delta, *metadata.Image)
	// Send hands messages to other nodes, without waiting; those lost are sent again. Nil where no other node ever joins.
	Send func([]*raftpb.Message)
	// Forward has the leader answer a request that was submitted here, and returns its answer and the offset of the metadata
	// that this depends on. Errors that wrap a *kerr.Error other than NotController are the leader's last word; others mean
	// that it is not known what became of the request. Nil leaves requests to the node that leads.
	Forward func(ctx context.Context, leader kafka.NodeID, key, version int16, body []byte) ([]byte, kafka.Offset, error)
	// Down names the nodes to which there is no connection, for errors that say who is missing. Nil means that nobody knows.
	Down func() []kafka.NodeID
	// Led is called on the loop when this node begins to lead, once it knows all that was decided before, and when it
	// ceases to. It must not block.
	Led func(leading bool, term int32)
	// MaxBatchBytes is the largest batch that Log takes; larger changes are refused. 0 means that it takes any.
	MaxBatchBytes int64
	// SnapshotBytes of log since the last snapshot lead to another; 0 means 20 MiB.
	SnapshotBytes int64
	// TickInterval is the unit of raft's timeouts: 10 for an election, 1 for a heartbeat; 0 means 100 ms.
	TickInterval time.Duration
}

const (
	defaultSnapshotBytes = 20 << 20
	defaultTick          = 100 * time.Millisecond
	// inboxSize requests and messages wait for the loop; then Submit waits and Receive drops.
	inboxSize = 1024
)

func (c *Config) validate() error {
	switch {
	case c.NodeID < 0:
		return fmt.Errorf("quorum: node id %d", c.NodeID)
	case c.Log == nil, c.FS == nil, c.Dir == "", c.Rand == nil, c.Logger == nil, c.Controller == nil, c.Publish == nil:
		return errors.New("quorum: Log, FS, Dir, Rand, Logger, Controller and Publish must be set")
	}
	if len(c.Voters) == 0 && !c.Joined {
		c.Voters = []kafka.NodeID{c.NodeID}
	}
	if c.MaxVoters == 0 {
		c.MaxVoters = 3
	}
	switch {
	case (len(c.Voters) > 1 || c.Joined) && c.Send == nil:
		return errors.New("quorum: several nodes need Send")
	case c.Joined && c.Directory.IsZero():
		return errors.New("quorum: who joins needs Directory")
	case c.Joined && len(c.Voters) > 0:
		return errors.New("quorum: who joins has no voters")
	case !c.Joined && !slices.Contains(c.Voters, c.NodeID):
		return fmt.Errorf("quorum: node %d is none of the voters %v", c.NodeID, c.Voters)
	case c.MaxVoters%2 == 0 || c.MaxVoters < 1:
		return fmt.Errorf("quorum: %d voters at most: must be odd", c.MaxVoters)
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = defaultSnapshotBytes
	}
	if c.TickInterval == 0 {
		c.TickInterval = defaultTick
	}
	return nil
}

// ErrDamaged says that what this node once had on its disk of the metadata is not all there any more, or cannot be read. Where it is
// one of several, it can ask to be admitted anew, with another folder, as if it had never been a member (see Admit).
var ErrDamaged = errors.New("the metadata is damaged")

// Log is what a Quorum needs of a partition's log. CommitLog makes one of a commitlog.Log. Errors are final: the Quorum
// stops at the first one.
type Log interface {
	// Append writes whole batches, whose offsets continue the log and whose epochs are set, without making them durable.
	// It neither changes nor keeps batches.
	Append(batches []byte) error
	// Flush makes durable all that was appended.
	Flush() error
	// Read appends to dst whole batches from the one that holds from, up to maxBytes but at least one; nothing at the end.
	Read(dst []byte, from kafka.Offset, maxBytes int) ([]byte, error)
	// TruncateTo drops what is at and after end, durably.
	TruncateTo(end kafka.Offset) error
	// StartAt drops all and begins again, empty, at start, durably.
	StartAt(start kafka.Offset) error
	// DropBefore lets what is before start go. It need be neither complete nor durable.
	DropBefore(start kafka.Offset) error
	Start() kafka.Offset
	End() kafka.Offset
}

// Quorum is this node's part of the metadata quorum. Its methods may be called by many at once, but not from Publish,
// except Image.
type Quorum struct {
	cfg    *Config
	image  atomic.Pointer[metadata.Image]
	status atomic.Pointer[Status]
	// published is the offset of the Image whose Publish has returned, -1 before the first. news rings when it or the leader
	// changes.
	published atomic.Int64
	news      bell
	heard     struct {
		mu sync.Mutex
		at map[kafka.NodeID]time.Time
	}
	inbox    chan *submission
	messages chan *raftpb.Message
	hints    chan hint
	stop     chan struct{}
	once     sync.Once
	ready    chan struct{}
	done     chan struct{}
	err      error // set before done is closed
	loops    sync.WaitGroup
	// commits times proposals until they are applied; proposed counts their records.
	commits  histogram.Histogram
	proposed atomic.Uint64
}

// Start opens the quorum's files and starts the loop. With one voter the loop campaigns at once and leads within the time
// of two flushes; Ready tells when the first Publish has returned.
func Start(cfg Config) (*Quorum, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	q := newQuorum(&cfg)
	l, err := newLoop(&cfg, q)
	if err != nil {
		return nil, fmt.Errorf("start metadata quorum in %s: %w", cfg.Dir, err)
	}
	q.image.Store(l.image)
	l.tellStatus()
	q.loops.Go(func() {
		q.err = l.run()
		close(q.done)
	})
	return q, nil
}

func newQuorum(cfg *Config) *Quorum {
	q := &Quorum{
		cfg:      cfg,
		hints:    make(chan hint, hintsSize),
		inbox:    make(chan *submission, inboxSize),
		messages: make(chan *raftpb.Message, inboxSize),
		stop:     make(chan struct{}),
		ready:    make(chan struct{}),
		done:     make(chan struct{}),
	}
	q.published.Store(-1)
	q.heard.at = map[kafka.NodeID]time.Time{}
	return q
}

// Image is the last published one; before the first Publish, the one of the last snapshot.
func (q *Quorum) Image() *metadata.Image { return q.image.Load() }

// Stats is what this node proposed as the leader.
type Stats struct {
	Commits  histogram.Snapshot // from a proposal until it is applied here
	Proposed uint64             // records
}

// Stats reads the counters.
func (q *Quorum) Stats() Stats {
	return Stats{Commits: q.commits.Snapshot(), Proposed: q.proposed.Load()}
}

// Ready is closed when the first Publish has returned.
func (q *Quorum) Ready() <-chan struct{} { return q.ready }

// Done is closed when the loop has ended: by Close, or because the disk failed, which Err then tells.
func (q *Quorum) Done() <-chan struct{} { return q.done }

// Err is why the loop ended; nil while it runs and after Close.
func (q *Quorum) Err() error {
	select {
	case <-q.done:
		return q.err
	default:
		return nil
	}
}

// Close stops the loop and waits for it. A node that leads first has another voter take over, which takes half a second at
// most. Requests not yet answered get kerr.NotController. It returns why the loop had ended before, if it had.
func (q *Quorum) Close() error {
	q.once.Do(func() { close(q.stop) })
	q.loops.Wait()
	return q.err
}

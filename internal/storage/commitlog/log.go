package commitlog

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/epochs"
	"github.com/headrace/headrace/internal/storage/producers"
	"github.com/headrace/headrace/internal/storage/segment"
)

// Log is the log of one partition. All methods may be called by several goroutines at once.
//
// Locks: flushMu is held through a flush, a truncation and the close, so that these never meet; mu guards the fields in
// it and is held while a file is synced by rare calls only. flushMu is taken before mu.
type Log struct {
	fs        vfs.FS
	dir       string
	partition kafka.TopicPartition
	topicID   kafka.TopicID
	log       *slog.Logger

	// Read without a lock; changed under mu. Invariant: flushed <= end, start <= end.
	start, end, flushed atomic.Int64

	flushMu sync.Mutex
	mu      struct {
		sync.Mutex
		config Config
		rand   *rand.Rand
		failed error // ErrOffline and its cause, or ErrClosed
		// changed says that the log differs from what the last clean stop left.
		changed bool

		// Invariant: never empty, ordered by base; the last is the active one.
		segments []*segment.Segment
		recent   []*segment.Segment // sealed ones that hold files open for readers, the last used last
		deleted  []deletedFile

		producers producers.Table
		epochs    epochs.Cache
		snapshots snapshots

		unmade bool // there are no files: the one segment is an empty one in memory
		// newborn says that partition.metadata and the folder's own name were not synced yet.
		newborn bool

		// What the next flush has to do besides syncing the active segment.
		unflushed    []*segment.Segment // sealed since the last flush
		dirDirty     bool               // files were created, renamed or removed
		dirMarked    bool               // not since the last call of Dirty
		epochsDirty  bool
		epochsMarked bool // Dirty has written them

		cleaning cleaning

		// markLimit bounds what MarkFlushed may say: truncation lowers it, Dirty lifts it.
		markLimit kafka.Offset
		// gaps says that the active segment may have gaps as compaction leaves: see settle.
		gaps bool
		// writtenBack is up to where the active segment was handed to WriteBack.
		writtenBack int64
	}
}

// ErrClosed is the error of a log after Close.
var ErrClosed = fmt.Errorf("log is closed: %w", ErrOffline)

// Start is the offset of the first record that may be read.
func (l *Log) Start() kafka.Offset { return kafka.Offset(l.start.Load()) }

// End is the offset that the next record gets.
func (l *Log) End() kafka.Offset { return kafka.Offset(l.end.Load()) }

// Flushed is the offset below which everything is on disk.
func (l *Log) Flushed() kafka.Offset { return kafka.Offset(l.flushed.Load()) }

// TopicID is the topic's id, as the folder has it.
func (l *Log) TopicID() kafka.TopicID { return l.topicID }

// Partition is the partition's name.
func (l *Log) Partition() kafka.TopicPartition { return l.partition }

// Dir is the partition's folder.
func (l *Log) Dir() string { return l.dir }

// Size is the length of all segments in bytes.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size()
}

func (l *Log) size() int64 {
	var n int64
	for _, s := range l.mu.segments {
		n += s.Size()
	}
	return n
}

// SegmentCount is the number of segments, the active one included.
func (l *Log) SegmentCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.mu.segments)
}

// SetConfig takes effect with the next append, roll or retention.
func (l *Log) SetConfig(c Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := c.validate(); err != nil {
		l.log.Error("config refused", "err", err)
		return
	}
	l.mu.config = c
}

// Fail takes the log offline, as a failed write or flush does. The first cause is kept.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(err)
}

func (l *Log) fail(err error) error {
	if l.mu.failed == nil {
		l.mu.failed = fmt.Errorf("%s: %w: %w", l.partition, ErrOffline, err)
		l.log.Error("log is offline", "dir", l.dir, "flushed", l.Flushed(), "end", l.End(), "err", err)
	}
	return l.mu.failed
}

// Failed is nil, or why the log is offline.
func (l *Log) Failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed
}

func (l *Log) active() *segment.Segment { return l.mu.segments[len(l.mu.segments)-1] }

// floor is the index of the segment that holds o, or would: the last with a base not above it, or the first of all.
func (l *Log) floor(o kafka.Offset) int {
	i := sort.Search(len(l.mu.segments), func(i int) bool { return l.mu.segments[i].Base() > o })
	return max(i-1, 0)
}

// dirChanged notes that files were created, renamed or removed.
func (l *Log) dirChanged() { l.mu.dirDirty, l.mu.dirMarked, l.mu.changed = true, false, true }

// setEnd moves the log's end, and what cannot be beyond it.
func (l *Log) setEnd(o kafka.Offset) {
	l.end.Store(int64(o))
	if l.Flushed() > o {
		l.flushed.Store(int64(o))
	}
	if l.Start() > o {
		l.start.Store(int64(o))
	}
	l.mu.cleaning.upTo = min(l.mu.cleaning.upTo, o)
}

// LatestEpoch is the newest leader epoch that the log knows, or NoLeaderEpoch.
func (l *Log) LatestEpoch() kafka.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.LatestEpoch()
}

// AssignEpoch records that a leader with epoch e begins at the log's end. It is durable with the next flush.
func (l *Log) AssignEpoch(e kafka.LeaderEpoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	l.assignEpoch(e, l.End())
	return nil
}

func (l *Log) assignEpoch(e kafka.LeaderEpoch, start kafka.Offset) {
	if l.mu.epochs.Assign(e, start) {
		l.epochsChanged()
	}
}

func (l *Log) epochsChanged() { l.mu.epochsDirty, l.mu.epochsMarked, l.mu.changed = true, false, true }

// EpochForOffset is the leader epoch in which the record at o was written, or NoLeaderEpoch.
func (l *Log) EpochForOffset(o kafka.Offset) kafka.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.EpochFor(o)
}

// EndOffsetForEpoch answers OffsetForLeaderEpoch (KIP-101): the largest epoch not above e and where it ends.
func (l *Log) EndOffsetForEpoch(e kafka.LeaderEpoch) (kafka.LeaderEpoch, kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.epochs.EndOffsetFor(e, l.End())
}

// Producers lists the producers that are not expired.
func (l *Log) Producers(now time.Time) []producers.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.producers.Expire(now, l.mu.config.ProducerExpiration)
	return l.mu.producers.States()
}

// BeginVerification begins to make sure that the transaction coordinator knows of a producer's transaction here, whose first batch waits
// with the given sequence; see producers.Verification. Nil means that there is nothing to ask.
func (l *Log) BeginVerification(now time.Time, id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32, raises bool) (*producers.Verification, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.producers.BeginVerification(now, id, epoch, sequence, raises)
}

// Verified says that the transaction coordinator knows.
func (l *Log) Verified(v *producers.Verification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.producers.Verified(v)
}

// Unverified says that the transaction coordinator does not, and that asking again would not help.
func (l *Log) Unverified(v *producers.Verification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.producers.Unverified(v)
}

// Writers tells how many producers are known, and when that of the oldest open transaction last wrote, in milliseconds; NoTimestamp when
// none is open.
func (l *Log) Writers() (n int, lastWritten int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lastWritten, _ = l.mu.producers.LastWritten()
	return l.mu.producers.Len(), lastWritten
}

// FirstUnstable is the first offset of the oldest transaction that is open or whose marker may not be replicated; see
// Replicated.
func (l *Log) FirstUnstable() (kafka.Offset, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.mu.producers.FirstUnstable()
	if ok {
		o = max(o, l.Start())
	}
	return o, ok
}

// Replicated tells the log that the high watermark is hw: transactions whose markers are below it are stable.
func (l *Log) Replicated(hw kafka.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.producers.Replicated(hw)
}

// AbortedTxns lists, by their beginnings, the aborted transactions that have records in [from, to).
func (l *Log) AbortedTxns(from, to kafka.Offset) ([]AbortedTxn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []AbortedTxn
	for _, s := range l.mu.segments[l.floor(from):] {
		txns, err := s.Aborted()
		if err != nil {
			return nil, l.readError(err)
		}
		for _, t := range txns {
			if t.Last >= from && t.First < to {
				found = append(found, AbortedTxn{ProducerID: t.ProducerID, First: t.First, Last: t.Last})
			}
		}
		if n := len(txns); n > 0 && txns[n-1].Stable >= to {
			break // all that come later began at or after to
		}
	}
	slices.SortStableFunc(found, func(a, b AbortedTxn) int { return compareOffsets(a.First, b.First) })
	return found, nil
}

// Package commitlog is the log of one partition: segments of record batches in Kafka's on-disk format, appended to by a
// leader or a follower, read as file slices, flushed in groups, rolled, retained, truncated and recovered. storage/logdir
// opens it; node/partition and node/quorum call it. It starts no goroutine and has no clock.
package commitlog

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/producers"
	"github.com/headrace/headrace/internal/storage/segment"
)

// ErrOffline is the error of a log that had a failed write or flush. Nothing is tried again; what was flushed before can
// still be read.
var ErrOffline = fmt.Errorf("log is offline: %w", kerr.KafkaStorageError)

// ErrDamaged says that of what the log once had on disk something is not there any more, or cannot be read.
var ErrDamaged = segment.ErrDamaged

// ErrForeign says that partition.metadata names another topic than the one wanted, or none that can be read: the folder may be that of
// an earlier topic of the name, or the file damaged.
var ErrForeign = errors.New("the folder is not known to be this topic's")

// ErrShort is the ErrDamaged of a log that ends before OpenOptions.Known. What it has is right.
var ErrShort = fmt.Errorf("log is shorter than it was: %w", ErrDamaged)

// Config are the settings of a topic that concern its logs. DefaultConfig has Kafka's defaults; the zero value is invalid.
type Config struct {
	SegmentBytes              int64
	SegmentAge, SegmentJitter time.Duration
	IndexBytes                int // of one index file
	IndexIntervalBytes        int
	RetentionBytes            int64         // below 0: no limit
	RetentionAge              time.Duration // below 0: for ever
	Delete, Compact           bool          // cleanup.policy
	Compaction                cleaner.Rules
	FileDeleteDelay           time.Duration
	ProducerExpiration        time.Duration
	VerifyTransactions        bool // transaction.partition.verification.enable: see BeginVerification
	Preallocate               bool // accepted for Kafka's sake; segments are never preallocated
	MaxMessageBytes           int
}

// DefaultConfig are Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		SegmentBytes: 1 << 30, SegmentAge: 7 * 24 * time.Hour, IndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionBytes: -1, RetentionAge: 7 * 24 * time.Hour, Delete: true,
		Compaction:      cleaner.Rules{MaxLag: cleaner.Never, DeleteRetention: 24 * time.Hour, MinDirtyRatio: 0.5},
		FileDeleteDelay: time.Minute, ProducerExpiration: 24 * time.Hour, MaxMessageBytes: 1048588,
	}
}

// maxSegmentBytes keeps positions within the index format's 32 bits.
const maxSegmentBytes = 1<<31 - 1

func (c Config) validate() error {
	switch {
	case c.SegmentBytes <= 0 || c.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("segment.bytes %d is not in 1..%d", c.SegmentBytes, int64(maxSegmentBytes))
	case c.SegmentAge <= 0:
		return fmt.Errorf("segment.ms %v is not positive", c.SegmentAge)
	case c.IndexBytes < 24:
		return fmt.Errorf("segment.index.bytes %d holds no two entries", c.IndexBytes)
	case c.IndexIntervalBytes < 0:
		return fmt.Errorf("index.interval.bytes %d is negative", c.IndexIntervalBytes)
	}
	return nil
}

// OpenOptions say what to open and how. All but Rand (only segment.jitter.ms needs it) and Log must be set.
type OpenOptions struct {
	FS        vfs.FS
	Dir       string // the partition's folder
	Partition kafka.TopicPartition
	TopicID   kafka.TopicID // zero: take the one that the folder has
	Config    Config
	Now       time.Time
	Rand      *rand.Rand
	Log       *slog.Logger
	// RecoveryPoint and LogStart are those of the checkpoint files, or 0.
	RecoveryPoint, LogStart kafka.Offset
	Cleaned                 kafka.Offset // likewise: up to where the log was compacted
	Clean                   bool         // the last stop was a clean one: nothing is scanned
	// Lazy has a log that was never written to make its folder and files at the first append; see make.go.
	Lazy bool
	// Known is an offset that the log once reached. One that would end before it is refused with ErrShort, and left as it is: who
	// opens it has others to fetch the rest from, and they must not take it for whole. 0 takes any end.
	Known kafka.Offset
	// Salvage has all of the log checked, whatever was flushed or stopped cleanly, and ends it before the first batch that is
	// not right.
	Salvage bool
	// Renew says that a sync failed since the recovery point: what is recovered is written again, as the system may only
	// seem to have it on the disk.
	Renew bool
}

// Origin tells who made a batch that a leader appends; it decides which rules of its producer are checked.
type Origin int

// A client's sequences are checked and its repeated batches recognised. A coordinator's epochs are checked, and those of its markers
// as the version of their transaction wants (see OriginOfMarker). The others come from logs that checked them.
const (
	OriginClient Origin = iota
	OriginCoordinator
	OriginCoordinatorV2
	OriginReplication
	OriginRaft
)

// OriginOfMarker is the origin of a marker that ends a transaction of the given transaction.version.
func OriginOfMarker(txnVersion int16) Origin {
	if txnVersion >= producers.EpochPerTransaction {
		return OriginCoordinatorV2
	}
	return OriginCoordinator
}

// txnVersion is what OriginOfMarker was given, as far as it makes a difference.
func (o Origin) txnVersion() int16 {
	if o == OriginCoordinatorV2 {
		return producers.EpochPerTransaction
	}
	return 0
}

// Appended tells where records went.
type Appended struct {
	First, Last   kafka.Offset
	LogAppendTime int64 // or NoTimestamp
	LogStart      kafka.Offset
	Duplicate     bool // the batch had been appended before, at First
	End           kafka.Offset
}

// AbortedTxn is a transaction that was aborted in this log.
type AbortedTxn struct {
	ProducerID  kafka.ProducerID
	First, Last kafka.Offset // Last is the marker's
}

// Slice is a run of whole batches inside one segment file.
type Slice struct {
	File vfs.File
	Off  int64
	Len  int
}

package conf

import (
	"math"
	"slices"
	"time"
)

// Durability says when a produced batch is acknowledged.
type Durability int8

// DurabilityFlush acknowledges after the flush that covers the batch, DurabilityOS when the operating system has it.
const (
	DurabilityFlush Durability = iota
	DurabilityOS
)

// String is the value of the key durability.
func (d Durability) String() string { return [...]string{"flush", "os"}[d] }

// TimestampType says which timestamp a record keeps.
type TimestampType int8

// The values of message.timestamp.type, with their numbers on the wire.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// Forever is the duration that stands for no limit in the fields that say so.
const Forever = time.Duration(math.MaxInt64)

// TopicConfig holds the values that count for one topic.
type TopicConfig struct {
	Segments   SegmentConfig
	Retention  RetentionConfig
	Messages   MessageConfig
	Compaction CompactionConfig
	Durability Durability
	MinISR     int
	Unclean    bool // unclean.leader.election.enable
	// LeaderThrottle and FollowerThrottle are {leader,follower}.replication.throttled.replicas.
	LeaderThrottle, FollowerThrottle Throttled
}

// SegmentConfig is how the log of a partition is cut into files.
type SegmentConfig struct {
	Bytes           int64
	Age             time.Duration
	Jitter          time.Duration
	IndexBytes      int
	IndexInterval   int // bytes
	Preallocate     bool
	FileDeleteDelay time.Duration
}

// RetentionConfig is what goes from a log, and when.
type RetentionConfig struct {
	Delete  bool          // cleanup.policy has delete
	Compact bool          // cleanup.policy has compact
	Age     time.Duration // negative: records are kept for ever
	Bytes   int64         // negative: no limit
}

// MessageConfig is what a produced batch must keep to, and how it is stored.
type MessageConfig struct {
	MaxBytes        int
	Compression     string // as compression.type spells it
	GzipLevel       int
	LZ4Level        int
	ZstdLevel       int
	TimestampType   TimestampType
	TimestampBefore time.Duration // Forever: no limit
	TimestampAfter  time.Duration // Forever: no limit
}

// CompactionConfig is what compaction keeps to.
type CompactionConfig struct {
	DeleteRetention time.Duration
	MinLag          time.Duration
	MaxLag          time.Duration // Forever: no limit
	MinDirtyRatio   float64
}

// TopicLog gives the typed values that count for a topic with these overrides on a node with these layers. Values that their
// definitions do not accept cannot get into the metadata; should one be there, what lies below it counts.
func TopicLog(overrides map[string]string, l Layers) TopicConfig {
	get := func(name string) value {
		d, _ := Lookup(ScopeTopic, name)
		v, _, _ := l.topic(d, overrides)
		return v
	}
	num := func(name string) int { return int(get(name).i) }
	ms := func(name string) time.Duration { return fromMillis(get(name).i) }
	policy := get("cleanup.policy").list
	c := TopicConfig{
		Segments: SegmentConfig{
			Bytes: get("segment.bytes").i, Age: ms("segment.ms"), Jitter: ms("segment.jitter.ms"),
			IndexBytes: num("segment.index.bytes"), IndexInterval: num("index.interval.bytes"),
			Preallocate: get("preallocate").b, FileDeleteDelay: ms("file.delete.delay.ms"),
		},
		Retention: RetentionConfig{
			Delete: slices.Contains(policy, "delete"), Compact: slices.Contains(policy, "compact"),
			Age: ms("retention.ms"), Bytes: get("retention.bytes").i,
		},
		Messages: MessageConfig{
			MaxBytes: num("max.message.bytes"), Compression: get("compression.type").s,
			GzipLevel: num("compression.gzip.level"), LZ4Level: num("compression.lz4.level"), ZstdLevel: num("compression.zstd.level"),
			TimestampBefore: ms("message.timestamp.before.max.ms"), TimestampAfter: ms("message.timestamp.after.max.ms"),
		},
		Compaction: CompactionConfig{
			DeleteRetention: ms("delete.retention.ms"), MinLag: ms("min.compaction.lag.ms"), MaxLag: ms("max.compaction.lag.ms"),
			MinDirtyRatio: get("min.cleanable.dirty.ratio").f,
		},
		LeaderThrottle: throttledOf(get(leaderThrottle).list), FollowerThrottle: throttledOf(get(followerThrottle).list),
	}
	c.MinISR, c.Unclean, c.Durability = TopicSafety(overrides, l)
	if get("message.timestamp.type").s == "LogAppendTime" {
		c.Messages.TimestampType = LogAppendTime
	}
	if n := get("internal.segment.bytes").i; n > 0 {
		c.Segments.Bytes = n
	}
	return c
}

// TopicSafety gives only those of TopicLog's values that decide how many replicas must be in sync and who may lead, for who
// asks that of thousands of topics at once.
func TopicSafety(overrides map[string]string, l Layers) (minISR int, unclean bool, durability Durability) {
	get := func(name string) value {
		d, _ := Lookup(ScopeTopic, name)
		v, _, _ := l.topic(d, overrides)
		return v
	}
	if get("durability").s == "os" {
		durability = DurabilityOS
	}
	return int(get("min.insync.replicas").i), get("unclean.leader.election.enable").b, durability
}

// fromMillis turns a number of milliseconds into a duration; what is too large for one is Forever.
func fromMillis(ms int64) time.Duration {
	if ms < 0 {
		return -1
	}
	if ms > int64(Forever/time.Millisecond) {
		return Forever
	}
	return time.Duration(ms) * time.Millisecond
}

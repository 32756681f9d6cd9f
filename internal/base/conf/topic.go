package conf

const (
	hours   = 3600_000 // in milliseconds
	minutes = 60_000

	maxLong = "9223372036854775807"
)

func same(name string) []Synonym { return []Synonym{{Name: name, Factor: 1}} }

// topicDefs holds every topic key of Apache Kafka 4.3.1 that means something without tiered storage and dead letter queues of
// share groups, and Headrace's own.
var topicDefs = sorted(topicStorage, topicCleanup, topicMessages, topicDurability, topicThrottles)

var topicStorage = []Def{
	{Name: "segment.bytes", Kind: Int, Default: "1073741824", valid: atLeast(1 << 20), Synonyms: same("log.segment.bytes"),
		Doc: "Size at which a partition's log starts a new segment file. Retention removes whole segments, so a smaller one makes it finer and costs more files."},
	{Name: "internal.segment.bytes", Kind: Int, Null: true, Internal: true,
		Doc: "Overrides segment.bytes without its lower bound. For tests."},
	{Name: "segment.ms", Kind: Long, Default: "604800000", valid: atLeast(1),
		Synonyms: []Synonym{{"log.roll.ms", 1}, {"log.roll.hours", hours}},
		Doc:      "Age at which a segment is closed though it is not full, counted from the timestamp of its first record."},
	{Name: "segment.jitter.ms", Kind: Long, Default: "0", valid: atLeast(0),
		Synonyms: []Synonym{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", hours}},
		Doc:      "Largest random amount by which segment.ms is shortened, so that many partitions do not roll at once."},
	{Name: "segment.index.bytes", Kind: Int, Default: "10485760", valid: atLeast(4), Synonyms: same("log.index.size.max.bytes"),
		Doc: "Largest size of a segment's offset index; a full index closes the segment."},
	{Name: "index.interval.bytes", Kind: Int, Default: "4096", valid: atLeast(0), Synonyms: same("log.index.interval.bytes"),
		Doc: "Bytes of records between two entries of the offset index. A smaller one finds an offset with less reading and makes a larger index."},
	{Name: "preallocate", Kind: Boolean, Default: "false", Synonyms: same("log.preallocate"),
		Doc: "Whether the file of a new segment gets its disk space at once."},
	{Name: "file.delete.delay.ms", Kind: Long, Default: "60000", valid: atLeast(0), Synonyms: same("log.segment.delete.delay.ms"),
		Doc: "Time between taking a segment out of the log and deleting its files, so that readers that hold it can finish."},
}

var topicCleanup = []Def{
	{Name: "cleanup.policy", Kind: List, Default: "delete", valid: oneOf("compact", "delete"), Synonyms: same("log.cleanup.policy"),
		Doc: "What happens to old records: delete removes segments by retention.ms and retention.bytes; compact keeps the newest record of each key; both may be given; an empty list keeps everything."},
	{Name: "retention.ms", Kind: Long, Default: "604800000", valid: atLeast(-1),
		Synonyms: []Synonym{{"log.retention.ms", 1}, {"log.retention.minutes", minutes}, {"log.retention.hours", hours}},
		Doc:      "Time for which records are kept under cleanup.policy=delete, by the newest timestamp of a segment; -1 keeps them for ever."},
	{Name: "retention.bytes", Kind: Long, Default: "-1", Synonyms: same("log.retention.bytes"),
		Doc: "Size to which a partition's log may grow under cleanup.policy=delete before its oldest segments go; -1 sets no limit. It counts for each partition, not for the topic."},
	{Name: "delete.retention.ms", Kind: Long, Default: "86400000", valid: atLeast(0), Synonyms: same("log.cleaner.delete.retention.ms"),
		Doc: "Time for which compaction keeps a record without a value (a deletion), counted from when it first meets it."},
	{Name: "min.compaction.lag.ms", Kind: Long, Default: "0", valid: atLeast(0), Synonyms: same("log.cleaner.min.compaction.lag.ms"),
		Doc: "Time for which a record is safe from compaction."},
	{Name: "max.compaction.lag.ms", Kind: Long, Default: maxLong, valid: atLeast(1), Synonyms: same("log.cleaner.max.compaction.lag.ms"),
		Doc: "Time after which a record is compacted whatever the dirty ratio; segments are closed after it, too."},
	{Name: "min.cleanable.dirty.ratio", Kind: Double, Default: "0.5", valid: between(0, 1), Synonyms: same("log.cleaner.min.cleanable.ratio"),
		Doc: "Share of a log that must be uncompacted before compaction takes it up."},
}

var topicMessages = []Def{
	{Name: "max.message.bytes", Kind: Int, Default: "1048588", valid: atLeast(0), Synonyms: same("message.max.bytes"),
		Doc: "Largest record batch, as compressed by the producer, that is accepted."},
	{Name: "compression.type", Kind: String, Default: "producer", Synonyms: same("compression.type"),
		valid: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
		Doc:   "Compression in which batches are stored. producer keeps what the producer sent, and is the only one that costs the node nothing."},
	{Name: "compression.gzip.level", Kind: Int, Default: "-1", valid: betweenOr(1, 9, -1), Synonyms: same("compression.gzip.level"),
		Doc: "Level used where compression.type=gzip makes the node compress; -1 leaves it to the codec."},
	{Name: "compression.lz4.level", Kind: Int, Default: "9", valid: between(1, 17), Synonyms: same("compression.lz4.level"),
		Doc: "Level used where compression.type=lz4 makes the node compress."},
	{Name: "compression.zstd.level", Kind: Int, Default: "3", valid: between(-131072, 22), Synonyms: same("compression.zstd.level"),
		Doc: "Level used where compression.type=zstd makes the node compress."},
	{Name: "message.timestamp.type", Kind: String, Default: "CreateTime", valid: oneOf("CreateTime", "LogAppendTime"), Synonyms: same("log.message.timestamp.type"),
		Doc: "Whether a record keeps the timestamp its producer gave it (CreateTime) or gets that of the append (LogAppendTime)."},
	{Name: "message.timestamp.before.max.ms", Kind: Long, Default: maxLong, valid: atLeast(0), Synonyms: same("log.message.timestamp.before.max.ms"),
		Doc: "How far a record's timestamp may lie before the node's clock under CreateTime; older records are refused."},
	{Name: "message.timestamp.after.max.ms", Kind: Long, Default: "3600000", valid: atLeast(0), Synonyms: same("log.message.timestamp.after.max.ms"),
		Doc: "How far a record's timestamp may lie after the node's clock under CreateTime; records from further in the future are refused, because they would hold up retention."},
}

var topicDurability = []Def{
	{Name: "durability", Kind: String, Default: "flush", valid: oneOf("flush", "os"), Synonyms: same("durability"), Own: true,
		Doc: "When a produced batch is acknowledged. flush: after the flush to disk that covers it, so that neither a crash nor a power cut takes an acknowledged record. os: as soon as the operating system has it, as Apache Kafka does; a power cut of all replicas then loses the records of the last seconds."},
	{Name: "flush.messages", Kind: Long, Default: maxLong, valid: atLeast(1), Synonyms: same("log.flush.interval.messages"),
		Doc: "Kept for existing configurations and not acted on: Headrace flushes by durability, not by number of records."},
	{Name: "flush.ms", Kind: Long, Default: maxLong, valid: atLeast(0),
		Synonyms: []Synonym{{"log.flush.interval.ms", 1}, {"log.flush.scheduler.interval.ms", 1}},
		Doc:      "Kept for existing configurations and not acted on: Headrace flushes by durability, not by time."},
	{Name: "min.insync.replicas", Kind: Int, Default: "1", valid: atLeast(1), Synonyms: same("min.insync.replicas"),
		Doc: "Replicas that must be in sync for acks=all to be accepted. A cluster of one node has one replica of each partition, so a larger number there refuses every acks=all write."},
	{Name: "unclean.leader.election.enable", Kind: Boolean, Default: "false", Synonyms: same("unclean.leader.election.enable"),
		Doc: "Whether a replica that is out of sync may lead when no other is left, at the price of lost records. It has no effect while partitions have one replica."},
}

var topicThrottles = []Def{
	{Name: leaderThrottle, Kind: List, Default: "", valid: throttledReplicas,
		Doc: "Replicas that leaders send to no faster than leader.replication.throttled.rate while they are not in sync, as partition:node of the leader, or * for all."},
	{Name: followerThrottle, Kind: List, Default: "", valid: throttledReplicas,
		Doc: "Replicas that fetch no faster than follower.replication.throttled.rate while they are not in sync, as partition:node of the follower, or * for all."},
}

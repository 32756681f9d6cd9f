package conf

// brokerDefs holds the broker keys that do something on a Headrace node. Keys of Apache Kafka's that do nothing here, and
// those that must not be accepted, are in legacy.go.
var brokerDefs = sorted(brokerNode, brokerCluster, brokerReplicas, brokerAdmin, brokerNetwork, brokerTopics, brokerLog, brokerLogTimes, brokerCompaction, brokerMessages, brokerGroups, brokerConsumerGroups, brokerStreamsGroups, brokerShareGroups, brokerShareCoordinator, brokerVerification)

var brokerNode = []Def{
	{Name: "unstable.api.versions.enable", Kind: Boolean, Default: "false", Internal: true,
		Doc: "Serve protocols that are not whole yet, and let a new cluster begin with the features that they need: share groups, whose keys have no effect otherwise. For trying them out."},
	{Name: "node.id", Kind: Int, Default: "1", valid: atLeast(0),
		Doc: "Number of this node in the cluster. It is written into the log directories at the first start, and must stay the same."},
	{Name: "broker.id", Kind: Int, Default: "-1",
		Doc: "Older name of node.id. Where both are set they must agree."},
	{Name: "process.roles", Kind: List, Default: "broker,controller", valid: oneOf("broker", "controller"),
		Doc: "Roles of this node. A controller may vote on the metadata; a broker has partitions and takes clients. One with the role broker alone joins a cluster of others (controller.quorum.bootstrap.servers, controller.quorum.voters) and never votes. The flag --roles of headrace server sets it."},
	{Name: "broker.rack", Kind: String, Null: true,
		Doc: "Name of the place this node stands in, told to clients in the cluster's metadata."},
	{Name: "log.dir", Kind: List, Default: "headrace-data",
		Doc: "Directories that hold the data, where log.dirs is not set. A relative path starts at the working directory."},
	{Name: "log.dirs", Kind: List, Null: true,
		Doc: "Directories that hold the data, separated by commas, one a disk. Wins over log.dir."},
	{Name: "metadata.log.dir", Kind: String, Null: true,
		Doc: "Directory that holds the metadata log; the first of log.dirs where it is not set."},
	{Name: "metadata.log.max.record.bytes.between.snapshots", Kind: Long, Default: "20971520", valid: atLeast(1),
		Doc: "Bytes of metadata log after which a snapshot of the metadata is written and the log before it can go."},
	{Name: "flush.method", Kind: String, Default: "auto", valid: oneOf("auto", "fdatasync", "syncfs"), Own: true,
		Doc: "How log files are made durable. fdatasync flushes each file, syncfs the whole file system of the directory in one call, and auto takes the cheaper by the number of files that are dirty."},
}

var brokerNetwork = []Def{
	{Name: "listeners", Kind: List, Default: "PLAINTEXT://127.0.0.1:9092",
		Doc: "Addresses to listen on, as NAME://host:port separated by commas. An empty host means every interface. The default is reachable from this machine only."},
	{Name: "advertised.listeners", Kind: List, Null: true,
		Doc: "Addresses that clients are told to connect to, in the form and by the names of listeners. Set it where clients see the node under another address than the one it listens on."},
	{Name: "listener.security.protocol.map", Kind: String, Default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
		Doc: "Security protocol of each listener name. Only PLAINTEXT is there yet: a listener that maps to another protocol is refused."},
	{Name: "inter.broker.listener.name", Kind: String, Null: true,
		Doc: "Listener that nodes of a cluster use among themselves, the first where it is not set. It must be one of listeners."},
	{Name: "socket.request.max.bytes", Kind: Int, Default: "104857600", valid: atLeast(1),
		Doc: "Largest request that is read; a connection that announces a larger one is closed."},
	{Name: "queued.max.request.bytes", Kind: Long, Default: "-1",
		Doc: "Memory that all requests in flight may take together; connections wait before they read further. -1 means 128 MiB, or socket.request.max.bytes where that is more."},
	{Name: "connections.max.idle.ms", Kind: Long, Default: "600000",
		Doc: "Time after which a connection without traffic is closed."},
	{Name: "headrace.request.arrival.ms", Kind: Long, Default: "30000", valid: atLeast(1), Own: true,
		Doc: "Time that a request may take to arrive from its first byte on, besides one second for each 128 KiB; then its connection is closed."},
	{Name: "headrace.answer.stall.ms", Kind: Long, Default: "300000", valid: atLeast(1), Own: true,
		Doc: "Time after which a connection is closed whose client takes not one byte of an answer that waits for it. A client that reads slowly keeps its connection."},
	{Name: "max.connections", Kind: Int, Default: "2147483647", valid: atLeast(0), Update: ClusterWide,
		Doc: "Largest number of connections at one time; one is always taken, so that this can be changed again."},
	{Name: "max.connections.per.ip", Kind: Int, Default: "2147483647", valid: atLeast(0), Update: ClusterWide,
		Doc: "Largest number of connections at one time from one address; one is always taken."},
	{Name: "fetch.max.bytes", Kind: Int, Default: "57671680", valid: atLeast(1024),
		Doc: "Most bytes that one fetch is answered with, whatever the consumer asked for; a single larger batch is still sent."},
	{Name: "max.incremental.fetch.session.cache.slots", Kind: Int, Default: "1000", valid: atLeast(0),
		Doc: "Number of incremental fetch sessions that are kept."},
	{Name: "max.request.partition.size.limit", Kind: Int, Default: "2000", valid: atLeast(1),
		Doc: "Most partitions that one DescribeTopicPartitions answer holds."},
}

var brokerTopics = []Def{
	{Name: "num.partitions", Kind: Int, Default: "1", valid: atLeast(1),
		Doc: "Partitions of a topic that is created without a number."},
	{Name: "default.replication.factor", Kind: Int, Default: "1",
		Doc: "Replicas of a topic that is created without a number."},
	{Name: "auto.create.topics.enable", Kind: Boolean, Default: "true",
		Doc: "Whether a topic that a client asks for is created."},
	{Name: "delete.topic.enable", Kind: Boolean, Default: "true",
		Doc: "Whether topics can be deleted."},
	{Name: "min.insync.replicas", Kind: Int, Default: "1", valid: atLeast(1), Update: ClusterWide,
		Doc: "Default of the topic key min.insync.replicas. A new cluster takes it from the file of the node that begins it; from then on it is one for all nodes, and changed by headrace config set cluster."},
	{Name: "unclean.leader.election.enable", Kind: Boolean, Default: "false", Update: ClusterWide,
		Doc: "Default of the topic key unclean.leader.election.enable."},
	{Name: "durability", Kind: String, Default: "flush", valid: oneOf("flush", "os"), Update: ClusterWide, Own: true,
		Doc: "Default of the topic key durability: flush acknowledges a batch after it is on disk, os from the operating system's cache as Apache Kafka does."},
}

var brokerLog = []Def{
	{Name: "log.segment.bytes", Kind: Int, Default: "1073741824", valid: atLeast(1 << 20), Update: ClusterWide,
		Doc: "Default of the topic key segment.bytes."},
	{Name: "log.index.size.max.bytes", Kind: Int, Default: "10485760", valid: atLeast(4), Update: ClusterWide,
		Doc: "Default of the topic key segment.index.bytes."},
	{Name: "log.index.interval.bytes", Kind: Int, Default: "4096", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key index.interval.bytes."},
	{Name: "log.preallocate", Kind: Boolean, Default: "false", Update: ClusterWide,
		Doc: "Default of the topic key preallocate."},
	{Name: "log.segment.delete.delay.ms", Kind: Long, Default: "60000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key file.delete.delay.ms."},
	{Name: "log.cleanup.policy", Kind: List, Default: "delete", valid: oneOf("compact", "delete"), Update: ClusterWide,
		Doc: "Default of the topic key cleanup.policy."},
	{Name: "log.retention.bytes", Kind: Long, Default: "-1", Update: ClusterWide,
		Doc: "Default of the topic key retention.bytes."},
	{Name: "log.retention.check.interval.ms", Kind: Long, Default: "300000", valid: atLeast(1),
		Doc: "Time between two looks for segments that are due to go."},
	{Name: "log.flush.interval.messages", Kind: Long, Default: maxLong, valid: atLeast(1), Update: ClusterWide,
		Doc: "Default of the topic key flush.messages, which is not acted on."},
	{Name: "log.flush.offset.checkpoint.interval.ms", Kind: Int, Default: "60000", valid: atLeast(0),
		Doc: "Time between two writes of the files that say up to where each log is flushed, from where recovery after a crash starts, and where it begins."},
	{Name: "replica.high.watermark.checkpoint.interval.ms", Kind: Long, Default: "5000",
		Doc: "Time between two writes of the file that holds the high watermarks."},
	{Name: "num.recovery.threads.per.data.dir", Kind: Int, Default: "2", valid: atLeast(1),
		Doc: "Logs of one directory that are recovered at the same time when the node starts."},
	{Name: "producer.id.expiration.ms", Kind: Int, Default: "86400000", valid: atLeast(1), Update: ClusterWide,
		Doc: "Time after its last batch at which a partition forgets an idempotent producer."},
}

// The families whose members stand for one another, first the one that wins.
var (
	rollFamily      = []Synonym{{"log.roll.ms", 1}, {"log.roll.hours", hours}}
	jitterFamily    = []Synonym{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", hours}}
	retentionFamily = []Synonym{{"log.retention.ms", 1}, {"log.retention.minutes", minutes}, {"log.retention.hours", hours}}
	flushFamily     = []Synonym{{"log.flush.interval.ms", 1}, {"log.flush.scheduler.interval.ms", 1}}
)

var brokerLogTimes = []Def{
	{Name: "log.roll.ms", Kind: Long, Null: true, valid: atLeast(1), Update: ClusterWide, Synonyms: rollFamily,
		Doc: "Default of the topic key segment.ms; wins over log.roll.hours."},
	{Name: "log.roll.hours", Kind: Int, Default: "168", valid: atLeast(1), Synonyms: rollFamily,
		Doc: "Default of the topic key segment.ms, in hours."},
	{Name: "log.roll.jitter.ms", Kind: Long, Null: true, valid: atLeast(0), Update: ClusterWide, Synonyms: jitterFamily,
		Doc: "Default of the topic key segment.jitter.ms; wins over log.roll.jitter.hours."},
	{Name: "log.roll.jitter.hours", Kind: Int, Default: "0", valid: atLeast(0), Synonyms: jitterFamily,
		Doc: "Default of the topic key segment.jitter.ms, in hours."},
	{Name: "log.retention.ms", Kind: Long, Null: true, Update: ClusterWide, Synonyms: retentionFamily, valid: retentionTime,
		Doc: "Default of the topic key retention.ms; wins over log.retention.minutes and log.retention.hours."},
	{Name: "log.retention.minutes", Kind: Int, Null: true, Synonyms: retentionFamily, valid: retentionTime,
		Doc: "Default of the topic key retention.ms, in minutes; wins over log.retention.hours."},
	{Name: "log.retention.hours", Kind: Int, Default: "168", Synonyms: retentionFamily, valid: retentionTime,
		Doc: "Default of the topic key retention.ms, in hours."},
	{Name: "log.flush.interval.ms", Kind: Long, Null: true, Update: ClusterWide, Synonyms: flushFamily, valid: atLeast(0),
		Doc: "Default of the topic key flush.ms, which is not acted on."},
	{Name: "log.flush.scheduler.interval.ms", Kind: Long, Default: maxLong,
		Doc: "Default of the topic key flush.ms where log.flush.interval.ms is not set; not acted on."},
}

// retentionTime refuses the 0 that would delete every record at once.
var retentionTime = rule{words: "-1 or at least 1", why: func(v value) string {
	if v.i == 0 {
		return "{} must be unlimited (-1) or, greater than or equal to 1"
	}
	return ""
}}

var brokerCompaction = []Def{
	{Name: "log.cleaner.delete.retention.ms", Kind: Long, Default: "86400000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key delete.retention.ms."},
	{Name: "log.cleaner.min.compaction.lag.ms", Kind: Long, Default: "0", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key min.compaction.lag.ms."},
	{Name: "log.cleaner.max.compaction.lag.ms", Kind: Long, Default: maxLong, valid: atLeast(1), Update: ClusterWide,
		Doc: "Default of the topic key max.compaction.lag.ms."},
	{Name: "log.cleaner.min.cleanable.ratio", Kind: Double, Default: "0.5", valid: between(0, 1), Update: ClusterWide,
		Doc: "Default of the topic key min.cleanable.dirty.ratio."},
	{Name: "log.cleaner.enable", Kind: Boolean, Default: "true",
		Doc: "Whether logs are compacted at all. Without it compacted topics, __consumer_offsets among them, grow without end."},
	{Name: "log.cleaner.threads", Kind: Int, Default: "1", valid: atLeast(0), Update: ClusterWide,
		Doc: "Logs that are compacted at the same time."},
	{Name: "log.cleaner.dedupe.buffer.size", Kind: Long, Default: "134217728", Update: ClusterWide,
		Doc: "Most memory that the keys of all logs being compacted take, 24 bytes a key. It is taken while a log is compacted, and as much as its keys need. A log with more keys than fit is compacted in several rounds."},
	{Name: "log.cleaner.io.buffer.load.factor", Kind: Double, Default: "0.9", Update: ClusterWide,
		Doc: "Share of log.cleaner.dedupe.buffer.size that is filled before a round ends. A larger one compacts more at once and looks longer for each key."},
	{Name: "log.cleaner.io.buffer.size", Kind: Int, Default: "524288", valid: atLeast(0), Update: ClusterWide,
		Doc: "Memory for reading and writing that all logs being compacted take. A batch that is larger than its share gets what it needs."},
	{Name: "log.cleaner.io.max.bytes.per.second", Kind: Double, Default: "1.7976931348623157E308", Update: ClusterWide,
		Doc: "Most bytes that compaction reads and writes in a second, on average, over all logs."},
	{Name: "log.cleaner.backoff.ms", Kind: Long, Default: "15000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Time between two looks for logs to compact, where there was none."},
}

var brokerMessages = []Def{
	{Name: "message.max.bytes", Kind: Int, Default: "1048588", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key max.message.bytes."},
	{Name: "compression.type", Kind: String, Default: "producer", Update: ClusterWide,
		valid: oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
		Doc:   "Default of the topic key compression.type."},
	{Name: "compression.gzip.level", Kind: Int, Default: "-1", valid: betweenOr(1, 9, -1), Update: ClusterWide,
		Doc: "Default of the topic key compression.gzip.level."},
	{Name: "compression.lz4.level", Kind: Int, Default: "9", valid: between(1, 17), Update: ClusterWide,
		Doc: "Default of the topic key compression.lz4.level."},
	{Name: "compression.zstd.level", Kind: Int, Default: "3", valid: between(-131072, 22), Update: ClusterWide,
		Doc: "Default of the topic key compression.zstd.level."},
	{Name: "log.message.timestamp.type", Kind: String, Default: "CreateTime", valid: oneOf("CreateTime", "LogAppendTime"), Update: ClusterWide,
		Doc: "Default of the topic key message.timestamp.type."},
	{Name: "log.message.timestamp.before.max.ms", Kind: Long, Default: maxLong, valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key message.timestamp.before.max.ms."},
	{Name: "log.message.timestamp.after.max.ms", Kind: Long, Default: "3600000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Default of the topic key message.timestamp.after.max.ms."},
}

var brokerGroups = []Def{
	{Name: "offsets.topic.num.partitions", Kind: Int, Default: "50", valid: atLeast(1),
		Doc: "Partitions of __consumer_offsets, fixed when it is created."},
	{Name: "offsets.topic.replication.factor", Kind: Short, Default: "3", valid: atLeast(1),
		Doc: "Replicas of __consumer_offsets; a cluster with fewer nodes makes as many as it has nodes, and more as nodes join."},
	{Name: "offsets.topic.segment.bytes", Kind: Int, Default: "104857600", valid: atLeast(1),
		Doc: "Segment size of __consumer_offsets."},
	{Name: "offsets.retention.minutes", Kind: Int, Default: "10080", valid: atLeast(1),
		Doc: "Time for which a group's offsets are kept after its last member left, or after it stopped subscribing to the topic."},
	{Name: "offsets.retention.check.interval.ms", Kind: Long, Default: "600000", valid: atLeast(1),
		Doc: "Time between two looks for offsets that are due to go."},
	{Name: "offset.metadata.max.bytes", Kind: Int, Default: "4096",
		Doc: "Longest text that a client may store with an offset."},
	{Name: "group.min.session.timeout.ms", Kind: Int, Default: "6000",
		Doc: "Shortest session timeout that a member of a classic group may ask for."},
	{Name: "group.max.session.timeout.ms", Kind: Int, Default: "1800000",
		Doc: "Longest session timeout that a member of a classic group may ask for."},
	{Name: "group.initial.rebalance.delay.ms", Kind: Int, Default: "3000",
		Doc: "Time for which the first rebalance of an empty classic group waits for more members."},
	{Name: "group.max.size", Kind: Int, Default: "2147483647", valid: atLeast(1),
		Doc: "Most members of one classic group."},
}

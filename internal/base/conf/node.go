package conf

import (
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// FlushMethod says how log files are made durable.
type FlushMethod int8

// The values of flush.method.
const (
	FlushAuto FlushMethod = iota
	FlushFdatasync
	FlushSyncfs
)

// String is the value of the key flush.method.
func (m FlushMethod) String() string { return [...]string{"auto", "fdatasync", "syncfs"}[m] }

// Node holds the broker keys that count for one node.
type Node struct {
	ID             kafka.NodeID
	Broker         bool   // process.roles: it has partitions, and takes clients
	Controller     bool   // process.roles: it may vote on the metadata
	Rack           string // empty: none
	LogDirs        []string
	MetadataLogDir string // one of its own, or the first of LogDirs
	FlushMethod    FlushMethod
	Durability     Durability // the default of topics
	SnapshotBytes  int64      // metadata.log.max.record.bytes.between.snapshots

	Listeners   []Listener // those that clients connect to; on a node that is no broker those for controllers
	Controllers []Listener // those for controllers, which a node without others does not open
	// One for each of Listeners and of Controllers, in their order; an empty host stands for this machine's name.
	Advertised, AdvertisedControllers []Listener

	Network  NetworkConfig
	Cluster  ClusterConfig
	Replicas ReplicasConfig
	Topics   TopicDefaults
	Upkeep   UpkeepConfig
	Cleaner  CleanerConfig
	// UnstableAPIs has protocols be served that are not whole yet.
	UnstableAPIs bool
	Groups       GroupsConfig
	// ShareCoordinator is what share coordinators keep to.
	ShareCoordinator ShareCoordinatorConfig
	Verification     VerificationConfig
	Admin            AdminConfig
}

// NetworkConfig bounds what connections may take.
type NetworkConfig struct {
	RequestMaxBytes     int
	RequestMemory       int64         // for all requests in flight together; never below RequestMaxBytes
	MaxIdle             time.Duration // negative: no limit
	Arrival, Stall      time.Duration // of a request and of an answer: headrace.request.arrival.ms, headrace.answer.stall.ms
	MaxConnections      int
	MaxConnectionsPerIP int
	FetchMaxBytes       int
	FetchSessions       int
	DescribePartitions  int // max.request.partition.size.limit
}

// TopicDefaults are the rules for topics that are made and deleted.
type TopicDefaults struct {
	Partitions    int32
	Replication   int16
	AutoCreate    bool
	DeleteAllowed bool
}

// UpkeepConfig is the rhythm of what is done to logs in the background.
type UpkeepConfig struct {
	RetentionCheck          time.Duration
	RecoveryPointCheckpoint time.Duration // of the start offsets too
	HighWatermarkCheckpoint time.Duration
	RecoveryThreads         int // a directory
	ProducerIDExpiration    time.Duration
}

// CleanerConfig is what compaction may take.
type CleanerConfig struct {
	Threads        int // 0: nothing is compacted
	DedupeBytes    int64
	LoadFactor     float64
	BufferBytes    int
	BytesPerSecond float64
	Backoff        time.Duration
}

// GroupsConfig is what group coordinators keep to.
type GroupsConfig struct {
	OffsetsPartitions    int32
	OffsetsReplication   int16 // at most; a smaller cluster makes as many replicas as it has nodes
	OffsetsSegmentBytes  int
	OffsetsRetention     time.Duration
	RetentionCheck       time.Duration
	OffsetMetadataMax    int // bytes
	MinSession           time.Duration
	MaxSession           time.Duration
	InitialRebalanceWait time.Duration
	MaxSize              int
	Consumer             ConsumerGroupsConfig
	Streams              StreamsGroupsConfig
	Share                ShareGroupsConfig
}

// NewNode gives the typed values of a node's keys, after checking what holds between them. Values of the layers set while
// running that their definitions do not accept are passed over.
func NewNode(l Layers) (Node, error) {
	n, problems := newNode(l)
	if len(problems) > 0 {
		return Node{}, problems[0].cause
	}
	return n, nil
}

// newNode makes a node as far as it goes, and tells all that is wrong with it.
func newNode(l Layers) (n Node, problems []Problem) {
	r := reader{l}
	n = Node{
		UnstableAPIs: r.flag("unstable.api.versions.enable"),
		Rack:         r.text("broker.rack"), LogDirs: r.list("log.dirs"), SnapshotBytes: r.num("metadata.log.max.record.bytes.between.snapshots"),
		Network: NetworkConfig{
			RequestMaxBytes: int(r.num("socket.request.max.bytes")), RequestMemory: r.num("queued.max.request.bytes"),
			Arrival: r.ms("headrace.request.arrival.ms"), Stall: r.ms("headrace.answer.stall.ms"),
			MaxIdle: r.ms("connections.max.idle.ms"), MaxConnections: int(r.num("max.connections")), MaxConnectionsPerIP: int(r.num("max.connections.per.ip")),
			FetchMaxBytes: int(r.num("fetch.max.bytes")), FetchSessions: int(r.num("max.incremental.fetch.session.cache.slots")),
			DescribePartitions: int(r.num("max.request.partition.size.limit")),
		},
		Topics: TopicDefaults{
			Partitions: int32(r.num("num.partitions")), Replication: int16(r.num("default.replication.factor")),
			AutoCreate: r.flag("auto.create.topics.enable"), DeleteAllowed: r.flag("delete.topic.enable"),
		},
		Upkeep: UpkeepConfig{
			RetentionCheck: r.ms("log.retention.check.interval.ms"), RecoveryPointCheckpoint: r.ms("log.flush.offset.checkpoint.interval.ms"),
			HighWatermarkCheckpoint: r.ms("replica.high.watermark.checkpoint.interval.ms"),
			RecoveryThreads:         int(r.num("num.recovery.threads.per.data.dir")), ProducerIDExpiration: r.ms("producer.id.expiration.ms"),
		},
		Cleaner: CleanerConfig{
			Threads: int(r.num("log.cleaner.threads")), DedupeBytes: r.num("log.cleaner.dedupe.buffer.size"),
			LoadFactor: r.value("log.cleaner.io.buffer.load.factor").f, BufferBytes: int(r.num("log.cleaner.io.buffer.size")),
			BytesPerSecond: r.value("log.cleaner.io.max.bytes.per.second").f, Backoff: r.ms("log.cleaner.backoff.ms"),
		},
		Groups: GroupsConfig{
			OffsetsPartitions: int32(r.num("offsets.topic.num.partitions")), OffsetsReplication: int16(r.num("offsets.topic.replication.factor")),
			OffsetsSegmentBytes: int(r.num("offsets.topic.segment.bytes")), OffsetsRetention: time.Duration(r.num("offsets.retention.minutes")) * time.Minute,
			RetentionCheck: r.ms("offsets.retention.check.interval.ms"), OffsetMetadataMax: int(r.num("offset.metadata.max.bytes")),
			MinSession: r.ms("group.min.session.timeout.ms"), MaxSession: r.ms("group.max.session.timeout.ms"),
			InitialRebalanceWait: r.ms("group.initial.rebalance.delay.ms"), MaxSize: int(r.num("group.max.size")),
		},
		ShareCoordinator: shareCoordinatorConfig(r),
		Verification:     verificationConfig(r),
		Cluster:          clusterConfig(r), Replicas: replicasConfig(r),
		FlushMethod: FlushMethod(slices.Index([]string{"auto", "fdatasync", "syncfs"}, r.text("flush.method"))),
		Durability:  Durability(slices.Index([]string{"flush", "os"}, r.text("durability"))),
	}
	if !r.flag("log.cleaner.enable") {
		n.Cleaner.Threads = 0
	}
	for _, step := range []func(reader, *Node) error{identify, chooseDirs, chooseListeners, chooseAdmin, chooseCluster, checkLimits, chooseConsumerGroups, chooseStreamsGroups, chooseShareGroups} {
		if err := step(r, &n); err != nil {
			p := refusal("", "", err)
			p.Where = l.Static.Where(p.Key)
			problems = append(problems, p)
		}
	}
	return n, problems
}

// reader reads typed values of broker keys.
type reader struct{ l Layers }

func (r reader) value(name string) value {
	d, _ := Lookup(ScopeBroker, name)
	text, _ := r.l.broker(d)
	v, _ := parse(d, text)
	return v
}

func (r reader) num(name string) int64        { return r.value(name).i }
func (r reader) ms(name string) time.Duration { return fromMillis(r.num(name)) }
func (r reader) flag(name string) bool        { return r.value(name).b }
func (r reader) text(name string) string      { return r.value(name).s }
func (r reader) list(name string) []string    { return r.value(name).list }

func (r reader) isSet(name string) bool {
	_, ok := r.l.Static.Get(name)
	return ok
}

func identify(r reader, n *Node) error {
	roles := r.list("process.roles")
	n.Broker, n.Controller = slices.Contains(roles, "broker"), slices.Contains(roles, "controller")
	id, old := r.num("node.id"), r.num("broker.id")
	if old >= 0 && id != old {
		return wrong("node.id", "node.id=%d and broker.id=%d differ: set node.id alone", id, old)
	}
	n.ID = kafka.NodeID(id)
	if !n.Broker && !n.Controller {
		return wrong("process.roles", "process.roles is empty: a node is broker, controller or both")
	}
	return nil
}

func chooseDirs(r reader, n *Node) error {
	if len(n.LogDirs) == 0 {
		n.LogDirs = r.list("log.dir")
	}
	if len(n.LogDirs) == 0 {
		return wrong("log.dirs", "log.dirs is empty: name the directory that holds the data")
	}
	// The controller goes by the cluster's metadata, where a node's file does not count.
	if text, _ := r.l.Static.Get(cordonedDirs); strings.TrimSpace(text) != "" {
		return wrong(cordonedDirs, "%s can be set only while the node runs: headrace config set node/%d %s=*", cordonedDirs, n.ID, cordonedDirs)
	}
	n.MetadataLogDir = r.text("metadata.log.dir")
	if n.MetadataLogDir == "" {
		n.MetadataLogDir = n.LogDirs[0]
	}
	return nil
}

// defaultRequestMemory holds the requests of a node that is busy, and leaves 256 MiB for the whole process in reach.
const defaultRequestMemory = 128 << 20

func checkLimits(_ reader, n *Node) error {
	if n.Network.RequestMemory <= 0 {
		n.Network.RequestMemory = max(defaultRequestMemory, int64(n.Network.RequestMaxBytes))
	}
	switch {
	case n.Network.RequestMemory < int64(n.Network.RequestMaxBytes):
		return wrong("queued.max.request.bytes", "queued.max.request.bytes=%d is less than socket.request.max.bytes=%d: the largest request would never fit",
			n.Network.RequestMemory, n.Network.RequestMaxBytes)
	case n.Groups.MinSession > n.Groups.MaxSession:
		return wrong("group.min.session.timeout.ms", "group.min.session.timeout.ms is more than group.max.session.timeout.ms")
	case n.Topics.Replication < 1:
		return wrong("default.replication.factor", "default.replication.factor must be at least 1")
	}
	return nil
}

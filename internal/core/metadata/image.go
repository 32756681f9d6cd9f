package metadata

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Image is the whole metadata after some record of the log. It never changes: Apply returns another that shares what
// stayed the same. Callers must not change anything that they reach through it.
type Image struct {
	clusterID    string
	controller   kafka.NodeID
	offset       kafka.Offset
	topics       tree[string, *Topic]
	names        tree[kafka.TopicID, string]
	collisions   tree[string, []string] // names that hold '.' or '_', under the name with '_' for both
	nodes        []*Node                // sorted by id
	configs      tree[ConfigResource, map[string]string]
	features     map[string]int16
	nextProducer kafka.ProducerID
}

// Topic is a topic with its partitions, indexed by their numbers.
type Topic struct {
	Name       string
	ID         kafka.TopicID
	Partitions []Partition
}

// Partition is where one partition lives and who leads it.
type Partition struct {
	Leader              kafka.NodeID // NoNode while there is none
	LeaderEpoch         kafka.LeaderEpoch
	PartitionEpoch      int32 // counts the changes of this struct
	Replicas, ISR       []kafka.NodeID
	AddingReplicas      []kafka.NodeID
	RemovingReplicas    []kafka.NodeID
	ELR, LastKnownELR   []kafka.NodeID
	Directories         []kafka.TopicID // one a replica, or none
	LeaderRecoveryState int8            // 0 recovered, 1 recovering from an unclean election
}

// Directory is the one that a node's replica is in; zero where it is not known.
func (p *Partition) Directory(id kafka.NodeID) kafka.TopicID {
	if i := slices.Index(p.Replicas, id); i >= 0 && i < len(p.Directories) {
		return p.Directories[i]
	}
	return kafka.TopicID{}
}

// Node is a registered node.
type Node struct {
	ID                   kafka.NodeID
	Epoch                int64 // offset of its RegisterBrokerRecord; fences older incarnations
	Incarnation          kafka.TopicID
	Rack                 *string
	Listeners            []Listener
	Features             []FeatureRange
	Fenced               bool
	InControlledShutdown bool
	LogDirs              []kafka.TopicID
}

// Active tells whether partitions may be led by and be in sync on the node.
func (n *Node) Active() bool { return !n.Fenced && !n.InControlledShutdown }

// HasDir tells whether a replica that was put into a directory can be on the node. Where a node has not said which directories
// it has, or a replica not where it is, it can.
func (n *Node) HasDir(dir kafka.TopicID) bool {
	if ReservedDir(dir) {
		return dir != LostDir
	}
	return len(n.LogDirs) == 0 || slices.Contains(n.LogDirs, dir)
}

// LostDir stands for a directory that is offline and whose id is not known.
var LostDir = kafka.TopicID{15: 2}

// ReservedDir tells whether an id below 100 stands for something else than a directory, as in Kafka: 0 and 1 for one that
// is not known yet.
func ReservedDir(dir kafka.TopicID) bool {
	return [15]byte(dir[:15]) == [15]byte{} && dir[15] < 100
}

// Listener is an address at which a node is reached.
type Listener struct {
	Name     string
	Host     string
	Port     uint16
	Protocol SecurityProtocol
}

// SecurityProtocol has Kafka's numbers.
type SecurityProtocol int16

// The security protocols.
const (
	Plaintext     SecurityProtocol = 0
	SSL           SecurityProtocol = 1
	SASLPlaintext SecurityProtocol = 2
	SASLSSL       SecurityProtocol = 3
)

// ConfigType has the numbers of Kafka's config resources.
type ConfigType int8

// The config resources.
const (
	TopicConfig         ConfigType = 2
	BrokerConfig        ConfigType = 4
	BrokerLoggerConfig  ConfigType = 8
	ClientMetricsConfig ConfigType = 16
	GroupConfig         ConfigType = 32
)

// ConfigResource names what a set of overrides belongs to. A BrokerConfig with the empty name is the cluster's default.
type ConfigResource struct {
	Type ConfigType
	Name string
}

func compareResources(a, b ConfigResource) int {
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// New returns the Image before the first record, at offset -1.
func New(clusterID string) *Image {
	return &Image{
		clusterID:  clusterID,
		controller: kafka.NoNode,
		offset:     kafka.NoOffset,
		topics:     newTree[string, *Topic](strings.Compare),
		names:      newTree[kafka.TopicID, string](func(a, b kafka.TopicID) int { return bytes.Compare(a[:], b[:]) }),
		collisions: newTree[string, []string](strings.Compare),
		configs:    newTree[ConfigResource, map[string]string](compareResources),
	}
}

// WithController returns the same Image under another active controller, which no record names: the quorum knows it.
func (img *Image) WithController(id kafka.NodeID) *Image {
	next := *img
	next.controller = id
	return &next
}

// ClusterID is the cluster's id.
func (img *Image) ClusterID() string { return img.clusterID }

// ControllerID is the active controller, NoNode while none is known.
func (img *Image) ControllerID() kafka.NodeID { return img.controller }

// Offset is that of the last record applied, -1 before the first.
func (img *Image) Offset() kafka.Offset { return img.offset }

// Topic finds a topic by its name.
func (img *Image) Topic(name string) (*Topic, bool) { return img.topics.find(name) }

// TopicByID finds a topic by its id.
func (img *Image) TopicByID(id kafka.TopicID) (*Topic, bool) {
	name, ok := img.names.find(id)
	if !ok {
		return nil, false
	}
	return img.topics.find(name)
}

// Topics walks the topics in the order of their names.
func (img *Image) Topics() iter.Seq[*Topic] { return values(img.topics.all()) }

// TopicsFrom walks the topics whose names are not below name, in the order of their names.
func (img *Image) TopicsFrom(name string) iter.Seq[*Topic] { return values(img.topics.from(name)) }

// TopicCount is how many topics there are.
func (img *Image) TopicCount() int { return img.topics.size }

func values[K, V any](pairs iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range pairs {
			if !yield(v) {
				return
			}
		}
	}
}

// Colliding finds a topic whose name differs from name in nothing but '.' and '_', which Kafka's metric names cannot tell
// apart.
func (img *Image) Colliding(name string) (string, bool) {
	others, _ := img.collisions.find(unify(name))
	for _, other := range others {
		if other != name {
			return other, true
		}
	}
	return "", false
}

func collides(name string) bool { return strings.ContainsAny(name, "._") }
func unify(name string) string  { return strings.ReplaceAll(name, ".", "_") }

// Partition finds one partition.
func (img *Image) Partition(tp kafka.TopicPartition) (Partition, bool) {
	t, ok := img.topics.find(tp.Topic)
	if !ok || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return Partition{}, false
	}
	return t.Partitions[tp.Partition], true
}

// Node finds a node by its id.
func (img *Image) Node(id kafka.NodeID) (*Node, bool) {
	i, ok := img.nodeIndex(id)
	if !ok {
		return nil, false
	}
	return img.nodes[i], true
}

func (img *Image) nodeIndex(id kafka.NodeID) (int, bool) {
	return slices.BinarySearchFunc(img.nodes, id, func(n *Node, id kafka.NodeID) int { return cmp.Compare(n.ID, id) })
}

// Nodes are the registered nodes, fenced ones included, sorted by id.
func (img *Image) Nodes() []*Node { return img.nodes }

// Config returns the overrides of one resource; nil when there are none.
func (img *Image) Config(scope ConfigResource) map[string]string {
	c, _ := img.configs.find(scope)
	return c
}

// Configs walks the resources that have overrides, by type and name.
func (img *Image) Configs() iter.Seq2[ConfigResource, map[string]string] { return img.configs.all() }

// Features are the finalised feature levels by name; nil while there are none.
func (img *Image) Features() map[string]int16 { return img.features }

// NextProducerID is the first producer id that no block has been given out for.
func (img *Image) NextProducerID() kafka.ProducerID { return img.nextProducer }

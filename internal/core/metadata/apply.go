package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Apply returns the Image after recs, whose last has offset last, and what differs from img. It is for records that were
// decided against exactly this Image, so that records that contradict it (a partition of a topic that does not exist)
// are a mistake of the program, and panic. Replay is for records from a disk.
func (img *Image) Apply(recs []Record, last kafka.Offset) (*Image, *Delta) {
	next, delta, err := img.Replay(recs, last)
	if err != nil {
		panic(err)
	}
	return next, delta
}

// Replay is Apply for records that were read: those that contradict the Image are an error that wraps ErrCorruptRecord.
func (img *Image) Replay(recs []Record, last kafka.Offset) (*Image, *Delta, error) {
	next := *img
	next.offset = last
	d := &draft{old: img, img: &next, topics: map[kafka.TopicID]edit{}, owner: &owner{}, configs: map[ConfigResource]bool{}}
	for _, r := range recs {
		r.apply(d)
		if d.err != nil {
			return nil, nil, d.err
		}
	}
	return &next, d.delta(), nil
}

// draft is the Image being made by one Apply. What it has copied once it may change in place until Apply returns, so that
// a thousand records about one topic copy it once.
type draft struct {
	old, img *Image
	// topics are those that this Apply touched: as they were, nil for a new one, and its own copy, nil for one it removed.
	topics     map[kafka.TopicID]edit
	owner      *owner
	configs    map[ConfigResource]bool // the maps that this Apply copied or removed
	nodesOwned bool
	features   bool
	err        error // the first contradiction
}

type edit struct{ was, now *Topic }

func (d *draft) fail(format string, args ...any) {
	d.err = fmt.Errorf("%w: after offset %d: %s", ErrCorruptRecord, d.old.offset, fmt.Sprintf(format, args...))
}

// topic returns the draft's own copy of a topic, nil when there is none.
func (d *draft) topic(id kafka.TopicID) *Topic {
	if t := d.topics[id].now; t != nil {
		return t
	}
	was, ok := d.img.TopicByID(id)
	if !ok {
		d.fail("topic id %s is not known", id)
		return nil
	}
	t := &Topic{Name: was.Name, ID: was.ID, Partitions: slices.Clone(was.Partitions)}
	d.topics[id] = edit{was, t}
	d.img.topics = d.img.topics.replace(t.Name, t, d.owner)
	return t
}

func (r *TopicRecord) apply(d *draft) {
	_, named := d.img.topics.find(r.Name)
	_, known := d.img.names.find(r.ID)
	if named || known {
		d.fail("topic %s with id %s exists", r.Name, r.ID)
		return
	}
	t := &Topic{Name: r.Name, ID: r.ID}
	d.topics[r.ID] = edit{d.topics[r.ID].was, t}
	d.img.topics = d.img.topics.set(t.Name, t)
	d.img.names = d.img.names.set(t.ID, t.Name)
	if collides(t.Name) {
		key := unify(t.Name)
		others, _ := d.img.collisions.find(key)
		d.img.collisions = d.img.collisions.set(key, append(slices.Clone(others), t.Name))
	}
}

func (r *RemoveTopicRecord) apply(d *draft) {
	t := d.topic(r.ID)
	if t == nil {
		return
	}
	d.topics[r.ID] = edit{was: d.topics[r.ID].was}
	d.img.topics = d.img.topics.remove(t.Name)
	d.img.names = d.img.names.remove(t.ID)
	if collides(t.Name) {
		d.forgetCollision(unify(t.Name), t.Name)
	}
	// Kafka too lets a topic's configuration go without a record of its own.
	scope := ConfigResource{Type: TopicConfig, Name: t.Name}
	if d.img.Config(scope) != nil {
		d.img.configs = d.img.configs.remove(scope)
		d.configs[scope] = true
	}
}

func (d *draft) forgetCollision(key, name string) {
	others, _ := d.img.collisions.find(key)
	if len(others) == 1 {
		d.img.collisions = d.img.collisions.remove(key)
		return
	}
	rest := slices.DeleteFunc(slices.Clone(others), func(o string) bool { return o == name })
	d.img.collisions = d.img.collisions.set(key, rest)
}

func (r *PartitionRecord) apply(d *draft) {
	t := d.topic(r.Topic)
	if t == nil {
		return
	}
	p := Partition{
		Leader: r.Leader, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch,
		Replicas: r.Replicas, ISR: r.ISR, AddingReplicas: r.Adding, RemovingReplicas: r.Removing,
		ELR: r.ELR, LastKnownELR: r.LastKnownELR, Directories: r.Directories, LeaderRecoveryState: r.LeaderRecoveryState,
	}
	switch n := int(r.Partition); {
	case n == len(t.Partitions):
		t.Partitions = append(t.Partitions, p)
	case n >= 0 && n < len(t.Partitions):
		t.Partitions[n] = p
	default:
		d.fail("partition %d of %s follows none, there are %d", n, t.Name, len(t.Partitions))
	}
}

func (r *PartitionChangeRecord) apply(d *draft) {
	t := d.topic(r.Topic)
	if t == nil {
		return
	}
	if r.Partition < 0 || int(r.Partition) >= len(t.Partitions) {
		d.fail("partition %d of %s is not known, there are %d", r.Partition, t.Name, len(t.Partitions))
		return
	}
	p := &t.Partitions[r.Partition]
	replace(&p.ISR, r.ISR)
	replace(&p.Replicas, r.Replicas)
	replace(&p.RemovingReplicas, r.Removing)
	replace(&p.AddingReplicas, r.Adding)
	replace(&p.ELR, r.ELR)
	replace(&p.LastKnownELR, r.LastKnownELR)
	replace(&p.Directories, r.Directories)
	if r.LeaderRecoveryState != -1 {
		p.LeaderRecoveryState = r.LeaderRecoveryState
	}
	// A record that names the leader, even the same one, begins a new leader epoch.
	if r.Leader != LeaderUnchanged {
		p.Leader = r.Leader
		p.LeaderEpoch++
	}
	p.PartitionEpoch++
}

func replace[T any](field *[]T, value []T) {
	if value != nil {
		*field = value
	}
}

func (r *ConfigRecord) apply(d *draft) {
	c := d.img.Config(r.Resource)
	if !d.configs[r.Resource] || c == nil {
		c = maps.Clone(c)
		if c == nil {
			c = map[string]string{}
		}
		d.configs[r.Resource] = true
		d.img.configs = d.img.configs.set(r.Resource, c)
	}
	if r.Value != nil {
		c[r.Name] = *r.Value
		return
	}
	delete(c, r.Name)
	if len(c) == 0 {
		d.img.configs = d.img.configs.remove(r.Resource)
	}
}

func (r *FeatureLevelRecord) apply(d *draft) {
	if !d.features {
		d.features = true
		d.img.features = maps.Clone(d.img.features)
		if d.img.features == nil {
			d.img.features = map[string]int16{}
		}
	}
	d.img.features[r.Name] = r.Level
	if r.Level == 0 {
		delete(d.img.features, r.Name)
	}
}

func (r *ProducerIDsRecord) apply(d *draft) { d.img.nextProducer = r.Next }

func (*NoOpRecord) apply(*draft) {}

func (r *RegisterBrokerRecord) apply(d *draft) {
	d.setNode(&Node{
		ID: r.Node, Epoch: r.Epoch, Incarnation: r.Incarnation, Rack: r.Rack, Listeners: r.Listeners, Features: r.Features,
		Fenced: r.Fenced, InControlledShutdown: r.InControlledShutdown, LogDirs: r.LogDirs,
	})
}

func (r *UnregisterBrokerRecord) apply(d *draft) {
	if _, ok := d.node(r.Node, r.Epoch); !ok {
		return
	}
	d.ownNodes()
	i, _ := d.img.nodeIndex(r.Node)
	d.img.nodes = slices.Delete(d.img.nodes, i, i+1)
}

func (r *FenceBrokerRecord) apply(d *draft) {
	if n, ok := d.node(r.Node, r.Epoch); ok {
		n.Fenced = true
		d.setNode(&n)
	}
}

func (r *UnfenceBrokerRecord) apply(d *draft) {
	if n, ok := d.node(r.Node, r.Epoch); ok {
		n.Fenced = false
		d.setNode(&n)
	}
}

func (r *BrokerRegistrationChangeRecord) apply(d *draft) {
	n, ok := d.node(r.Node, r.Epoch)
	if !ok {
		return
	}
	if r.Fenced != 0 {
		n.Fenced = r.Fenced > 0
	}
	if r.InControlledShutdown != 0 {
		n.InControlledShutdown = r.InControlledShutdown > 0
	}
	replace(&n.LogDirs, r.LogDirs)
	d.setNode(&n)
}

// node returns a copy of the incarnation that a record names.
func (d *draft) node(id kafka.NodeID, epoch int64) (Node, bool) {
	n, ok := d.img.Node(id)
	if !ok || n.Epoch != epoch {
		d.fail("node %d at epoch %d is not registered", id, epoch)
		return Node{}, false
	}
	return *n, true
}

func (d *draft) setNode(n *Node) {
	d.ownNodes()
	i, ok := d.img.nodeIndex(n.ID)
	if !ok {
		d.img.nodes = slices.Insert(d.img.nodes, i, n)
		return
	}
	d.img.nodes[i] = n
}

func (d *draft) ownNodes() {
	if !d.nodesOwned {
		d.nodesOwned = true
		d.img.nodes = slices.Clone(d.img.nodes)
	}
}

// delta compares what the draft copied with the Image that it began from.
func (d *draft) delta() *Delta {
	out := &Delta{}
	for _, t := range d.topics {
		switch {
		case t.now == nil && t.was != nil:
			out.TopicsDeleted = append(out.TopicsDeleted, t.was)
		case t.now != nil && t.was == nil:
			out.TopicsCreated = append(out.TopicsCreated, t.now)
			out.comparePartitions(&Topic{}, t.now)
		case t.now != nil:
			out.comparePartitions(t.was, t.now)
		}
	}
	byName := func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(out.TopicsCreated, byName)
	slices.SortFunc(out.TopicsDeleted, byName)
	slices.SortFunc(out.PartitionsChanged, func(a, b kafka.TopicPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	for r := range d.configs {
		if !maps.Equal(d.old.Config(r), d.img.Config(r)) {
			out.ConfigsChanged = append(out.ConfigsChanged, r)
		}
	}
	slices.SortFunc(out.ConfigsChanged, compareResources)
	if d.nodesOwned {
		out.compareNodes(d.old, d.img)
	}
	if d.features {
		out.compareFeatures(d.old, d.img)
	}
	return out
}

// Records states the whole Image as the records of a snapshot, in an order in which they can be applied to an empty one.
func (img *Image) Records() []Record {
	var recs []Record
	for _, name := range slices.Sorted(maps.Keys(img.features)) {
		recs = append(recs, &FeatureLevelRecord{Name: name, Level: img.features[name]})
	}
	for _, n := range img.nodes {
		recs = append(recs, &RegisterBrokerRecord{
			Node: n.ID, Incarnation: n.Incarnation, Epoch: n.Epoch, Listeners: n.Listeners, Features: n.Features, Rack: n.Rack,
			Fenced: n.Fenced, InControlledShutdown: n.InControlledShutdown, LogDirs: n.LogDirs,
		})
	}
	for _, t := range img.topics.all() {
		recs = append(recs, &TopicRecord{Name: t.Name, ID: t.ID})
		for i := range t.Partitions {
			recs = append(recs, t.Partitions[i].record(t.ID, int32(i)))
		}
	}
	for resource, c := range img.configs.all() {
		for _, name := range slices.Sorted(maps.Keys(c)) {
			value := c[name]
			recs = append(recs, &ConfigRecord{Resource: resource, Name: name, Value: &value})
		}
	}
	if img.nextProducer > 0 {
		recs = append(recs, &ProducerIDsRecord{Node: kafka.NoNode, NodeEpoch: -1, Next: img.nextProducer})
	}
	return recs
}

func (p *Partition) record(topic kafka.TopicID, n int32) *PartitionRecord {
	return &PartitionRecord{
		Partition: n, Topic: topic, Replicas: p.Replicas, ISR: p.ISR, Removing: p.RemovingReplicas, Adding: p.AddingReplicas,
		Leader: p.Leader, LeaderRecoveryState: p.LeaderRecoveryState, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
		Directories: p.Directories, ELR: p.ELR, LastKnownELR: p.LastKnownELR,
	}
}

package metadata

import (
	"maps"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Delta says what differs between two Images. Every slice is sorted. Whoever acts on one deletes first: a name may be in
// TopicsDeleted and in TopicsCreated when a topic was replaced by another of its name.
type Delta struct {
	TopicsCreated []*Topic // as they are in the new Image
	TopicsDeleted []*Topic // as they were in the old Image
	// PartitionsChanged are the partitions that are new or differ, those of TopicsCreated included.
	PartitionsChanged []kafka.TopicPartition
	// ConfigsChanged are the resources whose overrides differ, those of TopicsDeleted included.
	ConfigsChanged    []ConfigResource
	NodesChanged      []kafka.NodeID // registered, changed or gone
	FeaturesChanged   []string
	ControllerChanged bool
}

// Empty tells whether the Images differ in nothing but the offset.
func (d *Delta) Empty() bool {
	return len(d.TopicsCreated)+len(d.TopicsDeleted)+len(d.PartitionsChanged)+len(d.ConfigsChanged)+
		len(d.NodesChanged)+len(d.FeaturesChanged) == 0 && !d.ControllerChanged
}

// Since says what differs between an older Image and this one. It walks both, so that its cost is that of the whole; the
// quorum uses it where the records in between are not at hand: at start and after a snapshot was received.
func (img *Image) Since(old *Image) *Delta {
	d := &Delta{ControllerChanged: img.controller != old.controller}
	for t := range img.Topics() {
		was, ok := old.TopicByID(t.ID)
		if !ok {
			d.TopicsCreated = append(d.TopicsCreated, t)
			was = &Topic{}
		}
		if was == t {
			continue
		}
		d.comparePartitions(was, t)
	}
	for t := range old.Topics() {
		if _, ok := img.TopicByID(t.ID); !ok {
			d.TopicsDeleted = append(d.TopicsDeleted, t)
		}
	}
	d.compareConfigs(old, img)
	d.compareNodes(old, img)
	d.compareFeatures(old, img)
	return d
}

func (d *Delta) comparePartitions(old, now *Topic) {
	for i, p := range now.Partitions {
		if i >= len(old.Partitions) || !p.Equal(&old.Partitions[i]) {
			d.PartitionsChanged = append(d.PartitionsChanged, kafka.TopicPartition{Topic: now.Name, Partition: int32(i)})
		}
	}
}

func (d *Delta) compareConfigs(old, now *Image) {
	changed := newTree[ConfigResource, struct{}](compareResources)
	for r, c := range now.Configs() {
		if !maps.Equal(c, old.Config(r)) {
			changed = changed.set(r, struct{}{})
		}
	}
	for r := range old.Configs() {
		if now.Config(r) == nil {
			changed = changed.set(r, struct{}{})
		}
	}
	for r := range changed.all() {
		d.ConfigsChanged = append(d.ConfigsChanged, r)
	}
}

func (d *Delta) compareNodes(old, now *Image) {
	for _, n := range now.nodes {
		if was, ok := old.Node(n.ID); !ok || !n.Equal(was) {
			d.NodesChanged = append(d.NodesChanged, n.ID)
		}
	}
	for _, n := range old.nodes {
		if _, ok := now.Node(n.ID); !ok {
			d.NodesChanged = append(d.NodesChanged, n.ID)
		}
	}
	slices.Sort(d.NodesChanged)
}

func (d *Delta) compareFeatures(old, now *Image) {
	for name, level := range now.features {
		if old.features[name] != level {
			d.FeaturesChanged = append(d.FeaturesChanged, name)
		}
	}
	for name := range old.features {
		if _, ok := now.features[name]; !ok {
			d.FeaturesChanged = append(d.FeaturesChanged, name)
		}
	}
	slices.Sort(d.FeaturesChanged)
}

// Equal tells whether both say the same; empty and missing lists are the same.
func (p *Partition) Equal(o *Partition) bool {
	return p.Leader == o.Leader && p.LeaderEpoch == o.LeaderEpoch && p.PartitionEpoch == o.PartitionEpoch &&
		p.LeaderRecoveryState == o.LeaderRecoveryState &&
		slices.Equal(p.Replicas, o.Replicas) && slices.Equal(p.ISR, o.ISR) &&
		slices.Equal(p.AddingReplicas, o.AddingReplicas) && slices.Equal(p.RemovingReplicas, o.RemovingReplicas) &&
		slices.Equal(p.ELR, o.ELR) && slices.Equal(p.LastKnownELR, o.LastKnownELR) &&
		slices.Equal(p.Directories, o.Directories)
}

// Equal tells whether both say the same.
func (n *Node) Equal(o *Node) bool {
	return n.ID == o.ID && n.Epoch == o.Epoch && n.Incarnation == o.Incarnation && n.Fenced == o.Fenced &&
		n.InControlledShutdown == o.InControlledShutdown && equalRacks(n.Rack, o.Rack) &&
		slices.Equal(n.Listeners, o.Listeners) && slices.Equal(n.Features, o.Features) && slices.Equal(n.LogDirs, o.LogDirs)
}

func equalRacks(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Equal tells whether both Images say the same at the same offset.
func (img *Image) Equal(o *Image) bool {
	return img.clusterID == o.clusterID && img.offset == o.offset && img.nextProducer == o.nextProducer &&
		img.Since(o).Empty()
}

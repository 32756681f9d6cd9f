package groups

import (
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/metadata"
)

// topics is an Image as groups see it whose partitions the coordinator assigns. It never changes.
type topics struct {
	img     *metadata.Image
	version uint64
	created int64 // the Image's offset when a topic was last made
}

// Publish takes in a change of the metadata.
func (g *Groups) Publish(delta *metadata.Delta, img *metadata.Image) {
	old := g.topics.Load()
	now := &topics{img: img, version: old.version, created: old.created}
	if len(delta.TopicsCreated) > 0 {
		now.created = int64(img.Offset())
	}
	if len(delta.TopicsCreated)+len(delta.TopicsDeleted)+len(delta.NodesChanged) > 0 || old.placedOtherwise(delta, img) {
		now.version++
	}
	g.topics.Store(now)
}

// placedOtherwise tells whether partitions are new or on other nodes. Who leads them, and who is in sync, is nothing to
// groups, and changes often.
func (t *topics) placedOtherwise(delta *metadata.Delta, img *metadata.Image) bool {
	return slices.ContainsFunc(delta.PartitionsChanged, func(tp kafka.TopicPartition) bool {
		was, ok := t.img.Partition(tp)
		is, _ := img.Partition(tp)
		return !ok || !slices.Equal(was.Replicas, is.Replicas)
	})
}

// do works beside the partition's own goroutine.
func (g *Groups) do(task machine.Task, tell func(machine.Event)) {
	g.tasks.Go(func() {
		switch task := task.(type) {
		case group.ResolveRegexes:
			g.resolve(task, tell)
		case group.InitializeShares:
			g.initializeShares(g.ctx, task, tell)
		case group.DeleteShares:
			g.deleteShares(g.ctx, task, tell)
		case group.CreateInternalTopics:
			g.createInternalTopics(g.ctx, task, tell)
		}
	})
}

// resolve looks at every topic.
func (g *Groups) resolve(task group.ResolveRegexes, tell func(machine.Event)) {
	t := g.topics.Load()
	var names []string
	for topic := range t.img.Topics() {
		names = append(names, topic.Name)
	}
	tell(group.Resolved{Group: task.Group, Found: consumer.Resolve(task.Regexes, names, t.created, time.Now().UnixMilli())})
}

func (t *topics) Version() uint64 { return t.version }
func (t *topics) Created() int64  { return t.created }

func (t *topics) ID(name string) (kafka.TopicID, bool) {
	topic, ok := t.img.Topic(name)
	if !ok {
		return kafka.TopicID{}, false
	}
	return topic.ID, true
}

func (t *topics) Name(id kafka.TopicID) (string, bool) {
	topic, ok := t.img.TopicByID(id)
	if !ok {
		return "", false
	}
	return topic.Name, true
}

func (t *topics) Partitions(id kafka.TopicID) int32 {
	if topic, ok := t.img.TopicByID(id); ok {
		return int32(len(topic.Partitions))
	}
	return 0
}

// Racks are those of the nodes that the partition's replicas are on.
func (t *topics) Racks(id kafka.TopicID, partition int32) []string {
	topic, ok := t.img.TopicByID(id)
	if !ok || int(partition) >= len(topic.Partitions) {
		return nil
	}
	var racks []string
	for _, replica := range topic.Partitions[partition].Replicas {
		if n, ok := t.img.Node(replica); ok && n.Rack != nil {
			racks = append(racks, *n.Rack)
		}
	}
	return racks
}

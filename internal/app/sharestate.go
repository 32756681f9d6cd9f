package app

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/share/state"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/node/sharestate"
)

// newShareState makes the share coordinator. As with groups, the topic that exists decides how state is spread.
func (n *Node) newShareState(img *metadata.Image) *sharestate.Coordinator {
	c := n.Config.ShareCoordinator
	partitions := c.Partitions
	if t, ok := img.Topic(kafka.ShareTopic); ok {
		partitions = int32(len(t.Partitions))
	}
	return sharestate.New(sharestate.Config{
		Node: n.Config.ID, Partitions: partitions,
		State:        state.Config{UpdatesPerSnapshot: c.UpdatesPerSnapshot, ColdSnapshotInterval: c.ColdSnapshotInterval, PruneInterval: c.PruneInterval},
		WriteTimeout: c.WriteTimeout,
		Image:        n.image.Load,
		Request:      n.askNode,
		CreateTopic:  func(ctx context.Context) error { return n.createInternalTopic(ctx, kafka.ShareTopic) },
		Prune:        n.pruneShareState,
		Rand:         n.rand(),
		Log:          n.Log.With("component", "share"),
	})
}

// askNode asks another node, on the connection that all requests to it share.
func (n *Node) askNode(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error) {
	if n.link == nil {
		return nil, link.ErrClosed
	}
	return n.link.Request(ctx, to, req)
}

func (n *Node) pruneShareState(partition int32, below kafka.Offset) error {
	p, err := n.set.Get(kafka.TopicPartition{Topic: kafka.ShareTopic, Partition: partition})
	if err != nil {
		return err
	}
	_, err = p.DeleteBefore(below)
	return err
}

package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
)

// features are the levels that the cluster is begun with, and that all nodes support.
var features = map[string]int16{"metadata.version": 30, "eligible.leader.replicas.version": 1}

// build makes the nodes, starts them and asks for the topic.
func (w *world) build() {
	w.links = newLinks(w.Nodes)
	w.meta.leaders = map[uint64]int{}
	w.controller = controller.New(controller.Config{Rules: rules{}, Features: features})
	conf := &raftpb.ConfState{}
	for i := range w.Nodes {
		conf.Voters = append(conf.Voters, raftID(kafka.NodeID(i+1)))
	}
	for i := range w.Nodes {
		n := &node{w: w, index: i, id: kafka.NodeID(i + 1)}
		n.disk.raft.conf = conf
		n.disk.logs = map[int32]*log{}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		n.start()
	}
	w.createTopic()
}

// node finds a node by its id; they count from 1.
func (w *world) node(id kafka.NodeID) *node { return w.nodes[id-1] }

// createTopic asks until there is one.
func (w *world) createTopic() {
	w.after(100*time.Millisecond, func() {
		if len(w.meta.images) > 0 {
			img := w.meta.image(len(w.meta.images))
			if _, ok := img.Topic(topic); ok {
				return
			}
			if len(img.Nodes()) == w.Nodes {
				w.askForTopic()
			}
		}
		w.createTopic()
	})
}

func (w *world) askForTopic() {
	n := w.some()
	if !n.up || n.paused {
		return
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, int32(w.Partitions), int16(w.Nodes)
	req.Topics = append(req.Topics, t)
	n.ask(req, func(any, error) {})
}

// settled tells whether a healed cluster has come to rest: every partition is led and wholly in sync, and all have all of it.
func (w *world) settled() bool { return w.unsettled() == "" }

// unsettled says what is not at rest; nothing when all is.
func (w *world) unsettled() string {
	for p := range int32(w.Partitions) {
		first := w.nodes[0].replicas[p]
		for _, n := range w.nodes {
			r := n.replicas[p]
			switch {
			case r == nil || first == nil:
				return fmt.Sprintf("node %d does not host partition %d", n.id, p)
			case r.given.Leader == kafka.NoNode || len(r.given.ISR) < w.Nodes:
				return fmt.Sprintf("partition %d: %+v", p, r.given)
			case r.watermark != first.watermark || r.watermark != r.log.end() || r.log.flushed != r.log.end():
				return fmt.Sprintf("partition %d on node %d: watermark %d, flushed %d, end %d", p, n.id, r.watermark, r.log.flushed, r.log.end())
			}
		}
	}
	return ""
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

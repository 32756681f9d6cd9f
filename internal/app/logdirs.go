package app

import (
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/api"
)

// dirFailed has other nodes lead what is in a log dir that failed. It is called by who found out, and does not wait. A node that is
// left with none ends, if there are others: it would only be in their way. One that is alone stays, for what can still be read.
func (n *Node) dirFailed(path string, cause error) {
	if n.anyDir() {
		n.guard.dirFailed()
		return
	}
	if len(n.image.Load().Nodes()) > 1 {
		n.fail(fmt.Errorf("no log dir is left: repair %s and start the node again: %w", path, cause))
	}
}

// anyDir tells whether a log dir for partitions is online.
func (n *Node) anyDir() bool {
	for _, d := range n.dirs {
		if d.Offline() == nil {
			return true
		}
	}
	return false
}

// offlineDirs are the log dirs that failed since they were opened, as heartbeats tell of them.
func (n *Node) offlineDirs() (ids [][16]byte) {
	if !n.anyDir() {
		return nil
	}
	for _, d := range n.dirs {
		if id := d.Meta().DirectoryID; d.Offline() != nil && !id.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

// onlineDirs are the log dirs that this node is registered with. That there are others, which are offline, is told by LostDir: the
// replicas that are there are not gone for good.
func (n *Node) onlineDirs() (ids [][16]byte) {
	offline := false
	for _, d := range n.dirs {
		if d.Offline() != nil {
			offline = true
			continue
		}
		ids = append(ids, d.Meta().DirectoryID)
	}
	if offline {
		ids = append(ids, metadata.LostDir)
	}
	return ids
}

// describeLogDirs lists the log dirs of this node with the partitions that are wanted.
func (n *Node) describeLogDirs(wanted func(kafka.TopicPartition) bool) []api.LogDir {
	var all []api.LogDir
	at := map[string]int{}
	for i, d := range n.dirs {
		path, err := filepath.Abs(d.Path())
		if err != nil {
			path = d.Path()
		}
		ld := api.LogDir{Path: path, Offline: d.Offline(), Total: -1, Free: -1}
		if total, free, err := d.Usage(); err == nil {
			ld.Total, ld.Free = total, free
		}
		at[d.Path()] = i
		all = append(all, ld)
	}
	for _, p := range n.set.All() {
		if !wanted(p.Name()) {
			continue
		}
		dir, size, err := p.Disk()
		if err != nil {
			continue // its dir is offline, which is told of the dir
		}
		ld := &all[at[dir]]
		ld.Partitions = append(ld.Partitions, api.LogDirPartition{Partition: p.Name(), Size: size})
		if f, moves := p.Future(); moves {
			ld := &all[at[f.Dir]]
			ld.Partitions = append(ld.Partitions, api.LogDirPartition{Partition: p.Name(), Size: f.Size, Lag: f.Lag, Future: true})
		}
	}
	return all
}

// moveReplica has a partition move to another log dir of this node.
func (n *Node) moveReplica(tp kafka.TopicPartition, path string) error {
	if controller.Cordoned(n.image.Load(), n.Config.ID) && n.set.Online(path) {
		return fmt.Errorf("%s is cordoned, as all log dirs of this node are: %w", path, kerr.InvalidReplicaAssignment)
	}
	return n.set.MoveTo(tp, path)
}

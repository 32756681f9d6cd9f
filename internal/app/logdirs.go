package app

import (
	"fmt"

	"github.com/headrace/headrace/internal/core/metadata"
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

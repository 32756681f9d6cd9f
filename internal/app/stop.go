package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/link"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// Close has others lead what this node leads, drains the connections, flushes, and marks the stop as clean. It stops what
// Start has come to, in reverse; only the quorum ends before the connections of a node that is one of several: the others
// elect the next leader over them.
func (n *Node) Close(now time.Time) error {
	if n.admin != nil {
		n.admin.Stopping()
	}
	var all error
	for _, l := range slices.Concat(n.listeners, n.controllers) {
		all = errors.Join(all, l.Close())
	}
	n.handOver()
	n.guard.close()
	if n.clocks != nil {
		n.clocks.close()
	}
	several := n.quorum != nil && len(n.quorum.Image().Nodes()) > 1
	if several {
		all = errors.Join(all, n.quorum.Close())
	}
	if server := n.server.Load(); server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		server.Shutdown(ctx)
		cancel()
	}
	if n.watch != nil {
		n.watch.Close()
	}
	if n.shares != nil {
		n.shares.Close()
	}
	if n.groups != nil {
		n.groups.Close()
	}
	n.closeTxns()
	if n.shareState != nil {
		n.shareState.Close()
	}
	if n.replicas != nil {
		n.replicas.Close()
	}
	if n.quorum != nil && !several {
		all = errors.Join(all, n.quorum.Close())
	}
	for _, l := range []*link.Pool{n.link, n.probes} {
		if l != nil {
			l.Close()
		}
	}
	if n.log != nil {
		all = errors.Join(all, n.home.CloseLog(now, n.log, n.log.Flushed()))
	}
	return errors.Join(all, n.closeDirs(now), n.retire())
}

// handOver asks the controller to have others lead what this node leads, and waits a while.
func (n *Node) handOver() {
	w := n.guard.started()
	if w == nil || !n.Config.Cluster.ControlledShutdown {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := w.Shutdown(ctx); err != nil {
		n.Log.Warn("stopping while this node may still lead partitions", "err", err)
	}
}

func (n *Node) closeDirs(now time.Time) (all error) {
	if n.set != nil {
		all = n.set.Close(now, n.epoch.Load())
	} else {
		all = logdir.CloseAll(n.dirs)
	}
	if n.home != nil && !slices.Contains(n.dirs, n.home) {
		all = errors.Join(all, n.home.CloseClean(now, n.epoch.Load(), func(kafka.TopicPartition) kafka.Offset { return 0 }))
	}
	return all
}

package liveness

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	// probeTime bounds one probe; a machine that does not answer in it is left to its session.
	probeTime = time.Second
	// probePause lies between two probes of a node that answers: connections break for other reasons than the end of a process.
	probePause = 100 * time.Millisecond
)

// suspect probes a node whose connection broke, if it matters here: the active controller looks after all, the others after
// the controller. w.mu is held. One probe of a node runs at a time; what happens to it meanwhile is covered by it, since a
// probe makes a connection of its own after this.
func (w *Watch) suspect(id kafka.NodeID) {
	img := w.cfg.Image()
	n, ok := img.Node(id)
	if !ok || id == w.cfg.Self || w.probing[id] || w.ctx.Err() != nil {
		return
	}
	if !w.leads && img.ControllerID() != id || w.leads && n.Fenced {
		return
	}
	w.probing[id] = true
	w.all.Go(func() { w.probe(n) })
}

func (w *Watch) probe(n *metadata.Node) {
	ctx, cancel := context.WithTimeout(w.ctx, probeTime)
	defer cancel()
	alive, err := w.cfg.Probe(ctx, n.ID, n.Incarnation)
	dead := err == nil && !alive
	if !dead {
		pause(w.ctx, probePause)
	}
	w.mu.Lock()
	delete(w.probing, n.ID)
	leads := w.leads
	if dead && leads {
		w.gone = append(w.gone, n)
	}
	w.mu.Unlock()
	switch {
	case !dead:
	case leads:
		w.cfg.Log.Warn("a node's process is gone", "node", n.ID)
		wake(w.look)
	default:
		w.cfg.Log.Warn("the process of the active controller is gone", "node", n.ID)
		w.cfg.LeaderLost(n.ID)
	}
}

// pause waits, and tells whether it waited to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

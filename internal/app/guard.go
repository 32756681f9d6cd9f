package app

import (
	"sync"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/liveness"
)

// guard passes on what the quorum and the links notice to the Watch of the nodes' lives, which begins when this node is
// registered.
type guard struct {
	mu    sync.Mutex
	watch *liveness.Watch // nil before
	leads bool
}

// begin starts the Watch with what is known by now.
func (g *guard) begin(c liveness.Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, err := liveness.Start(c)
	if err != nil {
		return err
	}
	w.Changed(c.Image())
	if g.leads {
		w.Led(true)
	}
	g.watch = w
	return nil
}

func (g *guard) started() *liveness.Watch {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.watch
}

func (g *guard) led(leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leads = leads
	if g.watch != nil {
		g.watch.Led(leads)
	}
}

func (g *guard) heard(id kafka.NodeID) {
	if w := g.started(); w != nil {
		w.Heard(id)
	}
}

func (g *guard) suspect(id kafka.NodeID) {
	if w := g.started(); w != nil {
		w.Suspect(id)
	}
}

func (g *guard) dirFailed() {
	if w := g.started(); w != nil {
		w.DirFailed()
	}
}

func (g *guard) lapsed() bool {
	w := g.started()
	return w != nil && w.Lapsed()
}

func (g *guard) changed(img *metadata.Image) {
	if w := g.started(); w != nil {
		w.Changed(img)
	}
}

func (g *guard) close() {
	if w := g.started(); w != nil {
		w.Close()
	}
}

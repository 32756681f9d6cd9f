package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

const (
	// clockTolerance is how far the clocks of two nodes may be apart before it is worth a warning: retention, timestamps of records,
	// the age of transactions and of offsets go by the clock of whoever leads.
	clockTolerance = 5 * time.Second
	// clocksEvery is how often nodes ask one another for the time.
	clocksEvery = time.Minute
)

// clocks knows which nodes' clocks are far from this one's. Its goroutine, from watch to close, asks them for the time now and then.
type clocks struct {
	log  *slog.Logger
	end  context.CancelFunc // nil before watch
	work sync.WaitGroup

	mu  sync.Mutex
	far map[kafka.NodeID]bool
}

// compared takes by how much a node's clock is ahead, give or take within, and tells the operator when that becomes too much, and when
// it is over. Whose clock is wrong cannot be told from two.
func (c *clocks) compared(node kafka.NodeID, ahead, within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	far := ahead.Abs() > clockTolerance+within
	if far == c.far[node] {
		return
	}
	if c.far == nil {
		c.far = map[kafka.NodeID]bool{}
	}
	c.far[node] = far
	if far {
		c.log.Warn("the clocks of two nodes are far apart: set the wrong one, and have it follow a time server (NTP)",
			"other_node", int32(node), "ahead_of_this_node", ahead.Round(time.Millisecond).String())
	} else {
		c.log.Info("the clocks of two nodes agree again", "other_node", int32(node))
	}
}

// watch begins to ask: link compares what is answered.
func (c *clocks) watch(n *Node) {
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	c.work.Go(func() {
		t := time.NewTicker(clocksEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				n.askTime(ctx)
			case <-ctx.Done():
				return
			}
		}
	})
}

func (c *clocks) close() {
	if c.end != nil {
		c.end()
		c.work.Wait()
	}
}

func (n *Node) askTime(ctx context.Context) {
	for _, other := range n.image.Load().Nodes() {
		if at, ok := n.peers.resolve(other.ID); ok && other.ID != n.Config.ID && other.Active() {
			_, _ = n.link.Hello(ctx, at) // whether it answers is the quorum's to notice
		}
	}
}

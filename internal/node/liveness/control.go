package liveness

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// control is the goroutine of the active controller's part: it fences who is silent or gone, gives leaders back, elects
// unclean ones where that is allowed, and has internal topics get their replicas. While another node is the controller, or there is none to watch, it sleeps.
func (w *Watch) control() {
	var timer *time.Timer
	balance, unclean, grow := newChore(w.cfg.Balance), newChore(w.cfg.Unclean), newChore(growEvery)
	for {
		var due <-chan time.Time
		if w.watches() {
			timer = time.NewTimer(w.untilLook())
			due = timer.C
		}
		select {
		case <-due:
		case <-w.look:
		case <-w.ctx.Done():
			return
		}
		if timer != nil {
			timer.Stop()
		}
		if !w.watches() {
			continue
		}
		w.fenceSilent()
		balance.run(func() (more bool) {
			r, _ := w.submit("give leaders back", controller.BalanceLeaders{}).(controller.BalancedLeaders)
			return r.More
		})
		unclean.run(func() (more bool) {
			r, _ := w.submit("elect unclean leaders", controller.ElectUnclean{}).(controller.ElectedUnclean)
			return r.More
		})
		grow.run(func() (more bool) {
			r, _ := w.submit("give internal topics more replicas", controller.GrowInternalTopics{}).(controller.GrownInternalTopics)
			if r.Begun > 0 {
				w.cfg.Log.Info("internal topics get the replicas that there were no nodes for", "partitions", r.Begun)
			}
			return false // those that were begun are copied first
		})
	}
}

// growEvery is how often the active controller looks whether there are nodes for more replicas of internal topics.
const growEvery = 10 * time.Second

// chore is what the active controller does from time to time; where one request did not do all of it, at the next look again.
type chore struct {
	every time.Duration // 0: never
	due   time.Time
}

func newChore(every time.Duration) chore { return chore{every, time.Now().Add(every)} }

func (c *chore) run(do func() (more bool)) {
	now := time.Now()
	if c.every > 0 && !now.Before(c.due) && !do() {
		c.due = now.Add(c.every)
	}
}

// untilLook is the time until the next look: that of a heartbeat, or less if a session is over before. What a look found and could
// not change waits for the next.
func (w *Watch) untilLook() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if end := w.sessions.nextEnd(now); !end.IsZero() {
		return min(w.cfg.Heartbeat, end.Sub(now))
	}
	return w.cfg.Heartbeat
}

// watches tells whether this node is the active controller of several.
func (w *Watch) watches() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leads && w.several
}

// fenceSilent fences the nodes whose session is over, and those that a probe found gone.
func (w *Watch) fenceSilent() {
	img := w.cfg.Image()
	others := w.others(img)
	now := time.Now()
	w.mu.Lock()
	w.sessions.keep(now, others)
	silent := w.sessions.due(now)
	gone := w.gone
	w.gone = nil
	w.mu.Unlock()
	for _, was := range gone {
		if n, ok := img.Node(was.ID); ok && n.Incarnation == was.Incarnation { // else the next process is there
			w.fence(n, "its process is gone")
		}
	}
	slices.Sort(silent)
	for _, id := range silent {
		if n, ok := img.Node(id); ok {
			w.fence(n, "its session is over")
		}
	}
}

func (w *Watch) fence(n *metadata.Node, why string) {
	if n.Fenced {
		return
	}
	w.cfg.Log.Warn("node fenced", "node", n.ID, "why", why)
	w.submit("fence node", controller.FenceNode{ID: n.ID, Epoch: n.Epoch, Fenced: true})
}

// submit asks this node's own controller, and answers nil where that failed: it is tried when it is due again, by whoever leads then.
func (w *Watch) submit(doing string, req any) any {
	ctx, cancel := context.WithTimeout(w.ctx, w.cfg.Session)
	defer cancel()
	reply, err := w.cfg.Submit(ctx, req)
	var code *kerr.Error
	over := errors.As(err, &code) && (code == kerr.NotController || code == kerr.StaleBrokerEpoch)
	if err == nil {
		return reply
	}
	if w.ctx.Err() == nil && !over { // where the epoch is stale the node has come back as another incarnation
		w.cfg.Log.Warn("the controller's work on nodes is put off", "doing", doing, "err", err)
	}
	return nil
}

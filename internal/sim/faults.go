package sim

import (
	"time"

	"github.com/headrace/headrace/internal/core/controller"
)

// A run has a temper: which faults come, and how often, so that some runs are calm in one respect and wild in another.

// faults plans what goes wrong.
func (w *world) faults() {
	kinds := []func(){w.crashSome, w.powerCut, w.pauseSome, w.cutSome, w.oneWay, w.badNetwork, w.slowDisk, w.jumpClock, w.powerCutAll, w.stopSome, w.balance}
	var chosen []func()
	for _, k := range kinds {
		if w.chance(2) {
			chosen = append(chosen, k)
		}
	}
	if len(chosen) == 0 {
		return
	}
	pace := time.Duration(200+w.rng.IntN(3000)) * time.Millisecond
	w.every(pace, func() {
		if w.now < w.Duration {
			chosen[w.rng.IntN(len(chosen))]()
		}
	})
}

func (w *world) some() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }

// crashSome kills a process; the operating system lives on. It is started again, at once or much later.
func (w *world) crashSome() { w.crashFor(w.some(), false) }

func (w *world) powerCut() { w.crashFor(w.some(), true) }

func (w *world) powerCutAll() {
	for _, n := range w.nodes {
		w.crashFor(n, true)
	}
}

func (w *world) crashFor(n *node, power bool) {
	if !n.up {
		return
	}
	n.crash(power)
	down := w.around(300 * time.Millisecond)
	if w.chance(3) {
		down = w.around(6 * time.Second)
	}
	w.after(down, func() {
		if !n.up {
			n.start()
		}
	})
}

// betray may end a leader whose in-sync replicas just became more.
func (w *world) betray(leader *node) {
	if w.betrays && w.now < w.Duration && w.chance(2) {
		w.after(w.around(fetchTime), func() { w.crashFor(leader, w.chance(2)) })
	}
}

// stopSome lets a process hand over what it leads, and end.
func (w *world) stopSome() {
	if n := w.some(); n.up {
		n.stopping = true
	}
}

// balance has the controller give partitions back to their preferred leaders.
func (w *world) balance() {
	for _, n := range w.nodes {
		if n.up && !n.paused && n.member.control != nil {
			n.member.input(func() {
				if c := n.member.control; c != nil {
					c.ask(controller.BalanceLeaders{}, func(any, error) {})
				}
			})
		}
	}
}

func (w *world) pauseSome() {
	n := w.some()
	n.pause()
	w.after(w.around(3*time.Second), n.resume)
}

// cutSome separates one node from all, or each from one other (a ring of majorities).
func (w *world) cutSome() {
	w.result.Cuts++
	one := w.rng.IntN(len(w.nodes))
	ring := len(w.nodes) > 2 && w.chance(3)
	for i := range w.nodes {
		if i != one && (!ring || i == (one+1)%len(w.nodes)) {
			w.links.cut[one][i], w.links.cut[i][one] = true, true
		}
	}
	w.tracef("node %d is cut off (ring: %v)", w.nodes[one].id, ring)
	w.mendLater()
}

func (w *world) oneWay() {
	w.result.Cuts++
	from := w.rng.IntN(len(w.nodes))
	to := (from + 1 + w.rng.IntN(len(w.nodes)-1)) % len(w.nodes)
	w.links.cut[from][to] = true
	w.tracef("nothing gets from node %d to node %d", w.nodes[from].id, w.nodes[to].id)
	w.mendLater()
}

func (w *world) mendLater() {
	w.after(w.around(4*time.Second), func() {
		for i := range w.links.cut {
			clear(w.links.cut[i])
		}
	})
}

func (w *world) badNetwork() {
	w.links.loss, w.links.twice = 2+w.rng.IntN(20), 2+w.rng.IntN(20)
	w.links.delay = time.Duration(1+w.rng.IntN(30)) * time.Millisecond
	w.tracef("messages: one of %d is lost, one of %d comes twice, delay %v", w.links.loss, w.links.twice, w.links.delay)
	w.after(w.around(2*time.Second), func() { w.links.loss, w.links.twice, w.links.delay = 0, 0, time.Millisecond })
}

func (w *world) slowDisk() {
	n := w.some()
	n.slow = true
	w.after(w.around(2*time.Second), func() { n.slow = false })
}

// jumpClock sets a node's clock, forwards or back, and lets it run fast or slowly.
func (w *world) jumpClock() {
	n := w.some()
	n.clock.set(w.now, float64(w.rng.IntN(21)-10)/100, w.around(20*time.Second)-20*time.Second)
	w.tracef("node %d: clock %+v", n.id, n.clock)
}

// heal ends all faults.
func (w *world) heal() {
	w.tracef("all is healed")
	w.links.heal()
	for _, n := range w.nodes {
		n.slow = false
		n.clock.set(w.now, 0, n.clock.skew)
		n.resume()
		if !n.up {
			n.start()
		}
	}
}

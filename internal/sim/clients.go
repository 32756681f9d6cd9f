package sim

import (
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Clients are outside of the cluster: faults of its links are not theirs. They ask whom they believe to lead, and try another
// node when that fails.

const (
	producers   = 3
	readers     = 2
	produceTime = 20 * time.Millisecond // between two records of a producer, about
)

// clients plans the load.
func (w *world) clients() {
	for range producers {
		w.every(produceTime, w.produce)
	}
	for range readers {
		rd := &reader{next: make([]kafka.Offset, w.Partitions)}
		w.every(produceTime, func() { w.read(rd) })
	}
}

// produce sends one record with a value of its own. One whose fate is not told is not sent again: it may be there or not.
func (w *world) produce() {
	if w.now > w.Duration {
		return
	}
	w.values++
	p, value := int32(w.rng.IntN(w.Partitions)), w.values
	n := w.leaderFor(p)
	w.reach(n, func() {
		r := n.replicas[p]
		if r == nil {
			return
		}
		r.produce(value, func(o kafka.Offset, err error) {
			w.after(w.around(time.Millisecond), func() {
				if err != nil {
					w.result.Failed++
					return
				}
				w.result.Acknowledged++
				w.check.acked(p, value, o)
			})
		})
	})
}

// leaderFor is the node that a client asks: mostly the one that some node says leads, sometimes any.
func (w *world) leaderFor(p int32) *node {
	told := w.some()
	if w.chance(10) || !told.up {
		return w.some()
	}
	if part, ok := told.image.Partition(partition(p)); ok && part.Leader != kafka.NoNode {
		return w.node(part.Leader)
	}
	return told
}

// reach calls do in the process of a node, unless it is down when the client's request arrives.
func (w *world) reach(n *node, do func()) {
	w.after(w.around(time.Millisecond), func() {
		if n.up {
			n.do(do)
		}
	})
}

// reader reads each partition from its start.
type reader struct{ next []kafka.Offset }

func (w *world) read(rd *reader) {
	p := int32(w.rng.IntN(w.Partitions))
	n := w.leaderFor(p)
	if w.chance(4) {
		n = w.some() // followers may be read too (KIP-392)
	}
	w.reach(n, func() {
		r := n.replicas[p]
		if r == nil {
			return
		}
		if end, epoch, err := r.latest(); err == nil {
			w.check.ended(p, n, epoch, end)
		}
		for _, rec := range r.readable(rd.next[p]) {
			w.check.read(p, n, rd.next[p], rec)
			rd.next[p]++
			w.result.Read++
		}
	})
}

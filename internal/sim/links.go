package sim

import "time"

// links is the network: each direction between two nodes may be cut for itself. Messages are functions: what arrives is
// called, perhaps twice, perhaps never. There is no order.
type links struct {
	cut   [][]bool // from, to
	loss  int      // one in so many is lost; 0 for none
	twice int      // one in so many comes twice
	delay time.Duration
}

func newLinks(n int) links {
	l := links{delay: time.Millisecond}
	for range n {
		l.cut = append(l.cut, make([]bool, n))
	}
	return l
}

// send carries a message between the processes that run on two nodes now: one that was restarted meanwhile does not get it.
func (w *world) send(from, to *node, deliver func()) {
	incarnation := to.incarnation
	arrive := func() {
		if to.up && to.incarnation == incarnation && !w.links.cut[from.index][to.index] {
			to.do(deliver)
		}
	}
	if w.links.loss > 0 && w.chance(w.links.loss) {
		return
	}
	w.after(w.around(w.links.delay), arrive)
	if w.links.twice > 0 && w.chance(w.links.twice) {
		w.after(w.around(50*w.links.delay), arrive)
	}
}

func (l *links) heal() {
	for i := range l.cut {
		clear(l.cut[i])
	}
	l.loss, l.twice, l.delay = 0, 0, time.Millisecond
}

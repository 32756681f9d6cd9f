package replica

import (
	"cmp"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Preferred chooses the follower that a consumer in a rack shall read from at an offset, if there is a better one than the leader
// (KIP-392): one of the ISR in the consumer's rack that has the offset, of several the one that has most. start is the leader's log
// start; rackOf tells the racks of nodes, "" for none.
func (l *Leader) Preferred(rack string, offset, start kafka.Offset, rackOf func(kafka.NodeID) string) (kafka.NodeID, bool) {
	if rack == "" || rackOf(l.self) == rack {
		return kafka.NoNode, false
	}
	var best *follower
	for i := range l.followers {
		f := &l.followers[i]
		if !slices.Contains(l.given.ISR, f.id) || !l.eligible(f) || rackOf(f.id) != rack || offset > f.safe || offset < max(start, f.logStart) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(f.safe, best.safe), f.caughtUp.Compare(best.caughtUp), cmp.Compare(best.id, f.id)) > 0 {
			best = f
		}
	}
	if best == nil {
		return kafka.NoNode, false
	}
	return best.id, true
}

package partition

import (
	"iter"
	"time"

	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/replica"
)

// nodes is what the partitions need to know of the cluster's nodes. It is replaced as a whole, never changed.
type nodes struct {
	active replica.Nodes
	// registered says that the metadata has this process registered. What it says before of who leads was said of the process
	// before this one, whose machine may have lost the end of a log that was not flushed yet. Were this one to lead in the same
	// leader epoch, it would give that epoch's offsets to other records than followers may have already, and nothing would
	// tell the two apart. By registering, the node gives its leaderships up; those that it gets then have epochs of their own.
	registered bool
}

// takeNodes notes which nodes are active.
func (s *Set) takeNodes(img *metadata.Image) {
	n := &nodes{active: replica.Nodes{}, registered: s.Incarnation.IsZero()}
	for _, node := range img.Nodes() {
		if node.Active() {
			n.active[node.ID] = node.Epoch
		}
		if node.ID == s.Node && node.Incarnation == s.Incarnation {
			n.registered = true
		}
	}
	s.nodes.Store(n)
}

// nodesChanged tells the partitions what takeNodes noted.
func (s *Set) nodesChanged() {
	now := time.Now()
	for _, p := range s.All() {
		if err := p.nodesChanged(now); err != nil {
			s.Log.Error("leadership not taken up", "partition", p.tp.String(), "err", err)
		}
	}
}

// Following walks the partitions that other nodes lead, sorted.
func (s *Set) Following() iter.Seq[*Partition] { return s.whose((*Partition).follows) }

// Led walks the partitions that this node leads, sorted.
func (s *Set) Led() iter.Seq[*Partition] { return s.whose((*Partition).leads) }

// whose walks the partitions whose role is as asked for when the walk comes to them.
func (s *Set) whose(is func(*Partition) bool) iter.Seq[*Partition] {
	return func(yield func(*Partition) bool) {
		for _, p := range s.All() {
			p.role.RLock()
			ok := is(p)
			p.role.RUnlock()
			if ok && !yield(p) {
				return
			}
		}
	}
}

package sim

import (
	"fmt"

	"github.com/headrace/headrace/internal/base/kafka"
)

// checker holds what must be true for ever, and learns it as things happen: it sees what no node can.
type checker struct {
	w     *world
	parts []truth
}

// truth is what is known of one partition.
type truth struct {
	// committed are the records below the highest high watermark that any leader had. None of them may change or go.
	committed []record
	leaders   map[kafka.LeaderEpoch]int
	newest    kafka.LeaderEpoch    // that was led in
	acked     map[int]kafka.Offset // by value
	// latest is the highest end that readers were told by leaders of latestEpoch or before. A leader of an earlier epoch that
	// does not know yet that it was replaced may tell less.
	latest      kafka.Offset
	latestEpoch kafka.LeaderEpoch
}

// record is one record: a value that no other bears, in the epoch of the leader that took it.
type record struct {
	epoch kafka.LeaderEpoch
	value int
}

func newChecker(w *world) checker {
	c := checker{w: w, parts: make([]truth, w.Partitions)}
	for i := range c.parts {
		c.parts[i].leaders, c.parts[i].acked = map[kafka.LeaderEpoch]int{}, map[int]kafka.Offset{}
	}
	return c
}

// led is told of each leadership: one leader an epoch, and it has all that was committed before.
func (c *checker) led(p int32, n *node, epoch kafka.LeaderEpoch, l *log) {
	t := &c.parts[p]
	if other, taken := t.leaders[epoch]; taken && other != n.index {
		c.w.breaks("partition %d: nodes %d and %d both lead in epoch %d", p, c.w.nodes[other].id, n.id, epoch)
	}
	t.leaders[epoch] = n.index
	if epoch < t.newest {
		// It was cut off and hears of its leadership when that is over. It cannot commit anything: no other member of the
		// in-sync replicas follows in its epoch any more, or there is none, and then no other could have been elected.
		return
	}
	t.newest = epoch
	if len(l.records) < len(t.committed) {
		c.w.breaks("partition %d: node %d leads in epoch %d with %d records, %d are committed", p, n.id, epoch, len(l.records), len(t.committed))
		return
	}
	for o, r := range t.committed {
		if l.records[o] != r {
			c.w.breaks("partition %d: node %d leads in epoch %d with %+v at offset %d, where %+v is committed", p, n.id, epoch, l.records[o], o, r)
			return
		}
	}
}

// watermark is told of each high watermark of a replica: what is below is committed, the same everywhere.
func (c *checker) watermark(p int32, n *node, was, hw kafka.Offset, l *log) {
	t := &c.parts[p]
	if hw < was {
		c.w.breaks("partition %d: the high watermark of node %d goes back from %d to %d", p, n.id, was, hw)
	}
	if int(hw) > len(l.records) {
		c.w.breaks("partition %d: the high watermark of node %d is %d, its log ends at %d", p, n.id, hw, len(l.records))
		return
	}
	for o := was; o < hw; o++ {
		switch r := l.records[o]; {
		case int(o) == len(t.committed):
			t.committed = append(t.committed, r)
		case t.committed[o] != r:
			c.w.breaks("partition %d: offset %d is %+v on node %d, and was committed as %+v", p, o, r, n.id, t.committed[o])
			return
		}
	}
}

// acked is told of each acknowledgement that a producer gets.
func (c *checker) acked(p int32, value int, o kafka.Offset) {
	t := &c.parts[p]
	t.acked[value] = o
	if int(o) >= len(t.committed) || t.committed[o].value != value {
		c.w.breaks("partition %d: value %d is acknowledged at offset %d, which is not committed so", p, value, o)
	}
}

// read is told of each record that a reader gets.
func (c *checker) read(p int32, n *node, o kafka.Offset, r record) {
	t := &c.parts[p]
	if int(o) >= len(t.committed) || t.committed[o] != r {
		c.w.breaks("partition %d: a reader gets %+v at offset %d from node %d, which is not committed so", p, r, o, n.id)
	}
}

// ended is told of each answer to "where is the end".
func (c *checker) ended(p int32, n *node, epoch kafka.LeaderEpoch, o kafka.Offset) {
	t := &c.parts[p]
	if epoch < t.latestEpoch {
		return
	}
	if o < t.latest {
		c.w.breaks("partition %d: node %d tells in epoch %d that the end is %d, and %d was told before", p, n.id, epoch, o, t.latest)
	}
	t.latest, t.latestEpoch = o, epoch
}

// end looks at the healed cluster: replicas are equal, and all that was acknowledged can be read.
func (c *checker) end() {
	for p := range c.parts {
		t := &c.parts[p]
		values := map[int]kafka.Offset{}
		for o, r := range t.committed {
			if twice, there := values[r.value]; there {
				c.w.breaks("partition %d: value %d is at offsets %d and %d", p, r.value, twice, o)
			}
			values[r.value] = kafka.Offset(o)
		}
		for value, o := range t.acked {
			if at, there := values[value]; !there || at != o {
				c.w.breaks("partition %d: acknowledged value %d is not at offset %d", p, value, o)
			}
		}
		first := c.w.nodes[0].disk.logs[int32(p)]
		for _, n := range c.w.nodes[1:] {
			if err := sameRecords(first, n.disk.logs[int32(p)]); err != nil {
				c.w.breaks("partition %d: nodes %d and %d differ after healing: %v", p, c.w.nodes[0].id, n.id, err)
			}
		}
	}
}

func sameRecords(a, b *log) error {
	if len(a.records) != len(b.records) {
		return fmt.Errorf("%d and %d records", len(a.records), len(b.records))
	}
	for o := range a.records {
		if a.records[o] != b.records[o] {
			return fmt.Errorf("%+v and %+v at offset %d", a.records[o], b.records[o], o)
		}
	}
	return nil
}

package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what a disk writes as a whole.
const sectorSize = 512

// Clone copies the disk with all that was written to it, as the next process sees it after a kill -9. Locks are
// released; what was not yet synced is still not.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := cloner{seen: map[*memNode]*memNode{}}
	return newMem(c.whole(m.mu.root))
}

// CrashClone copies the disk as a power cut now would leave it. With a nil rng that is the worst case: bytes not
// Synced and entries not SyncDir'ed are lost. Otherwise each such write is kept, dropped, or kept in some of its
// 512-byte sectors, and each such entry kept or dropped, by rng; changes of one name are kept in order. The original
// is not touched.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := cloner{seen: map[*memNode]*memNode{}, rng: rng}
	return newMem(c.crashed(m.mu.root))
}

// CrashPoints runs work over disk and calls visit before each change that work makes to it, and once after the last,
// with the disk as a power cut at that point would leave it (see CrashClone). The Op of the last visit has Seq 0. It
// returns what work returned.
func CrashPoints(disk *Mem, rng *rand.Rand, work func(FS) error, visit func(next Op, after *Mem)) error {
	err := work(NewFaulty(disk, func(op Op) error {
		if op.Kind.Changes() {
			visit(op, disk.CrashClone(rng))
		}
		return nil
	}))
	visit(Op{}, disk.CrashClone(rng))
	return err
}

// cloner copies a tree; seen holds the copies made, as a rename between folders of which one was synced may leave a
// node with two names.
type cloner struct {
	seen map[*memNode]*memNode
	rng  *rand.Rand
}

// whole copies n with what is not durable yet.
func (c *cloner) whole(n *memNode) *memNode {
	if n == nil {
		return nil
	}
	if done, ok := c.seen[n]; ok {
		return done
	}
	to := &memNode{mode: n.mode, mtime: n.mtime, data: n.data.clone(), durable: n.durable.clone(), pending: n.pending[:len(n.pending):len(n.pending)], lost: n.lost}
	c.seen[n] = to
	if !n.isDir() {
		return to
	}
	to.entries, to.durableEntries = map[string]*memNode{}, map[string]*memNode{}
	for name, child := range n.entries {
		to.entries[name] = c.whole(child)
	}
	for name, child := range n.durableEntries {
		to.durableEntries[name] = c.whole(child)
	}
	for _, change := range n.pendingEntries {
		copied := make(dirChange, len(change))
		for i, nc := range change {
			copied[i] = nameChange{nc.name, c.whole(nc.node)}
		}
		to.pendingEntries = append(to.pendingEntries, copied)
	}
	return to
}

// crashed copies what the power cut leaves of n; all of it is durable.
func (c *cloner) crashed(n *memNode) *memNode {
	if done, ok := c.seen[n]; ok {
		return done
	}
	to := &memNode{mode: n.mode, mtime: n.mtime}
	c.seen[n] = to
	if !n.isDir() {
		to.data = c.crashedBytes(n)
		to.durable = to.data.clone()
		return to
	}
	to.entries = map[string]*memNode{}
	left := c.crashedEntries(n)
	for _, name := range slices.Sorted(maps.Keys(left)) { // sorted, so that one seed gives one disk
		to.entries[name] = c.crashed(left[name])
	}
	to.durableEntries = maps.Clone(to.entries)
	return to
}

func (c *cloner) crashedEntries(n *memNode) map[string]*memNode {
	left := maps.Clone(n.durableEntries)
	if c.rng == nil {
		return left
	}
	lost := map[string]bool{} // names of which a change was dropped: later changes of them are too
	keep := c.rng.Float64()
	for _, change := range n.pendingEntries {
		dropped := c.rng.Float64() >= keep
		for _, nc := range change {
			dropped = dropped || lost[nc.name]
		}
		if !dropped {
			change.apply(left)
			continue
		}
		for _, nc := range change {
			lost[nc.name] = true
		}
	}
	return left
}

func (c *cloner) crashedBytes(n *memNode) pages {
	left := n.durable.clone()
	if c.rng == nil {
		return left
	}
	keep := c.rng.Float64()
	for _, w := range n.pending {
		switch whole := c.rng.Float64() < keep; {
		case whole && w.bytes == nil:
			left.truncate(w.off)
		case whole:
			left.writeAt(w.bytes, w.off)
		case w.bytes != nil && c.rng.IntN(2) == 0:
			c.tear(&left, w)
		}
	}
	return left
}

// tear applies some sectors of w. The size may have grown by all of it although its last bytes were lost.
func (c *cloner) tear(left *pages, w memWrite) {
	end := w.off + int64(len(w.bytes))
	for at := w.off; at < end; {
		next := min(end, at-at%sectorSize+sectorSize)
		if c.rng.IntN(2) == 0 {
			left.writeAt(w.bytes[at-w.off:next-w.off], at)
		}
		at = next
	}
	if c.rng.IntN(2) == 0 && left.size < end {
		left.truncate(end)
	}
}

// FailSync makes of a file what a failed fsync(2) leaves of it on Linux: what was to be written is read as before, counts as
// written, and is lost with the power all the same. Only what is written from now on is part of the next Sync.
func (m *Mem) FailSync(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return err
	}
	n.pending, n.lost = nil, true
	return nil
}

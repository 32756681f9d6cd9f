// Package epochs is the leader-epoch cache of one partition (KIP-101): which leader epoch began at which offset, and the
// text of the leader-epoch-checkpoint file. It is pure; storage/commitlog owns each Cache, guards it with its lock and
// does the disk work. It starts no goroutine.
package epochs

import (
	"slices"
	"sort"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Entry says that Epoch began at offset Start.
type Entry struct {
	Epoch kafka.LeaderEpoch
	Start kafka.Offset
}

// Cache holds the epochs of one log. The zero value is an empty cache. It is not safe for concurrent use.
type Cache struct {
	// Invariant: both fields of the entries grow strictly from one entry to the next.
	entries []Entry
}

// Latest returns the newest entry.
func (c *Cache) Latest() (Entry, bool) {
	if len(c.entries) == 0 {
		return Entry{Epoch: kafka.NoLeaderEpoch, Start: kafka.NoOffset}, false
	}
	return c.entries[len(c.entries)-1], true
}

// LatestEpoch returns the newest epoch or NoLeaderEpoch.
func (c *Cache) LatestEpoch() kafka.LeaderEpoch {
	e, _ := c.Latest()
	return e.Epoch
}

// Entries returns a copy of all entries, oldest first.
func (c *Cache) Entries() []Entry { return slices.Clone(c.entries) }

// Assign records that e began at start and tells whether the cache changed. An epoch that is known keeps its earlier start.
// Entries that contradict the new one (a newer epoch or a start not below it) are removed: they came from a leader whose
// records were never agreed on. Such a leader may have written nothing, and the one before it may have gone on: what is known
// of that one's epoch holds.
func (c *Cache) Assign(e kafka.LeaderEpoch, start kafka.Offset) bool {
	if e < 0 || start < 0 {
		return false
	}
	if last, ok := c.Latest(); ok && last.Epoch == e && start >= last.Start {
		return false
	}
	n := len(c.entries)
	for n > 0 && (c.entries[n-1].Epoch > e || c.entries[n-1].Start >= start) {
		n--
	}
	c.entries = c.entries[:n]
	if n == 0 || c.entries[n-1].Epoch < e {
		c.entries = append(c.entries, Entry{Epoch: e, Start: start})
	}
	return true
}

// EpochFor returns the epoch in which the record at o was or would be written, or NoLeaderEpoch when o lies before all
// that is known.
func (c *Cache) EpochFor(o kafka.Offset) kafka.LeaderEpoch {
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > o })
	if i == 0 {
		return kafka.NoLeaderEpoch
	}
	return c.entries[i-1].Epoch
}

// EndOffsetFor answers OffsetForLeaderEpoch: the largest known epoch not above e, and the offset at which the next epoch
// began (the log's end for the newest). An epoch newer than all known, or none, gives NoLeaderEpoch and NoOffset; one
// older than all known gives e itself and the start of the oldest.
func (c *Cache) EndOffsetFor(e kafka.LeaderEpoch, logEnd kafka.Offset) (kafka.LeaderEpoch, kafka.Offset) {
	if e == kafka.NoLeaderEpoch {
		return kafka.NoLeaderEpoch, kafka.NoOffset
	}
	if c.LatestEpoch() == e {
		return e, logEnd
	}
	i := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Epoch > e })
	if i == len(c.entries) {
		return kafka.NoLeaderEpoch, kafka.NoOffset
	}
	if i == 0 {
		return e, c.entries[0].Start
	}
	return c.entries[i-1].Epoch, c.entries[i].Start
}

// TruncateFromEnd drops the epochs that began at or after end and tells whether any did.
func (c *Cache) TruncateFromEnd(end kafka.Offset) bool {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= end })
	changed := n < len(c.entries)
	c.entries = c.entries[:n]
	return changed
}

// TruncateFromStart forgets what lies before start: of the epochs that began at or before it only the newest remains,
// now beginning at start. It tells whether the cache changed.
func (c *Cache) TruncateFromStart(start kafka.Offset) bool {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > start })
	if n == 0 || n == 1 && c.entries[0].Start == start {
		return false
	}
	c.entries = append([]Entry{{Epoch: c.entries[n-1].Epoch, Start: start}}, c.entries[n:]...)
	return true
}

// Clear forgets everything and tells whether there was anything.
func (c *Cache) Clear() bool {
	changed := len(c.entries) > 0
	c.entries = nil
	return changed
}

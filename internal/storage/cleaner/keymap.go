package cleaner

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/headrace/headrace/internal/base/kafka"
)

// slotBytes is what a key takes in a keyMap: half a SHA-256 of it, and an offset. A hash that nobody can find two keys for
// keeps a client from making compaction drop the records of another.
const slotBytes = 24

// shardSlots is the size from which on a keyMap is more than one table: a table is copied when it grows, and that takes
// memory besides.
const shardSlots = 4096

// keyMap knows the last offset of each key that it was given, in a bounded number of bytes. It takes no more than its keys
// need: tables of open addressing grow by doubling, up to the bound.
type keyMap struct {
	shards []shard
	most   int // slots a shard
	load   float64
	keys   int
}

type slot struct {
	hi, lo uint64
	next   kafka.Offset // the offset + 1; 0 in a free slot
}

type shard struct {
	slots []slot
	keys  int
}

// newKeyMap makes a map of at most the given bytes, which is full when a share of load of its slots is taken.
func newKeyMap(bytes int64, load float64) *keyMap {
	slots := max(bytes/slotBytes, minSlots)
	n := min(max(slots/shardSlots, 1), 256)
	return &keyMap{shards: make([]shard, n), most: int(slots / n), load: load}
}

// minSlots lets even a map without memory come forward.
const minSlots = 8

func (m *keyMap) shard(lo uint64) *shard {
	i, _ := bits.Mul64(lo, uint64(len(m.shards)))
	return &m.shards[i]
}

func hashOf(key []byte) (hi, lo uint64) {
	sum := sha256.Sum256(key)
	return binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])
}

// put notes the key's offset. It tells whether it could: a full map takes no more keys.
func (m *keyMap) put(key []byte, o kafka.Offset) bool {
	hi, lo := hashOf(key)
	s := m.shard(lo)
	at := s.find(hi, lo)
	if at < 0 || s.slots[at].next == 0 {
		if at = m.room(s, hi, lo); at < 0 {
			return false
		}
		s.keys++
		m.keys++
	}
	s.slots[at] = slot{hi, lo, o + 1}
	return true
}

// room finds the slot of a new key, or -1 in a full map.
func (m *keyMap) room(s *shard, hi, lo uint64) int {
	if s.keys >= min(max(int(float64(len(s.slots))*m.load), 1), len(s.slots)-1) {
		if len(s.slots) == m.most {
			return -1
		}
		s.grow(min(max(2*len(s.slots), 64), m.most))
		return m.room(s, hi, lo)
	}
	return s.find(hi, lo)
}

func (s *shard) grow(n int) {
	old := s.slots
	s.slots = make([]slot, n)
	for _, x := range old {
		if x.next != 0 {
			s.slots[s.find(x.hi, x.lo)] = x
		}
	}
}

// find is the slot of the key, or the free one where it would be, or -1 in a table without slots. Some slot is always free.
func (s *shard) find(hi, lo uint64) int {
	if len(s.slots) == 0 {
		return -1
	}
	first, _ := bits.Mul64(hi, uint64(len(s.slots)))
	at := int(first)
	for s.slots[at].next != 0 && (s.slots[at].hi != hi || s.slots[at].lo != lo) {
		if at++; at == len(s.slots) {
			at = 0
		}
	}
	return at
}

// last is the offset that the key was last put with, or NoOffset.
func (m *keyMap) last(key []byte) kafka.Offset {
	hi, lo := hashOf(key)
	s := m.shard(lo)
	at := s.find(hi, lo)
	if at < 0 {
		return kafka.NoOffset
	}
	return s.slots[at].next - 1
}

// bytes is the memory taken.
func (m *keyMap) bytes() (n int64) {
	for _, s := range m.shards {
		n += int64(len(s.slots)) * slotBytes
	}
	return n
}

package group

import (
	"cmp"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Offsets that a transaction commits wait in txns until its marker. The slices of one producer share memory: only the newest is added
// to, and what a Revert took back is reached by nobody, so that it may be overwritten. Nothing is removed from one in place.

// openOffset is an offset whose transaction has not ended.
type openOffset struct {
	group     string
	partition kafka.TopicPartition
	offset    Offset
}

// EndTransaction takes in the marker at off: the offsets that the producer's transaction wrote count now, unless a later
// record has set them, or are dropped.
func (s *Shard) EndTransaction(off kafka.Offset, producer kafka.ProducerID, commit bool) {
	open, _ := s.txns.Get(producer)
	s.txns.Delete(off, producer)
	if !commit {
		return
	}
	for _, o := range open {
		if offsets := s.offsets[o.group]; offsets != nil {
			if now, ok := offsets.Get(o.partition); ok && now.Record > o.offset.Record {
				continue
			}
		}
		s.setOffset(off, o.group, o.partition, o.offset)
	}
}

// isOpen tells whether a transaction that has not ended wrote an offset for tp.
func (s *Shard) isOpen(group string, tp kafka.TopicPartition) bool {
	for _, open := range s.txns.All() {
		if slices.ContainsFunc(open, func(o openOffset) bool { return o.group == group && o.partition == tp }) {
			return true
		}
	}
	return false
}

// hasOpen tells whether a transaction that has not ended wrote any offset of the group.
func (s *Shard) hasOpen(group string) bool {
	for _, open := range s.txns.All() {
		if slices.ContainsFunc(open, func(o openOffset) bool { return o.group == group }) {
			return true
		}
	}
	return false
}

// forgetOpen drops the open offsets that the tombstone at off ends.
func (s *Shard) forgetOpen(off kafka.Offset, group string, tp kafka.TopicPartition) {
	ends := func(o openOffset) bool { return o.group == group && o.partition == tp }
	for id, open := range s.txns.All() {
		if slices.ContainsFunc(open, ends) {
			s.txns.Set(off, id, slices.DeleteFunc(slices.Clone(open), ends))
		}
	}
}

// endOpen writes tombstones for the open offsets that match, where no committed offset has got its own.
func (t *turn) endOpen(match func(openOffset) bool) {
	var ended []openOffset
	for _, open := range t.s.txns.All() {
		for _, o := range open {
			if _, ok := read(t.s.offsets[o.group], o.partition, true); !ok && match(o) {
				ended = append(ended, o)
			}
		}
	}
	slices.SortFunc(ended, func(a, b openOffset) int {
		return cmp.Or(cmp.Compare(a.group, b.group), comparePartitions(a.partition, b.partition))
	})
	for _, o := range ended {
		t.record(offsetKey(o.group, o.partition.Topic, o.partition.Partition), nil)
	}
}

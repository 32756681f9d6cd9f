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

// openOf are the partitions for which transactions that have not ended wrote offsets of the group.
func (s *Shard) openOf(group string) map[kafka.TopicPartition]struct{} {
	var of map[kafka.TopicPartition]struct{}
	for _, open := range s.txns.All() {
		for _, o := range open {
			if o.group != group {
				continue
			}
			if of == nil {
				of = make(map[kafka.TopicPartition]struct{})
			}
			of[o.partition] = struct{}{}
		}
	}
	return of
}

// addOpen adds an offset to those of a producer's transaction. One that commits the same partitions again and again is kept short, each
// time its memory is full.
func addOpen(open []openOffset, o openOffset) []openOffset {
	const few = 64
	if len(open) < few || len(open) < cap(open) {
		return append(open, o)
	}
	newest := make(map[openKey]int, len(open))
	for i, o := range open {
		newest[o.key()] = i
	}
	short := make([]openOffset, 0, 2*len(newest)+few)
	for i, o := range open {
		if newest[o.key()] == i {
			short = append(short, o)
		}
	}
	return append(short, o)
}

type openKey struct {
	group     string
	partition kafka.TopicPartition
}

func (o openOffset) key() openKey { return openKey{o.group, o.partition} }

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

package group

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/group/streams"
)

// groupOffsets are the committed offsets of one group.
type groupOffsets = timeline.Map[kafka.TopicPartition, Offset]

// Apply takes in the record at off. It is the only way durable state changes: after Step, at load, and on replicas alike.
// A record that is not one of Kafka's is an error; a kind of record that belongs to other types of groups is skipped.
// Nothing of key and value is kept.
func (s *Shard) Apply(off kafka.Offset, key, value []byte, _ int64) error {
	return s.apply(off, kafka.NoProducerID, key, value)
}

// ApplyTransactional takes in a record that is part of a transaction: an offset in it counts when EndTransaction commits.
func (s *Shard) ApplyTransactional(off kafka.Offset, producer kafka.ProducerID, key, value []byte) error {
	return s.apply(off, producer, key, value)
}

// Commit says that everything below upto is committed: reads see it, and Revert no longer reaches it.
func (s *Shard) Commit(upto kafka.Offset) { s.history.Commit(upto) }

// Revert undoes what was applied at from and above, none of it being committed: the records are not in the log.
func (s *Shard) Revert(from kafka.Offset) {
	s.history.Revert(from)
	for _, g := range s.consumers.All() {
		g.Forget()
	}
	for _, g := range s.shares.All() {
		g.Forget()
	}
	for _, g := range s.streams.All() {
		g.Forget()
	}
	for id, g := range s.live {
		if _, ok := s.saved.Get(id); !ok && len(g.members) == 0 && len(g.pendingJoin) == 0 {
			delete(s.live, id)
		}
	}
}

func (s *Shard) apply(off kafka.Offset, producer kafka.ProducerID, key, value []byte) error {
	r := kbin.Reader{Src: key}
	kind := r.Int16()
	if !r.Ok() {
		return fmt.Errorf("record %d of %s: key of %d bytes", off, kafka.OffsetsTopic, len(key))
	}
	var err error
	switch kind {
	case legacyOffsetKey, offsetKeyKind:
		err = s.applyOffset(off, producer, &r, value)
	case groupKeyKind:
		err = s.applyGroup(off, &r, value)
	case consumer.EpochKind, consumer.PartitionsKind, consumer.MemberKind, consumer.TargetEpochKind, consumer.TargetKind,
		consumer.AssignmentKind, consumer.RegexKind:
		err = s.applyConsumer(off, kind, &r, value)
	case share.MemberKind, share.EpochKind, share.TargetEpochKind, share.TargetKind, share.AssignmentKind, share.StateKind:
		err = s.applyShare(off, kind, &r, value)
	case streams.EpochKind, streams.MemberKind, streams.TargetEpochKind, streams.TargetKind, streams.AssignmentKind, streams.TopologyKind:
		err = s.applyStreams(off, kind, &r, value)
	}
	if err != nil {
		return fmt.Errorf("record %d of %s: %w", off, kafka.OffsetsTopic, err)
	}
	return nil
}

func (s *Shard) applyGroup(off kafka.Offset, key *kbin.Reader, value []byte) error {
	id := key.String()
	if err := key.Complete(); err != nil {
		return fmt.Errorf("group key: %w", err)
	}
	if value == nil {
		s.saved.Delete(off, id)
		delete(s.live, id)
		return nil
	}
	v, err := readGroup(value)
	if err != nil {
		return err
	}
	s.saved.Set(off, id, v)
	return nil
}

func (s *Shard) applyOffset(off kafka.Offset, producer kafka.ProducerID, key *kbin.Reader, value []byte) error {
	// Most keys of a log are known already, so the strings are looked up before they are copied.
	group, topic, partition := key.UnsafeString(), key.UnsafeString(), key.Int32()
	if err := key.Complete(); err != nil {
		return fmt.Errorf("offset key: %w", err)
	}
	tp := kafka.TopicPartition{Topic: s.topicName(topic), Partition: partition}
	if value == nil {
		if offsets := s.offsets[group]; offsets != nil {
			offsets.Delete(off, tp)
		}
		s.forgetOpen(off, group, tp)
		return nil
	}
	o, err := readOffset(value)
	if err != nil {
		return err
	}
	o.Record = off
	if !s.exists(group) {
		s.saved.Set(off, strings.Clone(group), savedGroup{stateSince: -1})
	}
	if producer != kafka.NoProducerID {
		open, _ := s.txns.Get(producer)
		s.txns.Set(off, producer, addOpen(open, openOffset{group: strings.Clone(group), partition: tp, offset: o}))
		return nil
	}
	s.setOffset(off, group, tp, o)
	return nil
}

func (s *Shard) setOffset(off kafka.Offset, group string, tp kafka.TopicPartition, o Offset) {
	offsets := s.offsets[group]
	if offsets == nil {
		offsets = timeline.NewMap[kafka.TopicPartition, Offset](s.history)
		s.offsets[strings.Clone(group)] = offsets
	}
	offsets.Set(off, tp, o)
}

// topicName returns the one copy of a topic's name.
func (s *Shard) topicName(name string) string {
	if one, ok := s.topics[name]; ok {
		return one
	}
	one := strings.Clone(name)
	s.topics[one] = one
	return one
}

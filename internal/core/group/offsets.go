package group

import (
	"cmp"
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/group/streams"
	"github.com/headrace/headrace/internal/core/machine"
)

// Offset is what a group has committed for a partition.
type Offset struct {
	Offset          int64
	LeaderEpoch     int32 // -1 when the client did not say
	Metadata        string
	CommitTimestamp int64
	ExpireTimestamp int64 // of clients that set a retention (v2 to v4); -1 for none
	TopicID         kafka.TopicID
	Record          kafka.Offset // of the record in __consumer_offsets
}

func offsetKey(group, topic string, partition int32) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyKind, Group: group, Topic: topic, Partition: partition}
	return k.AppendTo(nil)
}

func (o Offset) value() []byte {
	v := kmsg.OffsetCommitValue{
		Version: offsetVersion, Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata,
		CommitTimestamp: o.CommitTimestamp, ExpireTimestamp: o.ExpireTimestamp, TopicID: o.TopicID,
	}
	if o.ExpireTimestamp != -1 {
		v.Version = expiringVersion
	}
	return v.AppendTo(nil)
}

// OffsetCommit, versions 2 to 10. v2 to v4 may set a retention, v6 brings the leader epoch, v7 static members. v9 says
// GROUP_ID_NOT_FOUND where older ones say ILLEGAL_GENERATION. v10 names topics by id alone: the caller has put the name
// beside the id, and in older versions the id beside the name where it knows it.

const commitKnowsGroupNotFound = 9

func commitError(req *kmsg.OffsetCommitRequest, err error) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for _, topic := range req.Topics {
		rt := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code(err)})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (t *turn) offsetCommit(r machine.Request, req *kmsg.OffsetCommitRequest) {
	fence, err := t.checkCommit(r, req)
	if err == nil && fence != nil {
		err = t.checkEach(req, fence)
	}
	if err != nil {
		t.reply(waiterOf(r), commitError(req, err))
		return
	}
	expires := int64(-1)
	if req.RetentionTimeMillis != -1 && r.Version <= 4 {
		expires = t.millis() + req.RetentionTimeMillis
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	for _, topic := range req.Topics {
		rt := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			err := t.commit(req.Group, topic, p, expires)
			rt.Partitions = append(rt.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: code(err)})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	t.answer(waiterOf(r), resp, len(t.out.Records) > 0)
}

// checkEach refuses the whole of a commit, as Kafka does, when one of its partitions is not the member's to commit.
func (t *turn) checkEach(req *kmsg.OffsetCommitRequest, fence fence) error {
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			if tooLong(deref(p.Metadata), t.s.cfg.OffsetMetadataMax) {
				continue
			}
			if err := fence(topic.Topic, topic.TopicID, p.Partition); err != nil {
				return err
			}
		}
	}
	return nil
}

// fence refuses the commit for a partition.
type fence func(topic string, id kafka.TopicID, partition int32) error

// fenceOf refuses who may not commit to a group whose coordinator assigns, and returns what is to be asked for each partition; assigned
// tells whether the group is one.
func (s *Shard) fenceOf(id string, commit consumer.Commit) (_ fence, assigned bool, _ error) {
	if c, ok := s.consumers.Get(id); ok {
		byID, err := c.MayCommit(commit)
		if byID == nil {
			return nil, true, err
		}
		return func(_ string, topic kafka.TopicID, p int32) error { return byID(topic, p) }, true, err
	}
	if g, ok := s.streams.Get(id); ok {
		byName, err := g.MayCommit(streams.Commit(commit))
		if byName == nil {
			return nil, true, err
		}
		return func(topic string, _ kafka.TopicID, p int32) error { return byName(topic, p) }, true, err
	}
	if _, ok := s.shares.Get(id); ok {
		return nil, true, notOfKind(id, "consumer")
	}
	return nil, false, nil
}

// checkCommit refuses who may not commit, and counts the commit of a classic member as a heartbeat. For some members each
// partition is to be checked, too.
func (t *turn) checkCommit(r machine.Request, req *kmsg.OffsetCommitRequest) (fence, error) {
	if err := checkGroupID(req.Group, true); err != nil {
		return nil, err
	}
	if fence, assigned, err := t.s.fenceOf(req.Group, consumer.Commit{Member: req.MemberID, Instance: req.InstanceID, Epoch: req.Generation, Version: r.Version}); assigned {
		return fence, err
	}
	g := t.s.group(req.Group)
	if g == nil {
		switch {
		case req.Generation < 0:
			return nil, nil // a consumer that does without membership; the record makes the group
		case r.Version >= commitKnowsGroupNotFound:
			return nil, groupNotFound(req.Group)
		}
		return nil, kerr.IllegalGeneration
	}
	if err := g.mayCommit(req); err != nil {
		return nil, err
	}
	if m := g.byID[req.MemberID]; m != nil && (g.state == stable || g.state == preparing) {
		t.arm(g.session(m.id), m.sessionTimeout)
	}
	return nil, nil
}

// mayCommit: without a generation only while the group is empty, otherwise as a member of the current one. Who commits
// while the group completes a rebalance has its generation already and is told to wait.
func (g *group) mayCommit(req *kmsg.OffsetCommitRequest) error {
	if req.Generation < 0 && g.state == empty {
		return nil
	}
	if req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil {
		return kerr.UnknownMemberID
	}
	if err := g.check(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	if g.state == completing {
		return kerr.RebalanceInProgress
	}
	return nil
}

func (t *turn) commit(group string, topic kmsg.OffsetCommitRequestTopic, p kmsg.OffsetCommitRequestTopicPartition, expires int64) error {
	if len(topic.Topic) > kafka.MaxTopicNameLen {
		return fmt.Errorf("topic name of %d bytes: %w", len(topic.Topic), kerr.InvalidTopicException)
	}
	metadata := deref(p.Metadata)
	if tooLong(metadata, t.s.cfg.OffsetMetadataMax) || expires != -1 && len(metadata) > maxString {
		return kerr.OffsetMetadataTooLarge
	}
	o := Offset{
		Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: metadata,
		CommitTimestamp: t.millis(), ExpireTimestamp: expires, TopicID: topic.TopicID,
	}
	t.record(offsetKey(group, topic.Topic, p.Partition), o.value())
	return nil
}

// tooLong tells whether s has more UTF-16 units than limit, which is how Kafka counts.
func tooLong(s string, limit int) bool {
	return len(s) > limit && len(utf16.Encode([]rune(s))) > limit
}

// OffsetDelete, version 0.

func (t *turn) offsetDelete(r machine.Request, req *kmsg.OffsetDeleteRequest) {
	subscribes, err := t.s.mayDeleteOffsets(req.Group)
	if err != nil {
		t.fail(r, err)
		return
	}
	has := t.s.hasOffset(req.Group)
	resp := kmsg.NewPtrOffsetDeleteResponse()
	for _, topic := range req.Topics {
		rt := kmsg.OffsetDeleteResponseTopic{Topic: topic.Topic}
		for _, p := range topic.Partitions {
			rp := kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition}
			tp := kafka.TopicPartition{Topic: topic.Topic, Partition: p.Partition}
			if subscribes(topic.Topic) {
				rp.ErrorCode = kerr.GroupSubscribedToTopic.Code
			} else if has(tp) {
				t.record(offsetKey(req.Group, topic.Topic, p.Partition), nil)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	t.replyAfterCommit(waiterOf(r), resp)
}

// mayDeleteOffsets returns which topics have subscribers: their offsets stay. Of a group with members only consumers tell.
func (s *Shard) mayDeleteOffsets(id string) (subscribes func(topic string) bool, _ error) {
	if err := checkGroupID(id, false); err != nil {
		return nil, err
	}
	if c, ok := s.consumers.Get(id); ok {
		return c.Subscribes, nil
	}
	if g, ok := s.streams.Get(id); ok {
		return g.Subscribes, nil
	}
	if _, ok := s.shares.Get(id); ok {
		return nil, notOfKind(id, "consumer")
	}
	g := s.group(id)
	switch {
	case g == nil:
		return nil, groupNotFound(id)
	case g.state != empty && !g.usesConsumerProtocol():
		return nil, kerr.NonEmptyGroup
	}
	return g.subscribes, nil
}

// hasOffset tells for which partitions the group has an offset, be it one that waits for a marker.
func (s *Shard) hasOffset(group string) func(kafka.TopicPartition) bool {
	open := s.openOf(group)
	return func(tp kafka.TopicPartition) bool {
		if _, pending := open[tp]; pending {
			return true
		}
		_, ok := read(s.offsets[group], tp, true)
		return ok
	}
}

// partitions returns the keys of a group's newest offsets, sorted.
func (s *Shard) partitions(group string) []kafka.TopicPartition {
	offsets := s.offsets[group]
	if offsets == nil {
		return nil
	}
	tps := make([]kafka.TopicPartition, 0, offsets.Len())
	for tp := range offsets.All() {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, comparePartitions)
	return tps
}

func comparePartitions(a, b kafka.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

func sinceMillis(millis int64, now time.Time) time.Duration {
	return now.Sub(time.UnixMilli(millis))
}

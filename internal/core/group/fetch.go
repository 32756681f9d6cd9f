package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// OffsetFetch, versions 1 to 10. From v2 null topics ask for all of them and the error is the group's; v7 brings require
// stable; from v8 groups are asked for in lists, of which this machine is given one. v10 names topics by id: the caller
// has put the name beside it.
//
// Without require stable the answer is what is committed now. With it the answer is the newest state, and waits until
// that is committed; offsets of open transactions are UNSTABLE_OFFSET_COMMIT.

const (
	fetchHasGroupError = 2
	fetchHasGroups     = 8
	fetchHasEpochs     = 9
)

// fetching is the one group of an OffsetFetch, whatever the version.
type fetching struct {
	group  string
	member *string // of a group of the new protocol; nil for none
	epoch  int32
	topics []kmsg.OffsetFetchRequestGroupTopic // nil = all
	stable bool
}

func fetchingOf(req *kmsg.OffsetFetchRequest, version int16) (fetching, bool) {
	f := fetching{stable: req.RequireStable}
	if version >= fetchHasGroups {
		if len(req.Groups) != 1 {
			return f, false
		}
		f.group, f.topics = req.Groups[0].Group, req.Groups[0].Topics
		if f.epoch = -1; version >= fetchHasEpochs {
			f.member, f.epoch = req.Groups[0].MemberID, req.Groups[0].MemberEpoch
		}
		return f, true
	}
	f.group, f.epoch = req.Group, -1
	if req.Topics != nil {
		f.topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, topic := range req.Topics {
		f.topics = append(f.topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic.Topic, Partitions: topic.Partitions})
	}
	return f, true
}

func (t *turn) offsetFetch(r machine.Request, req *kmsg.OffsetFetchRequest) {
	f, ok := fetchingOf(req, r.Version)
	if !ok {
		t.fail(r, kerr.InvalidRequest)
		return
	}
	if err := checkGroupID(f.group, true); err != nil {
		t.fail(r, err)
		return
	}
	if c, ok := t.s.consumers.Committed(f.group); ok {
		if err := c.MayFetch(f.member, f.epoch); err != nil {
			t.fail(r, err)
			return
		}
	}
	if g, ok := t.s.streams.Committed(f.group); ok {
		if err := g.MayFetch(f.member, f.epoch); err != nil {
			t.fail(r, err)
			return
		}
	}
	if _, ok := t.s.shares.Committed(f.group); ok {
		t.fail(r, notOfKind(f.group, "consumer"))
		return
	}
	resp := kmsg.OffsetFetchResponseGroup{Group: f.group, Topics: t.s.fetch(f)}
	t.answer(waiterOf(r), fetchResponse(resp, r.Version), f.stable)
}

func (s *Shard) fetch(f fetching) []kmsg.OffsetFetchResponseGroupTopic {
	exists, offsets := s.readable(f)
	topics := f.topics
	if topics == nil {
		topics = allTopics(offsets, f.stable)
	}
	var open map[kafka.TopicPartition]struct{}
	if exists && f.stable {
		open = s.openOf(f.group)
	}
	answer := make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(topics))
	for _, topic := range topics {
		rt := kmsg.OffsetFetchResponseGroupTopic{Topic: topic.Topic, TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			tp := kafka.TopicPartition{Topic: topic.Topic, Partition: p}
			rp := noOffset(p)
			_, pending := open[tp]
			switch o, ok := read(offsets, tp, f.stable); {
			case pending:
				rp.ErrorCode = kerr.UnstableOffsetCommit.Code
			case ok && !otherTopic(o.TopicID, topic.TopicID):
				rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		answer = append(answer, rt)
	}
	return answer
}

// readable finds a group's offsets; nil when the group does not exist in the state that is asked for.
func (s *Shard) readable(f fetching) (exists bool, _ *groupOffsets) {
	if f.stable {
		exists = s.exists(f.group) || s.live[f.group] != nil
	} else {
		_, classic := s.saved.Committed(f.group)
		_, modern := s.consumers.Committed(f.group)
		_, streaming := s.streams.Committed(f.group)
		exists = classic || modern || streaming
	}
	if !exists {
		return false, nil
	}
	return true, s.offsets[f.group]
}

func read(offsets *groupOffsets, tp kafka.TopicPartition, newest bool) (Offset, bool) {
	switch {
	case offsets == nil:
		return Offset{}, false
	case newest:
		return offsets.Get(tp)
	}
	return offsets.Committed(tp)
}

// allTopics lists everything the group has committed, sorted.
func allTopics(offsets *groupOffsets, newest bool) []kmsg.OffsetFetchRequestGroupTopic {
	if offsets == nil {
		return nil
	}
	each := offsets.AllCommitted()
	if newest {
		each = offsets.All()
	}
	var tps []kafka.TopicPartition
	for tp := range each {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, comparePartitions)
	var topics []kmsg.OffsetFetchRequestGroupTopic
	for _, tp := range tps {
		if n := len(topics); n == 0 || topics[n-1].Topic != tp.Topic {
			topics = append(topics, kmsg.OffsetFetchRequestGroupTopic{Topic: tp.Topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return topics
}

// otherTopic tells that an offset was committed for an earlier topic of the same name.
func otherTopic(committed, asked kafka.TopicID) bool {
	return !committed.IsZero() && !asked.IsZero() && committed != asked
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{Partition: partition, Offset: -1, LeaderEpoch: -1, Metadata: kmsg.StringPtr("")}
}

// fetchResponse puts the answer about one group into the form of the version.
func fetchResponse(group kmsg.OffsetFetchResponseGroup, version int16) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if version >= fetchHasGroups {
		resp.Groups = []kmsg.OffsetFetchResponseGroup{group}
		return resp
	}
	resp.ErrorCode = group.ErrorCode
	for _, topic := range group.Topics {
		rt := kmsg.OffsetFetchResponseTopic{Topic: topic.Topic}
		for _, p := range topic.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchError is the group's error, which v1 repeats for each partition.
func fetchError(req *kmsg.OffsetFetchRequest, version int16, err error) *kmsg.OffsetFetchResponse {
	f, _ := fetchingOf(req, version)
	group := kmsg.OffsetFetchResponseGroup{Group: f.group, ErrorCode: code(err)}
	if version >= fetchHasGroupError {
		return fetchResponse(group, version)
	}
	group.ErrorCode = 0
	for _, topic := range f.topics {
		rt := kmsg.OffsetFetchResponseGroupTopic{Topic: topic.Topic}
		for _, p := range topic.Partitions {
			rp := noOffset(p)
			rp.ErrorCode = code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		group.Topics = append(group.Topics, rt)
	}
	return fetchResponse(group, version)
}

package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// From version 10 on, OffsetCommit and OffsetFetch name topics by id alone (KIP-848). The group knows names: it is asked
// in the form of version 9.
const (
	offsetsByTopicID = 10
	offsetsByName    = 9
)

// offsetCommit answers OffsetCommit (8). Topics that are not there are answered here; the rest is the group's.
func (s *Server) offsetCommit(ctx context.Context, c *Call, req *kmsg.OffsetCommitRequest) Response {
	img := s.Metadata.Image()
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	ask := *req
	ask.Version = min(req.Version, offsetsByName)
	ask.Topics = nil
	for _, t := range req.Topics {
		topic, code := commitTopic(img, c.Version, t)
		if code != 0 {
			resp.Topics = append(resp.Topics, refusedCommit(t, code))
			continue
		}
		there, unknown := splitPartitions(t, len(topic.Partitions))
		if unknown.Topic = topic.Name; len(unknown.Partitions) > 0 {
			resp.Topics = append(resp.Topics, refusedCommit(unknown, kerr.UnknownTopicOrPartition.Code))
		}
		if there.Topic, there.TopicID = topic.Name, topic.ID; len(there.Partitions) > 0 {
			ask.Topics = append(ask.Topics, there)
		}
	}
	if len(ask.Topics) == 0 && len(req.Topics) > 0 {
		return resp
	}
	for _, t := range s.askGroup(ctx, c, req.Group, &ask).(*kmsg.OffsetCommitResponse).Topics {
		if topic, ok := img.Topic(t.Topic); ok && c.Version >= offsetsByTopicID {
			t.TopicID = topic.ID
		}
		resp.Topics = addCommitted(resp.Topics, t)
	}
	return resp
}

// addCommitted puts what the group says of a topic behind what was said of its unknown partitions.
func addCommitted(topics []kmsg.OffsetCommitResponseTopic, t kmsg.OffsetCommitResponseTopic) []kmsg.OffsetCommitResponseTopic {
	for i := range topics {
		if topics[i].Topic == t.Topic && topics[i].TopicID == t.TopicID {
			topics[i].Partitions = append(topics[i].Partitions, t.Partitions...)
			return topics
		}
	}
	return append(topics, t)
}

// splitPartitions parts what a commit says of a topic's n partitions from what it says of others.
func splitPartitions(t kmsg.OffsetCommitRequestTopic, n int) (there, unknown kmsg.OffsetCommitRequestTopic) {
	there, unknown = t, t
	there.Partitions, unknown.Partitions = nil, nil
	for _, p := range t.Partitions {
		if p.Partition >= 0 && int(p.Partition) < n {
			there.Partitions = append(there.Partitions, p)
		} else {
			unknown.Partitions = append(unknown.Partitions, p)
		}
	}
	return there, unknown
}

// commitTopic finds the topic that a commit names, by id or by name.
func commitTopic(img *metadata.Image, version int16, t kmsg.OffsetCommitRequestTopic) (*metadata.Topic, int16) {
	if version >= offsetsByTopicID {
		if topic, ok := img.TopicByID(t.TopicID); ok {
			return topic, 0
		}
		return nil, kerr.UnknownTopicID.Code
	}
	if topic, ok := img.Topic(t.Topic); ok {
		return topic, 0
	}
	return nil, kerr.UnknownTopicOrPartition.Code
}

func refusedCommit(t kmsg.OffsetCommitRequestTopic, code int16) kmsg.OffsetCommitResponseTopic {
	out := kmsg.NewOffsetCommitResponseTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	for _, p := range t.Partitions {
		rp := kmsg.NewOffsetCommitResponseTopicPartition()
		rp.Partition, rp.ErrorCode = p.Partition, code
		out.Partitions = append(out.Partitions, rp)
	}
	return out
}

// offsetFetch answers OffsetFetch (9). From version 8 on it names several groups, which are asked one by one.
func (s *Server) offsetFetch(ctx context.Context, c *Call, req *kmsg.OffsetFetchRequest) Response {
	if c.Version < 8 {
		return s.askGroup(ctx, c, req.Group, req)
	}
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	for _, g := range req.Groups {
		ask := *req
		ask.Version = min(req.Version, offsetsByName)
		resp.Groups = append(resp.Groups, s.fetchGroupOffsets(ctx, c, &ask, g))
	}
	return resp
}

// fetchGroupOffsets asks one group; ask is the request in the form of version 9, and its groups are replaced.
func (s *Server) fetchGroupOffsets(ctx context.Context, c *Call, ask *kmsg.OffsetFetchRequest, g kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	img := s.Metadata.Image()
	var unknown []kmsg.OffsetFetchResponseGroupTopic
	if c.Version >= offsetsByTopicID {
		g.Topics, unknown = nameTopics(img, g.Topics)
	}
	ask.Groups = []kmsg.OffsetFetchRequestGroup{g}
	out := s.askGroup(ctx, c, g.Group, ask).(*kmsg.OffsetFetchResponse).Groups[0]
	if c.Version < offsetsByTopicID || out.ErrorCode != 0 {
		return out
	}
	topics := unknown
	for _, t := range out.Topics {
		// An offset of a topic that is gone has no id to be told by.
		if topic, ok := img.Topic(t.Topic); ok {
			t.TopicID = topic.ID
			topics = append(topics, t)
		}
	}
	out.Topics = topics
	return out
}

// nameTopics puts names to topic ids; ids that are not there are answered apart. No topics (null) stand for all.
func nameTopics(img *metadata.Image, topics []kmsg.OffsetFetchRequestGroupTopic) (named []kmsg.OffsetFetchRequestGroupTopic, unknown []kmsg.OffsetFetchResponseGroupTopic) {
	if topics == nil {
		return nil, nil
	}
	named = []kmsg.OffsetFetchRequestGroupTopic{}
	for _, t := range topics {
		if topic, ok := img.TopicByID(kafka.TopicID(t.TopicID)); ok {
			t.Topic = topic.Name
			named = append(named, t)
			continue
		}
		u := kmsg.NewOffsetFetchResponseGroupTopic()
		u.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = p, -1, -1
			rp.ErrorCode, rp.Metadata = kerr.UnknownTopicID.Code, kmsg.StringPtr("")
			u.Partitions = append(u.Partitions, rp)
		}
		unknown = append(unknown, u)
	}
	return named, unknown
}

// offsetDelete answers OffsetDelete (47, KIP-496). Partitions that are not there are answered here; the rest is the group's.
func (s *Server) offsetDelete(ctx context.Context, c *Call, req *kmsg.OffsetDeleteRequest) Response {
	img := s.Metadata.Image()
	ask := *req
	ask.Topics = nil
	var unknown []kmsg.OffsetDeleteResponseTopic
	for _, t := range req.Topics {
		there, gone := kmsg.OffsetDeleteRequestTopic{Topic: t.Topic}, kmsg.OffsetDeleteResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			if _, ok := img.Partition(kafka.TopicPartition{Topic: t.Topic, Partition: p.Partition}); ok {
				there.Partitions = append(there.Partitions, p)
				continue
			}
			gone.Partitions = append(gone.Partitions, kmsg.OffsetDeleteResponseTopicPartition{
				Partition: p.Partition, ErrorCode: kerr.UnknownTopicOrPartition.Code,
			})
		}
		if len(there.Partitions) > 0 {
			ask.Topics = append(ask.Topics, there)
		}
		if len(gone.Partitions) > 0 {
			unknown = append(unknown, gone)
		}
	}
	resp := s.askGroup(ctx, c, req.Group, &ask).(*kmsg.OffsetDeleteResponse)
	if resp.ErrorCode == 0 {
		resp.Topics = append(resp.Topics, unknown...)
	}
	return resp
}

package sharestate

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/share"
)

// What the group coordinator asks: these are its groups.ShareStates.

// Initialize begins the state of partitions, from where their first leader finds that the group is to begin, and tells for
// which that was done and for which not.
func (s *Coordinator) Initialize(ctx context.Context, group string, stateEpoch int32, topics []share.Partitions) (done, failed []share.Partitions) {
	req := kmsg.NewPtrInitializeShareGroupStateRequest()
	req.GroupID = group
	for _, topic := range topics {
		rt := kmsg.NewInitializeShareGroupStateRequestTopic()
		rt.TopicID = topic.Topic
		for _, p := range topic.Partitions {
			rp := kmsg.NewInitializeShareGroupStateRequestTopicPartition()
			rp.Partition, rp.StateEpoch, rp.StartOffset = p, stateEpoch, int64(kafka.NoOffset)
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	for _, topic := range s.Ask(ctx, req).(*kmsg.InitializeShareGroupStateResponse).Topics {
		var yes, no []int32
		for _, p := range topic.Partitions {
			if p.ErrorCode == 0 {
				yes = append(yes, p.Partition)
			} else {
				s.cfg.Log.Warn("the state of a share group's partition cannot begin", "group", group, "topic_id", kafka.TopicID(topic.TopicID), "partition", p.Partition,
					"err", kerr.ErrorForCode(p.ErrorCode))
				no = append(no, p.Partition)
			}
		}
		done, failed = appendPartitions(done, topic.TopicID, yes), appendPartitions(failed, topic.TopicID, no)
	}
	return done, failed
}

func appendPartitions(to []share.Partitions, topic kafka.TopicID, partitions []int32) []share.Partitions {
	if len(partitions) == 0 {
		return to
	}
	return append(to, share.Partitions{Topic: topic, Partitions: partitions})
}

// Delete ends the state of partitions. After an error some of it may still be there.
func (s *Coordinator) Delete(ctx context.Context, group string, topics []share.Partitions) error {
	req := kmsg.NewPtrDeleteShareGroupStateRequest()
	req.GroupID = group
	for _, topic := range topics {
		rt := kmsg.NewDeleteShareGroupStateRequestTopic()
		rt.TopicID = topic.Topic
		for _, p := range topic.Partitions {
			rp := kmsg.NewDeleteShareGroupStateRequestTopicPartition()
			rp.Partition = p
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	for _, topic := range s.Ask(ctx, req).(*kmsg.DeleteShareGroupStateResponse).Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("delete the state of group %q in %v-%d: %w", group, kafka.TopicID(topic.TopicID), p.Partition, err)
			}
		}
	}
	return nil
}

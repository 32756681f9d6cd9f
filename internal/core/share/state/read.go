package state

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

func read(req *kmsg.ReadShareGroupStateRequest, each func(Key, kafka.LeaderEpoch) (*saved, error)) kmsg.Response {
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	for _, topic := range req.Topics {
		rt := kmsg.ReadShareGroupStateResponseTopic{TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			v, err := each(Key{req.GroupID, topic.TopicID, p.Partition}, kafka.LeaderEpoch(p.LeaderEpoch))
			rp := kmsg.ReadShareGroupStateResponseTopicPartition{Partition: p.Partition}
			if rp.ErrorCode, rp.ErrorMessage = code(err); err == nil {
				rp.StateEpoch, rp.StartOffset, rp.StateBatches = v.stateEpoch, int64(v.start), v.answer()
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (v *saved) answer() []kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch {
	var batches []kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch
	for _, b := range v.batches {
		batches = append(batches, kmsg.ReadShareGroupStateResponseTopicPartitionStateBatch{
			FirstOffset: int64(b.First), LastOffset: int64(b.Last), DeliveryState: int8(b.State), DeliveryCount: b.Deliveries,
		})
	}
	return batches
}

// read is for a leader that begins, and notes its epoch: what an older one writes is refused from then on.
func (t *turn) read(k Key, leader kafka.LeaderEpoch) (*saved, error) {
	v, err := t.check(k, leader, noStateEpoch)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, fmt.Errorf("read of %v, which was not initialized: %w", k, kerr.InvalidRequest)
	}
	if leader > v.leaderEpoch {
		t.update(k, v, update{snapshotEpoch: v.snapshotEpoch, leaderEpoch: leader, start: v.start, complete: v.complete})
	}
	return v, nil
}

func summarize(req *kmsg.ReadShareGroupStateSummaryRequest, each func(Key, kafka.LeaderEpoch) (*saved, error)) kmsg.Response {
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	for _, topic := range req.Topics {
		rt := kmsg.ReadShareGroupStateSummaryResponseTopic{TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			v, err := each(Key{req.GroupID, topic.TopicID, p.Partition}, kafka.LeaderEpoch(p.LeaderEpoch))
			rp := kmsg.ReadShareGroupStateSummaryResponseTopicPartition{Partition: p.Partition, DeliveryCompleteCount: noDeliveryComplete}
			if rp.ErrorCode, rp.ErrorMessage = code(err); err == nil {
				rp.StateEpoch, rp.LeaderEpoch = v.stateEpoch, int32(v.leaderEpoch)
				rp.StartOffset, rp.DeliveryCompleteCount = int64(v.start), v.complete
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// summary is for those who only look how far groups are, by what is committed. They need not be leaders, and the partition
// need not have been initialized.
func (t *turn) summary(k Key, _ kafka.LeaderEpoch) (*saved, error) {
	if _, err := t.check(k, kafka.NoLeaderEpoch, noStateEpoch); err != nil {
		return nil, err
	}
	if v, ok := t.s.saved.Committed(k); ok {
		return v, nil
	}
	return &saved{start: kafka.NoOffset, complete: noDeliveryComplete}, nil
}

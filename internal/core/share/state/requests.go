package state

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
)

var errUnsupported = fmt.Errorf("not a request of the share coordinator: %w", kerr.UnsupportedVersion)

// check is what a request must pass for its partition. It returns what is kept of it, nil when that is nothing. The epochs
// are those that the request has, or none.
func (t *turn) check(k Key, leader kafka.LeaderEpoch, stateEpoch int32) (*saved, error) {
	if k.Topic.IsZero() || k.Partition < 0 {
		return nil, fmt.Errorf("partition %v: %w", k, kerr.InvalidRequest)
	}
	v, ok := t.s.saved.Get(k)
	if !ok {
		return nil, nil
	}
	if leader != kafka.NoLeaderEpoch && leader < v.leaderEpoch {
		return nil, fmt.Errorf("leader epoch %d of %v is %d by now: %w", leader, k, v.leaderEpoch, kerr.FencedLeaderEpoch)
	}
	if stateEpoch != noStateEpoch && stateEpoch < v.stateEpoch {
		return nil, fmt.Errorf("state epoch %d of %v is %d by now: %w", stateEpoch, k, v.stateEpoch, kerr.FencedStateEpoch)
	}
	return v, nil
}

// initialize answers a request by what each says of its partitions.
func initialize(req *kmsg.InitializeShareGroupStateRequest, each func(Key, kmsg.InitializeShareGroupStateRequestTopicPartition) error) kmsg.Response {
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	for _, topic := range req.Topics {
		rt := kmsg.InitializeShareGroupStateResponseTopic{TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			rp := kmsg.InitializeShareGroupStateResponseTopicPartition{Partition: p.Partition}
			rp.ErrorCode, rp.ErrorMessage = code(each(Key{req.GroupID, topic.TopicID, p.Partition}, p))
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// begin begins the state of a partition, or begins it anew by a later state epoch.
func (t *turn) begin(k Key, p kmsg.InitializeShareGroupStateRequestTopicPartition) error {
	old, err := t.check(k, kafka.NoLeaderEpoch, p.StateEpoch)
	if err != nil {
		return err
	}
	v := saved{stateEpoch: p.StateEpoch, start: kafka.Offset(p.StartOffset), complete: noDeliveryComplete,
		created: t.millis(), written: t.millis()}
	if v.start != kafka.NoOffset {
		v.complete = 0
	}
	if old != nil {
		v.snapshotEpoch, v.leaderEpoch = old.snapshotEpoch+1, old.leaderEpoch
	}
	t.record(k.record(snapshotKind), v.appendSnapshot(nil))
	return nil
}

func write(req *kmsg.WriteShareGroupStateRequest, each func(Key, kmsg.WriteShareGroupStateRequestTopicPartition) error) kmsg.Response {
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	for _, topic := range req.Topics {
		rt := kmsg.WriteShareGroupStateResponseTopic{TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			rp := kmsg.WriteShareGroupStateResponseTopicPartition{Partition: p.Partition}
			rp.ErrorCode, rp.ErrorMessage = code(each(Key{req.GroupID, topic.TopicID, p.Partition}, p))
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// write takes in what became of records.
func (t *turn) write(k Key, p kmsg.WriteShareGroupStateRequestTopicPartition) error {
	old, err := t.check(k, kafka.LeaderEpoch(p.LeaderEpoch), p.StateEpoch)
	if err != nil {
		return err
	}
	if old == nil {
		return fmt.Errorf("write to %v, which was not initialized: %w", k, kerr.InvalidRequest)
	}
	u := update{
		snapshotEpoch: old.snapshotEpoch, leaderEpoch: old.leaderEpoch,
		start: kafka.Offset(p.StartOffset), complete: p.DeliveryCompleteCount,
	}
	for _, b := range p.StateBatches {
		u.batches = append(u.batches, share.StateBatch{
			First: kafka.Offset(b.FirstOffset), Last: kafka.Offset(b.LastOffset), State: share.DeliveryState(b.DeliveryState), Deliveries: b.DeliveryCount,
		})
	}
	if err := checkBatches(u.batches); err != nil {
		return fmt.Errorf("write to %v: %w: %w", k, err, kerr.InvalidRequest)
	}
	u.batches = combine(nil, u.batches, u.start)
	t.update(k, old, u)
	return nil
}

// update writes u, as a snapshot of everything when there were enough updates since the last one.
func (t *turn) update(k Key, old *saved, u update) {
	if old.updates < t.s.cfg.UpdatesPerSnapshot {
		t.record(k.record(updateKind), u.appendUpdate(nil))
		return
	}
	t.snapshot(k, old.merge(u))
}

func (t *turn) snapshot(k Key, v *saved) {
	next := *v
	next.snapshotEpoch++
	next.written = t.millis()
	t.record(k.record(snapshotKind), next.appendSnapshot(nil))
}

func remove(req *kmsg.DeleteShareGroupStateRequest, each func(Key) error) kmsg.Response {
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	for _, topic := range req.Topics {
		rt := kmsg.DeleteShareGroupStateResponseTopic{TopicID: topic.TopicID}
		for _, p := range topic.Partitions {
			rp := kmsg.DeleteShareGroupStateResponseTopicPartition{Partition: p.Partition}
			rp.ErrorCode, rp.ErrorMessage = code(each(Key{req.GroupID, topic.TopicID, p.Partition}))
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// remove ends the state of a partition. There may be none.
func (t *turn) remove(k Key) error {
	old, err := t.check(k, kafka.NoLeaderEpoch, noStateEpoch)
	if old != nil {
		t.record(k.record(snapshotKind), nil)
	}
	return err
}

// code is err as a response has it.
func code(err error) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	text := err.Error()
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code, &text
	}
	return kerr.UnknownServerError.Code, &text
}

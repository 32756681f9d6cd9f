package app

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

func TestOffsetsOfPartitionsThatAreNotThereAreRefused(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	defer w.stop()
	w.create("orders", nil)
	var offsets kadm.Offsets
	for _, p := range []int32{0, 3, -1} {
		offsets.AddOffset("orders", p, 7, -1)
	}
	answers, err := w.admin.CommitOffsets(w.ctx, "billing", offsets)
	for err == nil && errors.Is(answers["orders"][0].Err, kerr.CoordinatorLoadInProgress) {
		answers, err = w.admin.CommitOffsets(w.ctx, "billing", offsets) // the topic was made by the first
	}
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[int32]error{0: nil, 3: kerr.UnknownTopicOrPartition, -1: kerr.UnknownTopicOrPartition} {
		if got := answers["orders"][p]; got.Err != want {
			t.Errorf("partition %d: %v, want %v", p, got.Err, want)
		}
	}
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "billing"
	for _, name := range []string{"orders", "nowhere"} {
		topic := kmsg.NewOffsetDeleteRequestTopic()
		topic.Topic = name
		topic.Partitions = []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}
		del.Topics = append(del.Topics, topic)
	}
	resp, err := del.RequestWith(w.ctx, w.client)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[kafka.TopicPartition]int16{}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			codes[kafka.TopicPartition{Topic: topic.Topic, Partition: p.Partition}] = p.ErrorCode
		}
	}
	for tp, code := range codes {
		if (code == 0) != (tp == kafka.TopicPartition{Topic: "orders"}) {
			t.Errorf("delete of %s: code %d", tp, code)
		}
	}
	if len(codes) != 4 {
		t.Errorf("%d answers of 4", len(codes))
	}
}

// An adopted offsets topic keeps its number of partitions; the one made in its place has the configured number.
func TestGroupsOutliveAStopAfterTheOffsetsTopicWasMadeAnew(t *testing.T) {
	disk := vfs.NewMem()
	w := newWorld(t, disk, map[string]string{"offsets.topic.num.partitions": "3"})
	w.start()
	w.create("orders", nil)
	w.produce("orders", values(0, 10)...)
	w.consume("billing", "orders", 10)
	w.stop()

	w = newWorld(t, disk, map[string]string{"offsets.topic.num.partitions": "50"})
	w.start()
	if _, err := w.admin.DeleteTopic(w.ctx, kafka.OffsetsTopic); err != nil {
		t.Fatal(err)
	}
	groups := []string{"billing", "audit", "shipping", "returns"}
	for _, g := range groups {
		w.consume(g, "orders", 10)
	}
	w.stop()

	w.start()
	defer w.stop()
	for _, g := range groups {
		offsets, err := w.admin.FetchOffsets(w.ctx, g)
		if err != nil || len(offsets["orders"]) == 0 {
			t.Errorf("%s has lost its offsets: %v %v", g, offsets, err)
		}
	}
}

func TestCursorsThatFitNoTopicAreRefused(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	defer w.stop()
	w.create("orders", nil)
	for _, c := range []kmsg.DescribeTopicPartitionsRequestCursor{{Topic: "nowhere"}, {Topic: "orders", Partition: -1}} {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = 10, &c
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "orders"}}
		resp, err := req.RequestWith(w.ctx, w.client)
		if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != kerr.InvalidRequest.Code {
			t.Errorf("%+v: %+v %v", c, resp, err)
		}
	}
}

// What is set for a group of the consumer protocol counts from the next heartbeat on; what is out of the node's bounds is refused.
func TestGroupConfigsCountAtOnce(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"group.consumer.max.heartbeat.interval.ms": "20000"})
	w.start()
	defer w.stop()
	alter := func(op kmsg.IncrementalAlterConfigOp, value string) int16 {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
		r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "consumer.heartbeat.interval.ms", Op: op, Value: &value}}
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(w.ctx, w.client)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Resources[0].ErrorCode
	}
	beat := func(epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch = "g", "m", epoch
		if epoch == 0 {
			req.RebalanceTimeoutMillis, req.Topics, req.SubscribedTopicNames = 1000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}, []string{"t"}
		}
		resp, err := req.RequestWith(w.ctx, w.client)
		if err != nil || resp.ErrorCode != 0 {
			t.Fatal(err, resp)
		}
		return resp
	}
	joined := beat(0)
	for _, c := range []struct {
		op       kmsg.IncrementalAlterConfigOp
		value    string
		code     int16
		interval int32
	}{
		{kmsg.IncrementalAlterConfigOpSet, "17000", 0, 17000},
		{kmsg.IncrementalAlterConfigOpSet, "20001", kerr.InvalidConfig.Code, 17000},
		{kmsg.IncrementalAlterConfigOpDelete, "", 0, 5000},
	} {
		if code := alter(c.op, c.value); code != c.code {
			t.Errorf("%v %s: code %d, want %d", c.op, c.value, code, c.code)
		}
		if resp := beat(joined.MemberEpoch); resp.HeartbeatIntervalMillis != c.interval {
			t.Errorf("after %v %s members are told %d ms, not %d", c.op, c.value, resp.HeartbeatIntervalMillis, c.interval)
		}
	}
}

package api

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// prefer has the first of two nodes lead a partition, from the Image on; applied is called for this node to hear of it.
func (w *world) prefer(topic string, first, second int32) (applied func()) {
	w.t.Helper()
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Replicas: []int32{first, second}}}}}
	w.must(w.Submit(context.Background(), move))
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	out := w.ctl.Step(time.Now(), w.rnd, w.Image(), elect)
	if out.Err != nil || len(out.Records) == 0 {
		w.t.Fatalf("node %d is not elected: %v", first, out.Err)
	}
	next, delta := w.Image().Apply(out.Records, w.Image().Offset()+kafka.Offset(len(out.Records)))
	w.img.Store(next)
	return func() { w.set.Apply(delta, next) }
}

// Clients that the leader before has told of this one can be there before this one knows. They are not refused.
func TestClientsThatComeBeforeTheNewsWait(t *testing.T) {
	w := newWorld(t)
	w.follower(1)
	id := w.replicated("t", 1)
	w.produceAs("t", "before")
	w.prefer("t", 2, 1)()
	for what, come := range map[string]func() int16{
		"produce": func() int16 {
			return ask[*kmsg.ProduceResponse](w, produceRequest("t", id, 0, 1, records("x")), 13).Topics[0].Partitions[0].ErrorCode
		},
		"fetch": func() int16 {
			req := fetchOf("", id, 0)
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = w.epochOf("t")
			return ask[*kmsg.FetchResponse](w, req, 16).Topics[0].Partitions[0].ErrorCode
		},
		"list offsets": func() int16 {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID = -1
			req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -2, CurrentLeaderEpoch: w.epochOf("t")}}}}
			return ask[*kmsg.ListOffsetsResponse](w, req, 7).Topics[0].Partitions[0].ErrorCode
		},
		"end of epoch": func() int16 {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: w.epochOf("t"), LeaderEpoch: 0}}}}
			return ask[*kmsg.OffsetForLeaderEpochResponse](w, req, 4).Topics[0].Partitions[0].ErrorCode
		},
	} {
		applied := w.prefer("t", 1, 2)
		w.later(20*time.Millisecond, applied)
		if code := come(); code != 0 {
			t.Errorf("%s: %v", what, kerr.ErrorForCode(code))
		}
		w.prefer("t", 2, 1)()
		// Who comes to a node that does not lead is told so at once.
		began := time.Now()
		if code := come(); what == "produce" && (code != kerr.NotLeaderForPartition.Code || time.Since(began) > earlyPatience/2) {
			t.Errorf("%s: %v after %v", what, kerr.ErrorForCode(code), time.Since(began))
		}
	}
}

func (w *world) epochOf(topic string) int32 {
	p, ok := w.Image().Partition(kafka.TopicPartition{Topic: topic})
	if !ok {
		w.t.Fatalf("there is no %s", topic)
	}
	return int32(p.LeaderEpoch)
}

func (w *world) produceAs(topic, value string) {
	w.t.Helper()
	resp := ask[*kmsg.ProduceResponse](w, produceRequest(topic, kafka.TopicID{}, 0, 1, records(value)), 9)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		w.t.Fatal(kerr.ErrorForCode(code))
	}
}

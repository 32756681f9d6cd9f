package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share/state"
)

// shareCoordinator finds who keeps the state of a share group's partition, asking one node.
func (w *world) shareCoordinator(k state.Key, by int) (int32, error) {
	w.t.Helper()
	cl := w.client(kgo.SeedBrokers(address(by)))
	defer cl.Close()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKeys = 2, []string{k.String()}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	resp, err := cl.Broker(by).Request(ctx, req)
	if err != nil {
		return -1, err
	}
	c := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
	return c.NodeID, kerr.ErrorForCode(c.ErrorCode)
}

// askShareState has the coordinator of k answer, as soon as there is one that is not dead.
func (w *world) askShareState(k state.Key, by int, dead int32, req kmsg.Request) kmsg.Response {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		node, err := w.shareCoordinator(k, by)
		if err != nil || node == dead {
			continue
		}
		cl := w.client(kgo.SeedBrokers(address(int(node))))
		resp, err := cl.Broker(int(node)).Request(w.t.Context(), req)
		cl.Close()
		if err == nil && !loads(resp) {
			return resp
		}
	}
	w.t.Fatalf("no share coordinator of %v", k)
	return nil
}

// loads tells that a coordinator is not there yet, by the answer about one partition.
func loads(resp kmsg.Response) bool {
	var code int16
	switch resp := resp.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		code = resp.Topics[0].Partitions[0].ErrorCode
	case *kmsg.ReadShareGroupStateResponse:
		code = resp.Topics[0].Partitions[0].ErrorCode
	case *kmsg.WriteShareGroupStateResponse:
		code = resp.Topics[0].Partitions[0].ErrorCode
	}
	return code == kerr.CoordinatorLoadInProgress.Code || code == kerr.NotCoordinator.Code
}

// TestShareStateOutlivesItsCoordinator writes what a partition of a share group is to remember, and reads it from the next coordinator.
func TestShareStateOutlivesItsCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.voters(3)
		k := state.Key{Group: "g:h", Topic: kafka.TopicID{1}, Partition: 3}
		begin := kmsg.NewPtrInitializeShareGroupStateRequest()
		begin.GroupID = k.Group
		begin.Topics = []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: k.Topic,
			Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{Partition: 3, StateEpoch: 1, StartOffset: 10}}}}
		if code := w.askShareState(k, 1, -1, begin).(*kmsg.InitializeShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		if p := w.partition(kafka.ShareTopic); len(p.Replicas) != 3 {
			t.Errorf("%+v", p)
		}
		w.await(kafka.ShareTopic, func(p kadm.PartitionDetail) bool { return len(p.ISR) == 3 })
		node, err := w.shareCoordinator(k, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []int{2, 3} {
			if same, err := w.shareCoordinator(k, other); same != node || err != nil {
				t.Errorf("node %d says that the coordinator is %d, not %d: %v", other, same, node, err)
			}
		}
		if _, err := w.shareCoordinator(state.Key{Group: " "}, 1); err != kerr.InvalidRequest {
			t.Errorf("a key without a group: %v", err)
		}

		write := kmsg.NewPtrWriteShareGroupStateRequest()
		write.GroupID = k.Group
		write.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: k.Topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{
			Partition: 3, StateEpoch: 1, LeaderEpoch: 4, StartOffset: 12,
			StateBatches: []kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{{FirstOffset: 14, LastOffset: 15, DeliveryState: 2, DeliveryCount: 1}},
		}}}}
		if code := w.askShareState(k, 1, -1, write).(*kmsg.WriteShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		w.kill(int(node), true)
		read := kmsg.NewPtrReadShareGroupStateRequest()
		read.GroupID = k.Group
		read.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: k.Topic, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{Partition: 3, LeaderEpoch: 5}}}}
		p := w.askShareState(k, int(node%3+1), node, read).(*kmsg.ReadShareGroupStateResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.StateEpoch != 1 || p.StartOffset != 12 || len(p.StateBatches) != 1 || p.StateBatches[0].FirstOffset != 14 || p.StateBatches[0].DeliveryState != 2 {
			t.Errorf("the next coordinator has %+v", p)
		}
		if code := w.askShareState(k, int(node%3+1), node, write).(*kmsg.WriteShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode; code != kerr.FencedLeaderEpoch.Code {
			t.Errorf("a write of the leader before: %v", kerr.ErrorForCode(code))
		}
	})
}

package app

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/headrace/headrace/internal/base/vfs"
)

// A member of an application of Kafka Streams joins: the topics that its store and its repartitioning need are made, with the configs that
// it asked for, and then it gets its tasks.
func TestInternalTopicsOfAnApplicationAreMade(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"group.streams.initial.rebalance.delay.ms": "0", "group.streams.assignment.interval.ms": "0"})
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(88, 0) // which the client does not speak by itself
	w.start(kgo.MaxVersions(versions))
	defer w.stop()
	w.create("orders", nil)
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	process := "p"
	req.Group, req.MemberID, req.RebalanceTimeoutMillis, req.ProcessID = "app", "m", 60_000, &process
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	topology := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	read, count := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology(), kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	read.SubtopologyID, read.SourceTopics, read.RepartitionSinkTopics = "0", []string{"orders"}, []string{"app-repartition"}
	count.SubtopologyID, count.RepartitionSourceTopics = "1", []kmsg.TopicInfo{{Topic: "app-repartition"}}
	count.StateChangelogTopics = []kmsg.TopicInfo{{Topic: "app-changelog", Configs: []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}}}}
	topology.Subtopologies = append(topology.Subtopologies, read, count)
	req.Topology = &topology

	tasks := 0
	for deadline := time.Now().Add(30 * time.Second); tasks != 2 && time.Now().Before(deadline); {
		answer, err := w.client.Broker(1).Request(w.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		resp := answer.(*kmsg.StreamsGroupHeartbeatResponse)
		switch err := kerr.ErrorForCode(resp.ErrorCode); {
		case err == kerr.CoordinatorLoadInProgress || err == kerr.NotCoordinator || err == kerr.CoordinatorNotAvailable:
			find := kmsg.NewPtrFindCoordinatorRequest() // makes the topic of offsets
			find.CoordinatorKey = "app"
			if _, err := find.RequestWith(w.ctx, w.client); err != nil {
				t.Fatal(err)
			}
			continue
		case err != nil:
			t.Fatalf("%v: %v", err, resp.ErrorMessage)
		}
		if resp.ActiveTasks != nil {
			tasks = len(resp.ActiveTasks)
		}
		req.MemberEpoch, req.Topology, req.RebalanceTimeoutMillis = resp.MemberEpoch, nil, -1
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = nil, nil, nil
	}
	if tasks != 2 {
		t.Fatalf("it has tasks of %d subtopologies", tasks)
	}
	img := w.node.image.Load()
	orders, _ := img.Topic("orders")
	for _, name := range []string{"app-repartition", "app-changelog"} {
		topic, ok := img.Topic(name)
		if !ok || len(topic.Partitions) != len(orders.Partitions) {
			t.Errorf("%s: there: %v, %d partitions of %d", name, ok, len(topic.Partitions), len(orders.Partitions))
		}
	}
	configs, err := w.admin.DescribeTopicConfigs(w.ctx, "app-changelog")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "cleanup.policy" && *c.Value != "compact" {
			t.Errorf("cleanup.policy is %s", *c.Value)
		}
	}
}

package wire

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAwaitMakesATopicAndSeesItsRecord(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	r, err := Await(t.Context(), c.ListenAddrs()[0], Probe{Topic: "t", Partitions: 7, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Metadata.Before(begin) || r.Serves.Before(r.Metadata) || r.All.Before(r.Serves) {
		t.Errorf("the steps came out of order: %+v", r)
	}
}

func TestAwaitIsNotContentWithErrors(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	asked := make(chan struct{}, 1)
	c.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		part := kmsg.NewListOffsetsResponseTopicPartition()
		part.ErrorCode = 6 // NOT_LEADER_OR_FOLLOWER
		topic.Partitions = append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	r, err := Await(ctx, c.ListenAddrs()[0], Probe{Topic: "t", Partitions: 3})
	if err == nil || !strings.Contains(err.Error(), "list offsets") {
		t.Errorf("Await = %v, want the step that failed", err)
	}
	if r.Serves.IsZero() || !r.All.IsZero() {
		t.Errorf("Await tells %+v, want all but the last step", r)
	}
}

func TestAClusterIsSeenFromOneOfItsNodes(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(7, "t", "u"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	address := c.ListenAddrs()[0]
	if err := AwaitNodes(t.Context(), address, 3); err != nil {
		t.Error(err)
	}
	// Three replicas of each partition: a node has one of all, and leads some.
	if _, err := AwaitShare(t.Context(), address, 1, func(s Share) bool { return s == Share{14, 14} }); err != nil {
		t.Error(err)
	}
	if _, err := AwaitEnds(t.Context(), address, 14); err != nil {
		t.Error(err)
	}
	for name, wait := range map[string]func(context.Context) error{
		"nodes": func(ctx context.Context) error { return AwaitNodes(ctx, address, 4) },
		"share": func(ctx context.Context) error {
			_, err := AwaitShare(ctx, address, 1, func(s Share) bool { return s.Replicas > 14 })
			return err
		},
		"ends": func(ctx context.Context) error { _, err := AwaitEnds(ctx, address, 15); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*lookAgain)
		if err := wait(ctx); err == nil {
			t.Errorf("%s: content with less than it waits for", name)
		}
		cancel()
	}
}

func TestAShareCountsWhatIsInSync(t *testing.T) {
	partition := func(replicas, isr []int32) kmsg.MetadataResponseTopicPartition {
		return kmsg.MetadataResponseTopicPartition{Replicas: replicas, ISR: isr}
	}
	m := &kmsg.MetadataResponse{Topics: []kmsg.MetadataResponseTopic{{Partitions: []kmsg.MetadataResponseTopicPartition{
		partition([]int32{1, 2, 3}, []int32{1, 2, 3}), partition([]int32{2, 3, 1}, []int32{2, 1}), partition([]int32{1, 2}, []int32{1}),
	}}}}
	for node, want := range map[int32]Share{1: {3, 3}, 2: {3, 2}, 3: {2, 1}, 4: {}} {
		if got := shareOf(m, node); got != want {
			t.Errorf("node %d has %+v, want %+v", node, got, want)
		}
	}
}

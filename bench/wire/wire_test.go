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

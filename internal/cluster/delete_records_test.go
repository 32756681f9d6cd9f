package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteBefore deletes what lies before an offset of partition 0, and tells how long that took.
func (w *world) deleteBefore(topic string, leader int32, offset int64, timeout time.Duration) (low int64, took time.Duration, err error) {
	w.t.Helper()
	cl := w.client(kgo.SeedBrokers(address(int(leader))))
	defer cl.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = int32(timeout.Milliseconds())
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: offset}}}}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	resp, err := cl.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	p := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	return p.LowWatermark, time.Since(began), kerr.ErrorForCode(p.ErrorCode)
}

// TestRecordsAreDeletedWhenTheFollowersHaveDeletedThem: an answer without an error says that no replica has them any more; one that is
// silent is waited for as long as the request says, or until it is fenced.
func TestRecordsAreDeletedWhenTheFollowersHaveDeletedThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		w.inSync("t")
		w.fill("t", 100)
		leader := w.partition("t").Leader
		low, took, err := w.deleteBefore("t", leader, 40, 10*time.Second)
		if low != 40 || err != nil {
			t.Errorf("low watermark %d, %v", low, err)
		}
		within(t, "deletion", took, 100*time.Millisecond)

		silent := w.node(1)
		if int(leader) == silent.id {
			silent = w.node(2)
		}
		silent.host.silence()
		low, took, err = w.deleteBefore("t", leader, 60, time.Second)
		if low != 40 || err != kerr.RequestTimedOut || took < time.Second {
			t.Errorf("with a follower that is silent: low watermark %d, %v after %v", low, err, took)
		}
		low, took, err = w.deleteBefore("t", leader, 80, 20*time.Second)
		if low != 80 || err != nil || took < 500*time.Millisecond || took > 4*time.Second {
			t.Errorf("until it is fenced: low watermark %d, %v after %v", low, err, took)
		}
		silent.host.heal()
		w.inSync("t")
		low, took, err = w.deleteBefore("t", leader, 90, 10*time.Second)
		if low != 90 || err != nil || took > time.Second {
			t.Errorf("when it is back: low watermark %d, %v after %v", low, err, took)
		}
	})
}

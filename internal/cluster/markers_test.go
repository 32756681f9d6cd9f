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
)

// mark sends a node a marker of producer 7 for one partition, of a transaction of transaction.version 2.
func (w *world) mark(node int32, topic string, partition int32, epoch int16) (took time.Duration, err error) {
	w.t.Helper()
	cl := w.client(kgo.SeedBrokers(address(int(node))))
	defer cl.Close()
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Committed, m.TransactionVersion = 7, epoch, true, 2
	m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: topic, Partitions: []int32{partition}}}
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, m)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	resp, err := cl.Broker(int(node)).Request(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return time.Since(began), kerr.ErrorForCode(resp.(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode)
}

// TestMarkersAreAnsweredWhenTheReplicasHaveThem, in ordinary partitions and in those of the group coordinator, and whoever leads next knows
// them.
func TestMarkersAreAnsweredWhenTheReplicasHaveThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		kadm.NewClient(w.client()).FindGroupCoordinators(t.Context(), "g") // makes __consumer_offsets
		w.voters(3)
		inSync := func(p kadm.PartitionDetail) bool { return len(p.ISR) == 3 }
		w.await("t", inSync)
		w.await("__consumer_offsets", inSync)
		for _, topic := range []string{"t", "__consumer_offsets"} {
			leader := w.partition(topic).Leader
			took, err := w.mark(leader, topic, 0, 3)
			for until := time.Now().Add(5 * time.Second); err == kerr.NotLeaderForPartition && time.Now().Before(until); { // its coordinator loads
				time.Sleep(10 * time.Millisecond)
				took, err = w.mark(leader, topic, 0, 3)
			}
			if err != nil {
				t.Errorf("%s: %v", topic, err)
			}
			within(t, topic, took, 100*time.Millisecond)
			if _, err := w.mark(leader%3+1, topic, 0, 4); err != kerr.NotLeaderForPartition {
				t.Errorf("%s, at another node: %v", topic, err)
			}
		}
		leader := w.partition("t").Leader
		silent := w.node(int(leader%3 + 1))
		silent.host.silence()
		if took, err := w.mark(leader, "t", 0, 5); err != nil || took < 500*time.Millisecond || took > 10*time.Second {
			t.Errorf("with a follower that is silent: %v after %v", err, took)
		}
		silent.host.heal()
		w.await("t", inSync)
		w.kill(int(leader), true)
		w.await("t", func(p kadm.PartitionDetail) bool { return p.Leader >= 0 && p.Leader != leader })
		leader = w.partition("t").Leader
		if _, err := w.mark(leader, "t", 0, 4); err != kerr.InvalidProducerEpoch {
			t.Errorf("a marker of an epoch before, at the next leader: %v", err)
		}
		if _, err := w.mark(leader, "t", 0, 6); err != nil {
			t.Errorf("at the next leader: %v", err)
		}
	})
}

package api

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A replica that catches up above the rate of its leader's throttle is held back no longer than it takes the rate to sink: the fetch that
// waits then goes on by itself, though nobody writes and the follower says nothing new.
func TestAHeldBackFetchGoesOnWhenItsThrottleLetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.throttle = 10_000
		w.follower(1)
		id := w.replicated("t", 2, "leader.replication.throttled.replicas", "0:1")
		broker := w.follower(2) // started again, and no longer in sync
		big := strings.Repeat("x", 30_000)
		for _, value := range []string{big, "b"} {
			ask[*kmsg.ProduceResponse](w, produceRequest("t", id, 0, 1, records(value)), 9)
		}
		req := replicaFetchOf(broker, 0, 0, id, 0, 0)
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = 20_000
		}
		resp := ask[*kmsg.FetchResponse](w, req, 18)
		wantShown(t, resp, fmt.Sprintf("0 code=0 hw=2 start=0 [%s]", big), "1 code=0 hw=0 start=0 []")

		held := replicaFetchOf(broker, resp.SessionID, 1, id, 1)
		held.MaxWaitMillis = 3500
		begun := time.Now()
		wantShown(t, ask[*kmsg.FetchResponse](w, held, 18), "0 code=0 hw=2 start=0 [b]")
		if d := time.Since(begun); d < 2*time.Second || d > 3100*time.Millisecond {
			t.Errorf("30 kB at 10 kB a second hold the next back for %v", d)
		}
	})
}

// What the throttle does not name is not held back by what it names, in the same session.
func TestAHeldBackPartitionHoldsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.throttle = 10_000
		w.follower(1)
		id := w.replicated("t", 2, "leader.replication.throttled.replicas", "0:1")
		broker := w.follower(2)
		big := strings.Repeat("x", 30_000)
		for n, value := range []string{big, "free"} {
			ask[*kmsg.ProduceResponse](w, produceRequest("t", id, int32(n), 1, records(value)), 9)
		}
		ask[*kmsg.ProduceResponse](w, produceRequest("t", id, 0, 1, records("b")), 9)
		req := replicaFetchOf(broker, 0, 0, id, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = 20_000
		session := ask[*kmsg.FetchResponse](w, req, 18).SessionID
		both := replicaFetchOf(broker, session, 1, id, 1, 0)
		both.MaxWaitMillis = 3500
		begun := time.Now()
		wantShown(t, ask[*kmsg.FetchResponse](w, both, 18), "1 code=0 hw=1 start=0 [free]")
		if d := time.Since(begun); d > 0 {
			t.Errorf("answered after %v", d)
		}
	})
}

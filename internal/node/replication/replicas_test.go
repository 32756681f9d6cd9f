package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/controller"
)

func TestFollowersCopyAndAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 2, 1, 2, 3)
		begun := time.Now()
		w.acked(1, "t", 0, "a", "b")
		w.acked(1, "t", 0, "c")
		w.acked(1, "t", 1, "x")
		if d := time.Since(begun); d > 100*time.Millisecond {
			t.Errorf("acknowledged after %v", d)
		}
		w.same("t", 0, "a b c", 1, 2, 3)
		w.same("t", 1, "x", 1, 2, 3)
		if got := w.isr("t", 0); !slices.Equal(got, []kafka.NodeID{1, 2, 3}) {
			t.Errorf("in sync: %v", got)
		}
	})
}

func TestPartitionThatIsNewIsFetchedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("old", 3, 1, 2, 3)
		w.acked(1, "old", 0, "a")
		for i := range 5 { // the sessions are idle, and their requests wait at the leader
			time.Sleep(time.Duration(100*i) * time.Millisecond)
			topic := "new" + string(rune('a'+i))
			w.topic(topic, 1, 1, 2, 3)
			begun := time.Now()
			w.acked(1, topic, 0, "x")
			if d := time.Since(begun); d > 20*time.Millisecond {
				t.Errorf("%s: acknowledged after %v", topic, d)
			}
		}
	})
}

func TestNewLeaderIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 1, 1, 2, 3)
		w.topic("others", 1, 2, 1, 3) // so that 3 has an idle session with 2
		w.acked(1, "t", 0, "a")
		w.acked(2, "others", 0, "x")
		time.Sleep(700 * time.Millisecond)
		w.kill(w.node(1))
		w.fence(1)
		if p, _ := w.image().Partition(kafka.TopicPartition{Topic: "t"}); p.Leader != 2 {
			t.Fatalf("led by %d", p.Leader)
		}
		begun := time.Now()
		w.acked(2, "t", 0, "b")
		if d := time.Since(begun); d > 50*time.Millisecond {
			t.Errorf("acknowledged after %v", d)
		}
		w.same("t", 0, "a b", 2, 3)
	})
}

func TestFollowerCatchesUpAndJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		fs := w.node(3).fs
		w.topic("t", 1, 1, 2, 3)
		w.acked(1, "t", 0, "a")
		w.kill(w.node(3))
		w.fence(3)
		if got := w.isr("t", 0); !slices.Equal(got, []kafka.NodeID{1, 2}) {
			t.Fatalf("in sync: %v", got)
		}
		for range 50 {
			w.acked(1, "t", 0, strings.Repeat("x", 100_000)) // more than one answer holds
		}
		w.start(3, fs)
		took := w.until("node 3 is in sync", func() bool { return slices.Contains(w.isr("t", 0), 3) })
		if took > time.Second {
			t.Errorf("in sync after %v", took)
		}
		w.same("t", 0, w.read(1, "t", 0), 2, 3)
	})
}

func TestFollowerThatIsActiveAgainJoinsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a")
		w.fence(2)
		time.Sleep(1100 * time.Millisecond)
		n, _ := w.image().Node(2)
		w.must(w.submit(controller.FenceNode{ID: 2, Epoch: n.Epoch}))
		if d := w.until("2 is in sync", func() bool { return len(w.isr("t", 0)) == 2 }); d > 20*time.Millisecond {
			t.Errorf("in sync after %v", d)
		}
	})
}

func TestFollowerThatRegistersAnewJoinsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a")
		time.Sleep(time.Second)
		w.fence(2)
		w.node(2).incarnation = kafka.TopicID{99}
		w.register(w.node(2)) // what it fetched before says nothing of the registration it has now
		if d := w.until("2 is in sync", func() bool { return len(w.isr("t", 0)) == 2 }); d > 20*time.Millisecond {
			t.Errorf("in sync after %v", d)
		}
	})
}

func TestFollowerThatCrashedFetchesWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 1, 1, 2, 3)
		var want []string
		for i := range 20 {
			v := fmt.Sprint("v", i)
			want = append(want, v)
			w.acked(1, "t", 0, v)
			if i%5 == 4 {
				n := w.node(2)
				fs := n.fs.CrashClone(w.rnd)
				w.kill(n)
				w.start(2, fs)
			}
		}
		w.same("t", 0, strings.Join(want, " "), 1, 2, 3)
		w.until("all are in sync", func() bool { return len(w.isr("t", 0)) == 3 })
	})
}

func TestDivergingLogIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 1, 1, 2, 3)
		w.acked(1, "t", 0, "a", "b")
		w.cut(1, true)
		w.hold(1) // it leads on, for all it knows
		if code := w.produce(1, "t", 0, 1, "lost1", "lost2", "lost3"); code != 0 {
			t.Fatalf("code %d", code)
		}
		w.fence(1)
		w.acked(2, "t", 0, "c")
		w.lead("t", 0, 3, 2, 3)
		w.acked(3, "t", 0, "d")
		w.cut(1, false)
		w.release(1)
		w.same("t", 0, "a b c d", 1, 2, 3)
		for _, id := range []kafka.NodeID{1, 2, 3} {
			if _, end, _ := w.bounds(id, "t", 0); end != 4 {
				t.Errorf("node %d ends at %d", id, end)
			}
		}
	})
}

func TestLogThatEndsBeforeTheLeadersBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a")
		w.cut(2, true)
		w.fence(2)
		w.acked(1, "t", 0, "b", "c")
		w.acked(1, "t", 0, "d")
		w.must(w.part(1, "t", 0).DeleteBefore(3))
		w.cut(2, false)
		w.same("t", 0, "d", 1, 2)
		if start, end, _ := w.bounds(2, "t", 0); start != 3 || end != 4 {
			t.Errorf("log from %d to %d", start, end)
		}
	})
}

func TestSlowFollowerLeavesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 1, 1, 2, 3)
		w.acked(1, "t", 0, "a")
		time.Sleep(3 * w.settings.Lag) // nothing happens: nobody lags
		if got := w.isr("t", 0); len(got) != 3 {
			t.Fatalf("in sync: %v", got)
		}
		w.cut(3, true)
		begun := time.Now()
		if code := w.produce(1, "t", 0, -1, "b"); code != kerr.RequestTimedOut.Code {
			t.Fatalf("code %d although a member of the in-sync replicas has not got it", code)
		}
		w.until("3 is out", func() bool { return slices.Equal(w.isr("t", 0), []kafka.NodeID{1, 2}) })
		if d := time.Since(begun); d < w.settings.Lag-2*time.Second || d > 2*w.settings.Lag {
			t.Errorf("out after %v", d)
		}
		w.same("t", 0, "a b", 1, 2)
		w.acked(1, "t", 0, "c")
		w.cut(3, false)
		w.until("3 is in", func() bool { return slices.Contains(w.isr("t", 0), 3) })
		w.same("t", 0, "a b c", 1, 2, 3)
	})
}

func TestLeaderThatDoesNotKnowYetIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2, 3)
		w.topic("t", 2, 1, 2, 3)
		w.acked(1, "t", 0, "a")
		w.acked(1, "t", 1, "x")
		w.hold(2)
		w.lead("t", 0, 2, 1, 2, 3)
		time.Sleep(5 * time.Millisecond) // as long as news takes to go round
		w.release(2)
		begun := time.Now()
		w.acked(2, "t", 0, "a2")
		if d := time.Since(begun); d > 20*time.Millisecond {
			t.Errorf("acknowledged after %v", d)
		}
		w.lead("t", 0, 1, 1, 2, 3)
		w.acked(1, "t", 0, "a3")
		w.hold(2)
		w.lead("t", 0, 2, 1, 2, 3)
		time.Sleep(5 * time.Second)
		w.acked(1, "t", 1, "y") // partitions of other leaders go on
		if s := w.node(3).replicas.Stats(); s.Following != 1 || s.Failing != 1 {
			t.Errorf("%+v", s)
		}
		w.release(2)
		w.acked(2, "t", 0, "b")
		w.same("t", 0, "a a2 a3 b", 1, 2, 3)
		if s := w.node(3).replicas.Stats(); s.Failing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBrokenConnectionIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 3, 1, 2)
		var want [3][]string
		for i := range 30 {
			v := fmt.Sprint("v", i)
			want[i%3] = append(want[i%3], v)
			w.acked(1, "t", int32(i%3), v)
			w.breakConns(2)
		}
		for i := range want {
			w.same("t", int32(i), strings.Join(want[i], " "), 1, 2)
		}
	})
}

func TestTopicOfTheSameNameIsAnotherTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "old")
		w.hold(2) // it follows the old topic yet
		w.deleteTopic("t")
		w.topic("t", 1, 1, 2)
		if code := w.produce(1, "t", 0, 1, "new"); code != 0 {
			t.Fatalf("code %d", code)
		}
		time.Sleep(2 * time.Second)
		if got := w.part(2, "t", 0).LogEnd(); got != 1 {
			t.Fatalf("the old topic's log ends at %d", got)
		}
		w.release(2)
		w.same("t", 0, "new", 1, 2)
		if s := w.node(2).replicas.Stats(); s.Following != 1 || s.Failing != 0 {
			t.Errorf("%+v", s)
		}
		w.deleteTopic("t")
		time.Sleep(time.Second)
		if s := w.node(2).replicas.Stats(); s.Following != 0 || s.Failing != 0 {
			t.Errorf("after the deletion: %+v", s)
		}
	})
}

func TestMuchAtOnceComesInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, func(w *world) { w.settings.ResponseBytes, w.settings.FetchMaxBytes = 30_000, 20_000 }, 1, 2)
		w.topic("t", 20, 1, 2)
		w.cut(2, true)
		for i := range int32(20) {
			for range 5 {
				if code := w.produce(1, "t", i, 1, strings.Repeat("x", 9_000)); code != 0 {
					t.Fatal(code)
				}
			}
		}
		w.cut(2, false)
		begun := time.Now()
		for i := range int32(20) {
			w.until("all is there", func() bool { return w.part(2, "t", i).LogEnd() == 5 })
		}
		if d := time.Since(begun); d > 3*time.Second/2 { // the follower dials again after a second
			t.Errorf("there after %v", d)
		}
	})
}

func TestConsumerReadsFromTheReplicaInItsRack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, func(w *world) { w.rackWare = true }, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a", "b")
		fetch := func(id kafka.NodeID, rack string, offset int64) kmsg.FetchResponseTopicPartition {
			req := kmsg.NewPtrFetchRequest()
			req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.Rack = 5000, 1, 1<<20, rack
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic = "t"
			p := kmsg.NewFetchRequestTopicPartition()
			p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			resp, err := w.node(id).call(t.Context(), req, 12)
			w.must(resp, err)
			return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		}
		if a := fetch(1, "rack2", 0); a.PreferredReadReplica != 2 || len(a.RecordBatches) > 0 {
			t.Errorf("sent to %d with %d bytes", a.PreferredReadReplica, len(a.RecordBatches))
		}
		if a := fetch(1, "rack1", 0); a.PreferredReadReplica != -1 || len(a.RecordBatches) == 0 {
			t.Errorf("of the leader's rack, and sent to %d with %d bytes", a.PreferredReadReplica, len(a.RecordBatches))
		}
		if a := fetch(2, "rack2", 0); a.PreferredReadReplica != -1 || strings.Join(w.values(a.RecordBatches), " ") != "a b" {
			t.Errorf("the follower answers %v, code %d", w.values(a.RecordBatches), a.ErrorCode)
		}
		begun := time.Now()
		time.AfterFunc(time.Second, func() { w.produce(1, "t", 0, -1, "c") })
		if a := fetch(2, "rack2", 2); strings.Join(w.values(a.RecordBatches), " ") != "c" || time.Since(begun) > 1100*time.Millisecond {
			t.Errorf("after %v the follower answers %v", time.Since(begun), w.values(a.RecordBatches))
		}
		if a := fetch(2, "rack2", 9); a.ErrorCode != kerr.OffsetOutOfRange.Code {
			t.Errorf("beyond the end: code %d", a.ErrorCode)
		}
	})
}

func TestFollowerOfALeaderWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a", "b")
		w.kill(w.node(2))
		w.cut(2, true)           // so that it does not replicate before it leads
		w.start(2, vfs.NewMem()) // its disk is new
		w.lead("t", 0, 2, 2)     // which only an administrator can want
		w.cut(2, false)
		w.until("the log is cut off", func() bool { return w.part(1, "t", 0).LogEnd() == 0 })
		w.acked(2, "t", 0, "x")
		w.same("t", 0, "x", 1, 2)
	})
}

func TestLeaderKnowsNothingOfTheFollowersEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a", "b")
		w.cut(2, true)
		w.fence(2)
		w.lead("t", 0, 1, 1)
		for range 3 {
			w.acked(1, "t", 0, "c")
			w.lead("t", 0, 1, 1) // in a new epoch
		}
		w.acked(1, "t", 0, "d")
		w.must(w.part(1, "t", 0).DeleteBefore(5))
		w.cut(2, false)
		w.same("t", 0, "d", 1, 2)
	})
}

package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// throttle sets the rate of one side on every node, as kafka-reassign-partitions --throttle does.
func (w *world) throttle(side string, bytesPerSecond int) {
	w.t.Helper()
	rate := strconv.Itoa(bytesPerSecond)
	var ids []int32
	for _, n := range w.nodes {
		ids = append(ids, int32(n.id))
		w.knowsAll(n)
	}
	cl := w.client()
	defer cl.Close()
	done, err := kadm.NewClient(cl).AlterBrokerConfigs(w.t.Context(), []kadm.AlterConfig{{Name: side + ".replication.throttled.rate", Value: &rate}}, ids...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range done {
		if d.Err != nil {
			w.t.Fatal(d.Err)
		}
	}
}

// knowsAll waits until a node names all of them to its clients.
func (w *world) knowsAll(n *node) {
	w.t.Helper()
	cl := w.client(kgo.SeedBrokers(n.at))
	defer cl.Close()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if all, err := kadm.NewClient(cl).ListBrokers(w.t.Context()); err == nil && len(all) == len(w.nodes) {
			return
		}
		if time.Since(began) > time.Minute {
			w.t.Fatalf("node %d does not know all nodes", n.id)
		}
	}
}

// throttled names the replicas of a topic that are bounded.
func (w *world) throttled(topic, side, replicas string) {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	done, err := kadm.NewClient(cl).AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Name: side + ".replication.throttled.replicas", Value: &replicas}}, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range done {
		if d.Err != nil {
			w.t.Fatal(d.Err)
		}
	}
}

// reassign gives partition 0 of a topic these replicas.
func (w *world) reassign(topic string, replicas ...int32) {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, 0, replicas)
	if _, err := kadm.NewClient(cl).AlterPartitionAssignments(w.t.Context(), req); err != nil {
		w.t.Fatal(err)
	}
}

// megabytes writes so many of them to partition 0 of a topic.
func (w *world) megabytes(topic string, n int) {
	w.t.Helper()
	cl := w.client(kgo.ProducerBatchMaxBytes(900_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	for range n * 4 {
		if err := cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Value: make([]byte, 1<<18)}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestAThrottledReplicaCatchesUpAtItsRate gives a partition of 40 MB a new replica, bounded on one side to 2 MB a second: it is in
// sync after 20 s, of which a sample of a second comes at once. Acknowledgements do not wait for it, nor does another topic.
func TestAThrottledReplicaCatchesUpAtItsRate(t *testing.T) {
	for _, side := range []string{"leader", "follower"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.only("moved", 1)
				w.megabytes("moved", 40)
				w.topic("free", 1)
				w.inSync("free")
				w.throttle(side, 2<<20)
				w.throttled("moved", side, fmt.Sprintf("0:%d", map[string]int{"leader": 1, "follower": 2}[side]))

				began := time.Now()
				w.reassign("moved", 1, 2)
				free, moved := w.load("free"), w.load("moved")
				for range 10 {
					within(t, "an acknowledgement of the other topic", free.goesOn(), 100*time.Millisecond)
					within(t, "an acknowledgement of the topic itself", moved.goesOn(), 100*time.Millisecond)
				}
				w.await("moved", func(p kadm.PartitionDetail) bool { return len(p.ISR) == 2 })
				if took := time.Since(began); took < 16*time.Second || took > 24*time.Second {
					t.Errorf("40 MB at 2 MB a second took %v", took)
				}
				// In sync, it is bounded no longer.
				w.throttle(side, 1)
				time.Sleep(15 * time.Second)
				within(t, "an acknowledgement when it is in sync", moved.goesOn(), 100*time.Millisecond)
				within(t, "the longest wait of the producer", moved.gap(), time.Second)
				if p := w.partition("moved"); len(p.ISR) != 2 {
					t.Errorf("not in sync any more: %+v", p)
				}
				free.check(t)
			})
		})
	}
}

// TestAThrottleThatIsTakenAwayHoldsNobody lifts a throttle that lets nothing through: the replica catches up at once.
func TestAThrottleThatIsTakenAwayHoldsNobody(t *testing.T) {
	for _, side := range []string{"leader", "follower"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			w.only("moved", 1)
			w.megabytes("moved", 4)
			w.throttle(side, 1)
			w.throttled("moved", side, "*")
			w.reassign("moved", 1, 2)
			time.Sleep(20 * time.Second)
			if p := w.partition("moved"); len(p.ISR) != 1 {
				t.Errorf("%s: in sync at a byte a second: %+v", side, p)
			}
			w.throttled("moved", side, "")
			within(t, side+": catching up", w.await("moved", func(p kadm.PartitionDetail) bool { return len(p.ISR) == 2 }), 3*time.Second)
		})
	}
}

// TestOfThrottledReplicasNoneStarves gives new replicas to four topics of 8 MB each at once, and 2 MB a second to them together: when half
// of it all is there, each has a share of it.
func TestOfThrottledReplicasNoneStarves(t *testing.T) {
	for _, side := range []string{"leader", "follower"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const megabytes = 8
				topics := []string{"a", "b", "c", "d"}
				w := newWorld(t, 3)
				w.throttle(side, 2<<20)
				for _, name := range topics {
					w.only(name, 1)
					w.megabytes(name, megabytes)
					w.throttled(name, side, "*")
				}
				for _, name := range topics {
					w.reassign(name, 1, 2)
				}
				var sizes map[string]int64
				for sum := int64(0); sum < megabytes<<20*int64(len(topics))/2; {
					time.Sleep(100 * time.Millisecond)
					sizes, sum = w.sizes(2, topics...), 0
					for _, size := range sizes {
						sum += size
					}
				}
				for _, name := range topics {
					if sizes[name] < megabytes<<20/4 {
						t.Errorf("when half is there: %v", sizes)
						break
					}
				}
				for _, name := range topics {
					w.await(name, func(p kadm.PartitionDetail) bool { return len(p.ISR) == 2 })
				}
			})
		})
	}
}

// sizes are those that partition 0 of the topics has on a node.
func (w *world) sizes(id int32, topics ...string) map[string]int64 {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	var of kadm.TopicsSet
	for _, name := range topics {
		of.Add(name, 0)
	}
	dirs, err := kadm.NewClient(cl).DescribeBrokerLogDirs(w.t.Context(), id, of)
	if err != nil {
		w.t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, d := range dirs {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { sizes[p.Topic] += p.Size })
	}
	return sizes
}

// TestThrottledReplicationIsMeasured has one topic bounded by its leader and another by its follower, at another rate: both nodes tell
// what goes over their side.
func TestThrottledReplicationIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		for _, id := range []int{1, 2} {
			w.stop(id)
			w.node(id).admin = fmt.Sprintf("127.0.0.1:%d", 9640+id)
			w.start(id)
		}
		rates := map[string]int{"leader": 1 << 20, "follower": 4 << 20}
		for side, rate := range rates {
			w.only(side, 1)
			w.megabytes(side, 8*rate>>20)
			w.throttle(side, rate)
			w.throttled(side, side, "*")
			w.reassign(side, 1, 2)
		}
		time.Sleep(5 * time.Second)
		for id, measured := range map[int]string{1: "leader", 2: "follower"} {
			text := w.scrape(id)
			for side, rate := range rates {
				least, most := 0, 0
				if side == measured {
					least, most = rate*3/4, rate*3/2
				}
				name := "kafka_server_" + side + "replication_byte_rate "
				_, value, _ := strings.Cut(text, "\n"+name)
				value, _, _ = strings.Cut(value, "\n")
				if got, err := strconv.ParseFloat(value, 64); err != nil || got < float64(least) || got > float64(most) {
					t.Errorf("node %d: %s%s, want %d to %d: %v", id, name, value, least, most, err)
				}
			}
		}
	})
}

// scrape is what a node's admin listener tells.
func (w *world) scrape(id int) string {
	w.t.Helper()
	transport := &http.Transport{DialContext: w.network.Dial}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://" + w.node(id).admin + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", resp.Status, b, err)
	}
	return string(b)
}

package cluster

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// dirOf is the log dir that a node has partition 0 of a topic in, and the one of the two that it has not; whole says that there is no
// copy under way.
func (w *world) dirOf(id int, topic string) (in, other string, whole bool) {
	w.t.Helper()
	whole = true
	for path, d := range w.logDirs(id) {
		switch p, ok := d.Topics[topic][0]; {
		case ok && !p.IsFuture:
			in = path
		default:
			other = path
			whole = whole && !ok
		}
	}
	return in, other, whole
}

// move has a node's replica of partition 0 of a topic move to its other log dir, and waits until it is there and the controller knows.
func (w *world) move(id int, topic string) {
	w.t.Helper()
	_, to, _ := w.dirOf(id, topic)
	w.askMove(id, topic, to)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if in, _, whole := w.dirOf(id, topic); whole && in == to {
			return
		}
		if time.Since(began) > time.Minute {
			w.t.Fatalf("node %d, %s: not in %s after a minute: %+v", id, topic, to, w.logDirs(id))
		}
	}
}

func (w *world) askMove(id int, topic, to string) {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	var req kadm.AlterReplicaLogDirsReq
	req.Add(to, kadm.TopicsSet{topic: {0: {}}})
	resp, err := kadm.NewClient(cl).AlterBrokerReplicaLogDirs(w.t.Context(), int32(id), req)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := resp[topic][0].Err; err != nil {
		w.t.Fatal(err)
	}
}

// keyed is a producer of a few keys, over and over, with tombstones between, that notes the last value of each.
type keyed struct {
	mu   sync.Mutex
	last map[string]string
	n    int
}

// write goes on until ctx ends.
func (k *keyed) write(ctx context.Context, t *testing.T, cl *kgo.Client) {
	for i := 0; ctx.Err() == nil; i++ {
		r := &kgo.Record{Key: []byte(strconv.Itoa(i * 7 % 60))}
		if i%5 != 0 {
			r.Value = []byte(fmt.Sprint("value ", i))
		}
		if err := cl.ProduceSync(context.WithoutCancel(ctx), r).FirstErr(); err != nil {
			t.Errorf("record %d: %v", i, err)
			return
		}
		k.mu.Lock()
		if k.n++; r.Value == nil {
			delete(k.last, string(r.Key))
		} else {
			k.last[string(r.Key)] = string(r.Value)
		}
		k.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// lastValues reads partition 0 of a topic up to its end, and gives the last value of each key.
func (w *world) lastValues(topic string) (last map[string]string, records int) {
	w.t.Helper()
	cl := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	last = map[string]string{}
	for at := int64(0); at < end.Offset; {
		fetches := cl.PollFetches(w.t.Context())
		fetches.EachRecord(func(r *kgo.Record) {
			records++
			if at = r.Offset + 1; r.Value == nil {
				delete(last, string(r.Key))
			} else {
				last[string(r.Key)] = string(r.Value)
			}
		})
	}
	return last, records
}

// TestReplicasMoveBetweenLogDirsUnderLoad moves the leader's replica and the followers' to and fro, of a topic that is appended to and of
// one that is compacted as well: each of them, leading afterwards, has what was acknowledged, and no key that was deleted.
func TestReplicasMoveBetweenLogDirsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, 3, "/a,/b")
		configs := map[string]string{
			"cleanup.policy": "compact", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
			"min.insync.replicas": "2", "file.delete.delay.ms": "1000",
		}
		values := map[string]*string{}
		for k, v := range configs {
			values[k] = &v
		}
		if _, err := kadm.NewClient(w.client()).CreateTopic(t.Context(), 1, 3, values, "kv"); err != nil {
			t.Fatal(err)
		}
		w.topic("t", 1)
		w.inSync("kv")
		w.inSync("t")
		l := w.load("t")
		k := &keyed{last: map[string]string{}}
		ctx, cancel := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		cl := w.client(kgo.DefaultProduceTopic("kv"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		writing.Go(func() { k.write(ctx, t, cl) })
		for range 2 {
			for id := 1; id <= 3; id++ {
				w.move(id, "t")
				w.move(id, "kv")
				time.Sleep(6 * time.Second) // the cleaner looks each 15 s
			}
		}
		time.Sleep(20 * time.Second)
		l.goesOn()
		cancel()
		writing.Wait()
		for id := 1; id <= 3; id++ {
			w.inSync("kv")
			w.leadBy("kv", id)
			got, records := w.lastValues("kv")
			if !maps.Equal(got, k.last) {
				t.Errorf("led by %d, the keys have other values: %v, and not %v", id, got, k.last)
			}
			if records > k.n/2 {
				t.Errorf("%d records of %d are there on node %d: it was not compacted", records, k.n, id)
			}
			w.inSync("t")
			w.leadBy("t", id)
			l.goesOn()
		}
		l.check(t)
	})
}

// TestAMoveOutlivesItsNode: a node is killed, or loses its power, at several moments of a move. It ends when the node is back, and nothing
// that was acknowledged is lost.
func TestAMoveOutlivesItsNode(t *testing.T) {
	for _, powerCut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldWith(t, 1, "/a,/b")
			w.topic("t", 1)
			w.inSync("t")
			l := w.load("t")
			l.goesOn()
			for i := range 8 {
				_, to, _ := w.dirOf(1, "t")
				w.askMove(1, "t", to)
				time.Sleep(time.Duration(i) * 2 * time.Millisecond)
				w.kill(1, powerCut)
				w.start(1)
				w.inSync("t")
				l.goesOn()
				w.move(1, "t")
				l.goesOn()
			}
			l.check(t)
		})
	}
}

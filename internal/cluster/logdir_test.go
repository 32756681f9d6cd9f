package cluster

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
)

// breaks has a log dir of a node fail from now on, for every call that want names.
func (n *node) breaks(dir string, want func(vfs.OpKind) bool) {
	fails := func(op vfs.Op) error {
		if strings.HasPrefix(op.Path, dir) && want(op.Kind) {
			return syscall.EIO
		}
		return nil
	}
	n.broken.Store(&fails)
}

// logDirs are those of a node, as it describes them.
func (w *world) logDirs(id int) kadm.DescribedLogDirs {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	dirs, err := kadm.NewClient(cl).DescribeBrokerLogDirs(w.t.Context(), int32(id), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return dirs
}

// await waits until partition 0 of a topic is as wanted, by all nodes, and tells how long that took.
func (w *world) await(topic string, wanted func(kadm.PartitionDetail) bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.process != nil && !wanted(w.seenBy(topic, n.id)) }) {
			return time.Since(began)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("after a minute: %+v", w.partition(topic))
	return 0
}

// TestALogDirThatFailsTakesNothingElseAlong breaks one of two log dirs of the leader under load: others lead what was there, while the
// node serves what is in the other. Then it is started without that dir, and again when the dir is back.
func TestALogDirThatFailsTakesNothingElseAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, 3, "/a,/b")
		topics := []string{"t0", "t1", "t2", "t3"}
		for _, topic := range topics {
			w.topic(topic, 1)
			w.inSync(topic)
		}
		// Each node spreads the topics over its dirs.
		victim := int(w.partition("t0").Leader)
		node := w.node(victim)
		at := func(dir string) (there []string) {
			for _, topic := range topics {
				if _, ok := w.logDirs(victim)[dir].Topics[topic]; ok {
					there = append(there, topic)
				}
			}
			return there
		}
		failing, kept := at("/b"), at("/a")
		for began := time.Now(); len(failing)+len(kept) < len(topics) && time.Since(began) < time.Minute; { // it may hear of the last one yet
			time.Sleep(10 * time.Millisecond)
			failing, kept = at("/b"), at("/a")
		}
		if len(failing) != 2 || len(kept) != 2 {
			t.Fatalf("/a has %v, /b has %v", kept, failing)
		}
		topic := failing[0]
		w.leadBy(topic, victim)
		l := w.load(topic)
		l.goesOn()

		node.breaks("/b", vfs.OpKind.Changes)
		without := func(p kadm.PartitionDetail) bool {
			return p.Leader != int32(victim) && len(p.ISR) == 2 && slices.Equal(p.OfflineReplicas, []int32{int32(victim)})
		}
		within(t, "the move of the leader", w.await(topic, without), 100*time.Millisecond)
		l.goesOn()
		within(t, "the longest wait of the producer", l.gap(), time.Second)
		for _, other := range failing[1:] {
			w.await(other, without)
		}
		for _, other := range kept {
			if p := w.partition(other); len(p.ISR) != 3 || len(p.OfflineReplicas) > 0 {
				t.Errorf("%s, in the other dir: %+v", other, p)
			}
		}
		if dirs := w.logDirs(victim); dirs["/a"].Err != nil || dirs["/b"].Err != kerr.KafkaStorageError {
			t.Errorf("described as %v and %v", dirs["/a"].Err, dirs["/b"].Err)
		}

		// It starts without the dir, and serves the other.
		_ = node.process.Close(time.Now()) // a dir that failed was not closed cleanly
		node.process = nil
		node.breaks("/b", func(vfs.OpKind) bool { return true })
		w.start(victim)
		w.await(kept[0], func(p kadm.PartitionDetail) bool { return len(p.ISR) == 3 && len(p.OfflineReplicas) == 0 })
		w.await(topic, without)
		if dirs := w.logDirs(victim); dirs["/a"].Err != nil || dirs["/b"].Err != kerr.KafkaStorageError {
			t.Errorf("described after the start as %v and %v", dirs["/a"].Err, dirs["/b"].Err)
		}
		w.topic("new", 1)
		w.inSync("new")
		l.goesOn()

		_ = node.process.Close(time.Now())
		node.process = nil
		node.broken.Store(nil)
		w.start(victim)
		for _, topic := range topics {
			w.inSync(topic)
		}
		w.await(topic, func(p kadm.PartitionDetail) bool { return len(p.OfflineReplicas) == 0 })
		l.goesOn()
		l.check(t)
	})
}

// leadBy has a node lead partition 0 of a topic.
func (w *world) leadBy(topic string, id int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	cl := w.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	replicas := []int32{int32(id)}
	for _, n := range w.nodes {
		if n.id != id {
			replicas = append(replicas, int32(n.id))
		}
	}
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign(topic, 0, replicas)
	if _, err := adm.AlterPartitionAssignments(ctx, req); err != nil {
		w.t.Fatal(err)
	}
	var set kadm.TopicsSet
	set.Add(topic, 0)
	if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set); err != nil {
		w.t.Fatal(err)
	}
	w.await(topic, func(p kadm.PartitionDetail) bool { return p.Leader == int32(id) })
}

// TestANodeWithoutALogDirEnds breaks the only one of the leader: the node says that it must not go on, and the others do.
func TestANodeWithoutALogDirEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		w.inSync("t")
		l := w.load("t")
		l.goesOn()
		id := int(w.partition("t").Leader)
		node := w.node(id)
		node.breaks("/data", vfs.OpKind.Changes)
		select {
		case err := <-node.process.Failed():
			t.Log(err)
		case <-time.After(time.Second):
			t.Fatal("the node goes on")
		}
		_ = node.process.Close(time.Now()) // what runs it does so
		node.process = nil
		l.goesOn()
		node.broken.Store(nil)
		w.start(id)
		w.inSync("t")
		l.check(t)
	})
}

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/vfs"
)

const metadataFolder = "/data/__cluster_metadata-0"

// flip flips a bit in the middle of the last file of the metadata whose name has an ending.
func (nd *node) flip(t *testing.T, ending string) {
	t.Helper()
	nd.flipIn(t, metadataFolder, ending)
}

func (nd *node) flipIn(t *testing.T, folder, ending string) {
	t.Helper()
	entries, err := nd.disk.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ending) {
			name = filepath.Join(folder, e.Name())
		}
	}
	b, err := vfs.ReadFile(nd.disk, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	f, err := nd.disk.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// aside are the folders of metadata that a node has set aside.
func (nd *node) aside() (n int) {
	entries, _ := nd.disk.ReadDir("/data")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "__cluster_metadata-0.") {
			n++
		}
	}
	return n
}

// only makes a topic of one partition whose only replica is on a node.
func (w *world) only(topic string, id int32) {
	w.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: -1, ReplicationFactor: -1,
		ReplicaAssignment: []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{id}}}}}
	resp, err := req.RequestWith(w.t.Context(), w.client())
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// keeps checks that records written before are there still.
func (w *world) keeps(topic string, n int) {
	w.t.Helper()
	cl := w.client(kgo.ConsumeTopics(topic), kgo.FetchMaxWait(time.Second))
	defer cl.Close()
	for i := 0; i < n; {
		for r := range cl.PollFetches(w.t.Context()).RecordsAll() {
			if string(r.Value) != fmt.Sprint(i) {
				w.t.Fatalf("record %d is %s", i, r.Value)
			}
			i++
		}
	}
}

func (w *world) fill(topic string, n int) {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	for i := range n {
		if err := cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(i))}).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// What a node knows of the metadata others know too. A node that cannot read its own asks them, and loses nothing of its partitions:
// even one of which it has the only replica is served by it again.
func TestANodeWithDamagedMetadataIsTakenInAnew(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, nd *node, earlier *vfs.Mem)
		aside  int
	}{
		{"a flipped bit in quorum-state", func(t *testing.T, nd *node, _ *vfs.Mem) { nd.flip(t, "quorum-state") }, 1},
		{"a flipped bit in the log", func(t *testing.T, nd *node, _ *vfs.Mem) { nd.flip(t, ".log") }, 1},
		{"a flipped bit in the snapshot", func(t *testing.T, nd *node, _ *vfs.Mem) { nd.flip(t, ".checkpoint") }, 1},
		{"quorum-state is gone", func(t *testing.T, nd *node, _ *vfs.Mem) {
			if err := nd.disk.Remove(metadataFolder + "/quorum-state"); err != nil {
				t.Fatal(err)
			}
		}, 1},
		{"an older copy was restored", func(_ *testing.T, nd *node, earlier *vfs.Mem) { nd.disk = earlier }, 1},
		{"an operator moved the folder away", func(t *testing.T, nd *node, _ *vfs.Mem) {
			if err := nd.disk.Rename(metadataFolder, "/elsewhere"); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.topic("t", 1)
				w.only("alone", 3)
				w.fill("alone", 20)
				earlier := w.node(3).disk.Clone()
				l := w.load("t")
				l.goesOn()
				w.topic("later", 1)
				w.stop(3)
				l.goesOn()
				c.damage(t, w.node(3), earlier)
				w.start(3)
				w.inSync("t")
				w.voters(3)
				w.keeps("alone", 20)
				if n := w.node(3).aside(); n != c.aside {
					t.Errorf("%d folders are set aside", n)
				}
				w.kill(int(w.partition("t").Leader), false)
				l.goesOn()
				l.check(t)
			})
		})
	}
}

// One bit of partition.metadata makes another topic's folder of it, or nobody's. All nodes lose power here, so that the damaged replica
// is one of those that may lead.
func TestAReplicaWithDamagedPartitionMetadataHealsFromTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.topic("t", 1)
		l := w.load("t")
		l.goesOn()
		leader := int(w.partition("t").Leader)
		for id := 1; id <= 3; id++ {
			w.kill(id, true)
		}
		w.node(leader).flipIn(t, "/data/t-0", "partition.metadata")
		w.startAll()
		l.goesOn()
		w.inSync("t")
		w.kill(int(w.partition("t").Leader), false)
		l.goesOn()
		l.check(t)
	})
}

// Without most of the others nobody knows what was decided: the node waits, and changes nothing. A node that was told of no others says
// what to do.
func TestDamagedMetadataIsNotSetAsideBeforeTheOthersHaveDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.stop(3)
		w.node(3).flip(t, "quorum-state")
		w.kill(2, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.tryStart(ctx, 3); err == nil {
			t.Fatal("it started")
		}
		if n := w.node(3).aside(); n != 0 {
			t.Errorf("%d folders are set aside", n)
		}
		join := w.node(3).join
		w.node(3).join = ""
		if err := w.tryStart(ctx, 3); err == nil || !strings.Contains(err.Error(), "start this one with --join") {
			t.Error(err)
		}
		w.node(3).join = join
		w.start(2)
		w.start(3)
		w.voters(3)
	})
}

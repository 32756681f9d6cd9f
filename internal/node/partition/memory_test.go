package partition

import (
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// idleBytes is how much of the heap a replica may keep that nothing happens to.
const idleBytes = 30 << 10

// TestAnIdleReplicaTakesLittleMemory has replicas on the real file system, half of them led here and half followed, each with a
// record that is flushed, replicated and committed. What they keep is the growth of the heap after collections, the files'
// buffers in the process included; what the kernel keeps is not.
func TestAnIdleReplicaTakesLittleMemory(t *testing.T) {
	const replicas = 200
	log := slog.New(slog.DiscardHandler)
	d, err := logdir.Open(vfs.OS(), t.TempDir(), logdir.Meta{ClusterID: "cluster-of-the-test-00", NodeID: 1}, rand.New(rand.NewPCG(1, 2)), log)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet(Config{
		Node: 1, FS: vfs.OS(), Dirs: []*logdir.Dir{d}, Log: log, Rand: rand.New(rand.NewPCG(3, 4)),
		Topic: func(o map[string]string) conf.TopicConfig { return conf.TopicLog(o, conf.Layers{}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Set: s, t: t, img: metadata.New("cluster-of-the-test-00")}
	defer h.Abandon()
	recs := []metadata.Record{
		&metadata.RegisterBrokerRecord{Node: 1, Epoch: 101}, &metadata.RegisterBrokerRecord{Node: 2, Epoch: 102},
		&metadata.TopicRecord{Name: "t", ID: topicID("t")},
	}
	for n := range int32(replicas) {
		rec := partitionRecord("t", n)
		rec.Replicas, rec.ISR, rec.Leader = []kafka.NodeID{1, 2}, []kafka.NodeID{1, 2}, kafka.NodeID(1+n%2)
		recs = append(recs, rec)
	}
	before := heap()
	h.apply(recs...)
	for n := range int32(replicas) {
		use(t, h.part("t", n))
	}
	used := (heap() - before) / replicas
	h.retain(time.Now()) // lets go of the files
	idle := (heap() - before) / replicas
	t.Logf("%d bytes a replica, after the next check of retention %d", used, idle)
	if used > idleBytes || idle > idleBytes/4 {
		t.Errorf("%d bytes a replica, after the next check of retention %d; %d are allowed", used, idle, idleBytes)
	}
}

// use brings a record into a partition, and commits it.
func use(t *testing.T, p *Partition) {
	t.Helper()
	if !p.Role().Leads {
		if _, ok, err := p.FetchState(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := p.AppendFetched(time.Now(), 0, stamped(t, p, "x", 0, 0)); err != nil {
			t.Fatal(err)
		}
		settle(t, p)
		p.Heard(0, 1, 0)
		return
	}
	put(t, p, "x")
	settle(t, p)
	for _, at := range []kafka.Offset{0, 1} {
		f, err := p.FetchAsReplica(time.Now(), FollowerFetch{Replica: 2, BrokerEpoch: 102, Offset: at, LastEpoch: -1, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		f.Plan.Release()
	}
	if p.HighWatermark() != 1 {
		t.Fatal("not committed")
	}
}

// heap is what is in use after collections.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

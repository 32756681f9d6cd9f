package partition

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// host is a Set on a file system, told of metadata by the test.
type host struct {
	*Set
	t      *testing.T
	img    *metadata.Image
	failed atomic.Int32
}

func newHost(t *testing.T, fs vfs.FS, change func(*Config)) *host {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d, err := logdir.Open(fs, "/data", logdir.Meta{ClusterID: "cluster-of-the-test-00", NodeID: 1}, rand.New(rand.NewPCG(1, 2)), log)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, img: metadata.New("cluster-of-the-test-00")}
	c := Config{
		Node: 1, FS: fs, Dirs: []*logdir.Dir{d}, Log: log, Rand: rand.New(rand.NewPCG(3, 4)),
		Topic:     func(o map[string]string) conf.TopicConfig { return conf.TopicLog(o, conf.Layers{}) },
		DirFailed: func(string, error) { h.failed.Add(1) },
	}
	if change != nil {
		change(&c)
	}
	if h.Set, err = NewSet(c); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) apply(recs ...metadata.Record) {
	img, delta := h.img.Apply(recs, h.img.Offset()+kafka.Offset(len(recs)))
	h.img = img
	h.Apply(delta, img)
}

func topicID(name string) (id kafka.TopicID) {
	copy(id[:], name+"-----------------")
	return id
}

func partitionRecord(topic string, number int32) *metadata.PartitionRecord {
	return &metadata.PartitionRecord{
		Partition: number, Topic: topicID(topic), Replicas: []kafka.NodeID{1}, ISR: []kafka.NodeID{1}, Leader: 1,
	}
}

func (h *host) topic(name string, partitions int32, configs ...string) {
	recs := []metadata.Record{&metadata.TopicRecord{Name: name, ID: topicID(name)}}
	for i := 0; i < len(configs); i += 2 {
		recs = append(recs, configRecord(name, configs[i], &configs[i+1]))
	}
	for n := range partitions {
		recs = append(recs, partitionRecord(name, n))
	}
	h.apply(recs...)
}

func configRecord(topic, key string, value *string) metadata.Record {
	return &metadata.ConfigRecord{Resource: metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic}, Name: key, Value: value}
}

func (h *host) part(topic string, number int32) *Partition {
	h.t.Helper()
	p, err := h.Get(kafka.TopicPartition{Topic: topic, Partition: number})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func valid(t *testing.T, p *Partition, value string) batch.Validated {
	t.Helper()
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	b.Append(time.Now().UnixMilli(), []byte("k"), []byte(value), nil)
	v, err := batch.ValidateProduce(b.Bytes(nil), p.Rules(time.Now(), true))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// write appends and waits for the acknowledgement.
func write(t *testing.T, p *Partition, acks int16, value string) (commitlog.Appended, error) {
	t.Helper()
	return writeAfter(t, p, acks, value, 0)
}

// writeAfter is write of a producer that had sent nothing for pause.
func writeAfter(t *testing.T, p *Partition, acks int16, value string, pause time.Duration) (commitlog.Appended, error) {
	t.Helper()
	a, epoch, err := p.Append(time.Now(), valid(t, p, value), acks, commitlog.OriginClient, pause)
	if err != nil {
		return a, err
	}
	w := await.NewWaiter(1)
	p.Await(w, acks, a.Last+1)
	<-w.Woken()
	acked, err := p.Acked(acks, epoch, a.Last+1)
	if err == nil && !acked {
		t.Fatalf("woken without an acknowledgement")
	}
	return a, err
}

func mustWrite(t *testing.T, p *Partition, value string) {
	t.Helper()
	if _, err := write(t, p, AllReplicas, value); err != nil {
		t.Fatal(err)
	}
}

func values(t *testing.T, p *Partition) []string {
	t.Helper()
	start, _, _, _, err := p.Offsets()
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Fetch(Position{Offset: start, Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Plan.Release()
	b, err := f.Plan.ReadAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, b)
}

// decode gives the values of batches.
func decode(t *testing.T, b []byte) (out []string) {
	t.Helper()
	for one, err := range batch.Split(b) {
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range batch.Records(one, 1<<20) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(r.Value))
		}
	}
	return out
}

func wantValues(t *testing.T, p *Partition, want ...string) {
	t.Helper()
	if got := values(t, p); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%v holds %v, want %v", p.Name(), got, want)
	}
}

func TestWhatIsAcknowledgedSurvivesAPowerCut(t *testing.T) {
	for _, method := range []FlushMethod{FlushAuto, FlushFdatasync, FlushSyncfs} {
		for _, acks := range []int16{1, AllReplicas} {
			fs := vfs.NewMem()
			h := newHost(t, fs, func(c *Config) { c.FlushMethod = method })
			h.topic("t", 20)
			var wg sync.WaitGroup
			for n := range int32(20) {
				wg.Go(func() {
					if _, err := write(t, h.part("t", n), acks, "safe"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			after := newHost(t, fs.CrashClone(nil), nil)
			after.topic("t", 20)
			for n := range int32(20) {
				wantValues(t, after.part("t", n), "safe")
			}
			after.Abandon()
			h.Abandon()
		}
	}
}

func TestDurabilityOSAcknowledgesBeforeAnyFlush(t *testing.T) {
	var syncs atomic.Int32
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && op.Path[len(op.Path)-4:] == ".log" || op.Kind == vfs.OpSyncFS {
			syncs.Add(1)
		}
		return nil
	})
	h := newHost(t, fs, nil)
	defer h.Abandon()
	h.topic("t", 1, "durability", "os")
	mustWrite(t, h.part("t", 0), "a")
	wantValues(t, h.part("t", 0), "a")
	if n := syncs.Load(); n != 0 {
		t.Fatalf("%d flushes", n)
	}
}

// TestOneFlushCoversAllThatWasAppendedBefore holds the first flush until 99 more batches are appended: the second covers
// them all.
func TestOneFlushCoversAllThatWasAppendedBefore(t *testing.T) {
	var syncs atomic.Int32
	var armed atomic.Bool
	appended := make(chan struct{})
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if armed.Load() && op.Kind == vfs.OpSync && op.Path[len(op.Path)-4:] == ".log" {
			if syncs.Add(1) == 1 {
				<-appended
			}
		}
		return nil
	})
	h := newHost(t, fs, nil)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "before")
	armed.Store(true)
	var wg sync.WaitGroup
	var left atomic.Int32
	left.Store(100)
	for range 100 {
		a, epoch, err := p.Append(time.Now(), valid(t, p, "x"), AllReplicas, commitlog.OriginClient, 0)
		if err != nil {
			t.Fatal(err)
		}
		w := await.NewWaiter(1)
		p.Await(w, AllReplicas, a.Last+1)
		wg.Go(func() {
			<-w.Woken()
			if acked, err := p.Acked(AllReplicas, epoch, a.Last+1); !acked || err != nil {
				t.Errorf("offset %d: %v, %v", a.Last, acked, err)
			}
		})
	}
	close(appended)
	wg.Wait()
	if n := syncs.Load(); n > 2 {
		t.Fatalf("%d flushes for 100 batches", n)
	}
}

func TestFailedFlushTakesTheDirOffline(t *testing.T) {
	for _, method := range []FlushMethod{FlushFdatasync, FlushSyncfs} {
		var broken atomic.Bool
		fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			if broken.Load() && (op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncFS) {
				return errors.New("the disk is on fire")
			}
			return nil
		})
		h := newHost(t, fs, func(c *Config) { c.FlushMethod = method })
		h.topic("t", 2)
		p, other := h.part("t", 0), h.part("t", 1)
		mustWrite(t, p, "safe")
		mustWrite(t, other, "safe too")
		broken.Store(true)
		if _, err := write(t, p, AllReplicas, "lost"); !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("failed flush: %v", err)
		}
		broken.Store(false) // never tried again, although the disk is well
		for _, q := range []*Partition{p, other} {
			if _, err := write(t, q, 1, "later"); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("append to an offline dir: %v", err)
			}
		}
		wantValues(t, p, "safe")
		wantValues(t, other, "safe too")
		h.Abandon()
		if n := h.failed.Load(); n != 1 {
			t.Fatalf("told of the failure %d times", n)
		}
	}
}

func TestFailedWriteTakesTheDirOffline(t *testing.T) {
	var broken atomic.Bool
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && op.Kind == vfs.OpWrite {
			return vfs.ErrTorn(10)
		}
		return nil
	})
	h := newHost(t, fs, nil)
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "safe")
	broken.Store(true)
	if _, err := write(t, p, AllReplicas, "torn"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("failed write: %v", err)
	}
	wantValues(t, p, "safe")
	h.Abandon()
	if n := h.failed.Load(); n != 1 {
		t.Fatalf("told of the failure %d times", n)
	}
}

func TestCleanStopIsFoundClean(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, fs, nil)
	h.topic("t", 3)
	for n := range int32(3) {
		mustWrite(t, h.part("t", n), "a")
	}
	if err := h.Close(time.Now(), 42); err != nil {
		t.Fatal(err)
	}
	again := newHost(t, fs.CrashClone(nil), nil)
	defer again.Abandon()
	if !again.Dirs[0].WasClean() || again.Dirs[0].PreviousBrokerEpoch() != 42 {
		t.Fatal("no marker of a clean stop")
	}
	again.topic("t", 3)
	for n := range int32(3) {
		if hw := again.part("t", n); true {
			wantValues(t, hw, "a")
		}
	}
}

func TestDeletedTopicIsGoneAndItsNameFree(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, fs, nil)
	defer h.Abandon()
	h.topic("t", 1)
	old := h.part("t", 0)
	mustWrite(t, old, "of the first life")
	w := await.NewWaiter(1)
	old.AwaitMore(w, 1)
	h.apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
	<-w.Woken()
	if _, err := write(t, old, 1, "late"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("write to a deleted partition: %v", err)
	}
	id := topicID("t2")
	p := partitionRecord("t2", 0)
	h.apply(&metadata.TopicRecord{Name: "t", ID: id}, p)
	mustWrite(t, h.part("t", 0), "of the second")
	wantValues(t, h.part("t", 0), "of the second")
}

func TestFolderOfAnEarlierTopicIsNotMistakenForTheNew(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, fs, nil)
	h.topic("t", 1)
	mustWrite(t, h.part("t", 0), "of the first life")
	h.Abandon()
	left := fs.Clone()
	again := newHost(t, left, nil)
	defer again.Abandon()
	again.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t2")}, partitionRecord("t2", 0))
	wantValues(t, again.part("t", 0))
	// It is the metadata that may have been lost: the records are still there for who wants them.
	id := topicID("t")
	name := fmt.Sprintf("/data/t-0.%x-stray", id[:])
	if b, err := vfs.ReadFile(left, name+"/00000000000000000000.log", 1<<20); err != nil || !bytes.Contains(b, []byte("of the first life")) {
		t.Errorf("%d bytes are set aside: %v", len(b), err)
	}
}

func TestStraysAreListedAndLeftAlone(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, fs, nil)
	h.topic("kept", 1)
	h.topic("gone", 1)
	mustWrite(t, h.part("gone", 0), "x")
	mustWrite(t, h.part("kept", 0), "x")
	h.Abandon()
	again := newHost(t, fs.Clone(), nil)
	again.topic("kept", 1)
	if s := again.Strays(); len(s) != 1 || s[0].Topic != "gone" {
		t.Fatalf("strays %v", s)
	}
	wantValues(t, again.part("kept", 0), "x")
	if err := again.Close(time.Now(), -1); err != nil {
		t.Fatal(err)
	}
	found, err := again.Dirs[0].Partitions()
	if err != nil || len(found) != 2 {
		t.Fatalf("on disk: %v, %v", found, err)
	}
}

// TestStrayDoesNotKeepAStopFromBeingClean: a crash while a topic is deleted leaves folders that nobody opens any more.
func TestStrayDoesNotKeepAStopFromBeingClean(t *testing.T) {
	fs := vfs.NewMem()
	h := newHost(t, fs, nil)
	h.topic("kept", 1)
	h.topic("gone", 1)
	mustWrite(t, h.part("gone", 0), "first")
	mustWrite(t, h.part("gone", 0), "second")
	h.Abandon()
	fs = fs.Clone()
	again := newHost(t, fs, nil)
	again.topic("kept", 1)
	mustWrite(t, again.part("kept", 0), "x")
	if err := again.Close(time.Now(), -1); err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenFile("/data/gone-0/00000000000000000000.log", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("S"), bytesOf(t, f)-2); err != nil { // as what was not flushed may be after a crash
		t.Fatal(err)
	}
	last := newHost(t, fs, nil)
	defer last.Abandon()
	if !last.Dirs[0].WasClean() {
		t.Fatal("no marker of a clean stop")
	}
	last.topic("gone", 1)
	wantValues(t, last.part("gone", 0), "first")
}

func bytesOf(t *testing.T, f vfs.File) int64 {
	t.Helper()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFolderThatWasJustMadeStaysInItsDir: after a crash a folder may be there that has no partition.metadata yet. Made again
// in another dir it would be in both, which the next start refuses.
func TestFolderThatWasJustMadeStaysInItsDir(t *testing.T) {
	fs := vfs.NewMem()
	two := func(c *Config) {
		d, err := logdir.Open(fs, "/other", logdir.Meta{ClusterID: "cluster-of-the-test-00", NodeID: 1}, rand.New(rand.NewPCG(5, 6)), c.Log)
		if err != nil {
			t.Fatal(err)
		}
		c.Dirs = append(c.Dirs, d)
	}
	if err := fs.MkdirAll("/other/t-0", 0o755); err != nil {
		t.Fatal(err)
	}
	meta := "cluster.id=cluster-of-the-test-00\nversion=1\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAaQ\n"
	f, err := fs.OpenFile("/other/meta.properties", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(meta), 0); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, fs, two)
	defer h.Abandon()
	h.topic("t", 1)
	mustWrite(t, h.part("t", 0), "x")
	if dir, _, err := h.part("t", 0).Disk(); err != nil || dir != "/other" {
		t.Fatalf("made again in %s, %v", dir, err)
	}
}

func TestRetentionDeletesAtItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, vfs.NewMem(), nil)
		defer h.Abandon()
		h.topic("t", 1, "retention.ms", "60000")
		p := h.part("t", 0)
		mustWrite(t, p, "old")
		time.Sleep(6 * time.Minute)
		if start, _, _, end, err := p.Offsets(); err != nil || start != 1 || end != 1 {
			t.Fatalf("start %d, end %d, %v", start, end, err)
		}
		mustWrite(t, p, "new")
		never := "-1"
		h.apply(configRecord("t", "retention.ms", &never))
		time.Sleep(time.Hour)
		wantValues(t, p, "new")
	})
}

func TestTooFewInSyncReplicasRefuseAcksAll(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	rec := partitionRecord("t", 0)
	rec.Replicas = []kafka.NodeID{1, 2}
	two := "2"
	h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, configRecord("t", "min.insync.replicas", &two), rec)
	p := h.part("t", 0)
	if _, err := write(t, p, AllReplicas, "a"); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Fatalf("acks=all: %v", err)
	}
	if _, err := write(t, p, 1, "a"); err != nil {
		t.Fatalf("acks=1: %v", err)
	}
	if hw := p.HighWatermark(); hw != 0 {
		t.Fatalf("high watermark %d although too few replicas are in sync", hw)
	}
	one := "1"
	h.apply(configRecord("t", "min.insync.replicas", &one))
	wantValues(t, p, "a")
}

func TestLostLeadershipWakesWhoWaits(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	rec := partitionRecord("t", 0)
	rec.Replicas, rec.ISR = []kafka.NodeID{1, 2}, []kafka.NodeID{1, 2}
	h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, rec)
	p := h.part("t", 0)
	a, epoch, err := p.Append(time.Now(), valid(t, p, "x"), AllReplicas, commitlog.OriginClient, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := await.NewWaiter(1)
	p.Await(w, AllReplicas, a.Last+1)
	change := metadata.NewPartitionChange(topicID("t"), 0)
	change.Leader = 2
	h.apply(change)
	<-w.Woken()
	if _, err := p.Acked(AllReplicas, epoch, a.Last+1); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Fatalf("after the leadership: %v", err)
	}
	if _, err := write(t, p, 1, "y"); !errors.Is(err, kerr.NotLeaderForPartition) {
		t.Fatalf("append: %v", err)
	}
}

func TestNothingIsOpenedTwiceUnderConcurrentUse(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	h.topic("t", 50)
	var wg sync.WaitGroup
	for range 4 {
		for n := range int32(50) {
			wg.Go(func() {
				if _, err := write(t, h.part("t", n), AllReplicas, "x"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for n := range int32(50) {
		wantValues(t, h.part("t", n), "x", "x", "x", "x")
	}
}

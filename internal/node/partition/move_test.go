package partition

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
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
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// startDirs is newHost with the log dirs /a, /b and /c.
func startDirs(t *testing.T, fs vfs.FS, change func(*Config)) (*host, error) {
	log := slog.New(slog.DiscardHandler)
	dirs, err := logdir.OpenAll(fs, []string{"/a", "/b", "/c"}, func(string) bool { return false },
		logdir.Meta{ClusterID: "cluster-of-the-test-00", NodeID: 1}, rand.New(rand.NewPCG(1, 2)), log)
	if err != nil {
		return nil, err
	}
	h := &host{t: t, img: metadata.New("cluster-of-the-test-00")}
	c := Config{
		Node: 1, FS: fs, Dirs: dirs, Log: log, Rand: rand.New(rand.NewPCG(3, 4)),
		Topic:     func(o map[string]string) conf.TopicConfig { return conf.TopicLog(o, conf.Layers{}) },
		DirFailed: func(string, error) { h.failed.Add(1) },
	}
	if change != nil {
		change(&c)
	}
	h.Set, err = NewSet(c)
	return h, err
}

func newDirs(t *testing.T, fs vfs.FS, change func(*Config)) *host {
	t.Helper()
	h, err := startDirs(t, fs, change)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// settled tells whether the partition is in the dir, and nothing of it, nor of another move, is in the others.
func settled(fs vfs.FS, p *Partition, in string) bool {
	for _, dir := range []string{"/a", "/b", "/c"} {
		entries, err := fs.ReadDir(dir)
		if err != nil {
			return false
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), p.tp.Topic+"-") && (dir != in || e.Name() != p.tp.String()) {
				return false
			}
		}
	}
	dir, _, err := p.Disk()
	_, moves := p.Future()
	return err == nil && dir == in && !moves
}

func awaitMoved(t *testing.T, fs vfs.FS, p *Partition, to string) {
	t.Helper()
	until(t, fmt.Sprintf("%v is in %s", p.tp, to), func() bool { return settled(fs, p, to) })
}

func mustMove(t *testing.T, h *host, p *Partition, to string) {
	t.Helper()
	if err := h.MoveTo(p.tp, to); err != nil {
		t.Fatal(err)
	}
}

func TestAReplicaMovesWhileItIsAppendedTo(t *testing.T) {
	for _, durability := range []string{"flush", "os"} {
		fs := vfs.NewMem()
		h := newDirs(t, fs, nil)
		h.topic("t", 1, "internal.segment.bytes", "1000", "durability", durability)
		p := h.part("t", 0)
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint("before ", i))
			mustWrite(t, p, want[i])
		}
		if _, err := p.DeleteBefore(33); err != nil {
			t.Fatal(err)
		}
		want = want[33:]
		var mu sync.Mutex
		var work sync.WaitGroup
		stop := make(chan struct{})
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				value := fmt.Sprint("during ", i)
				if _, err := write(t, p, AllReplicas, value); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want = append(want, value)
				mu.Unlock()
			}
		})
		for _, to := range []string{"/b", "/c", "/a", "/b"} {
			mustMove(t, h, p, to)
			awaitMoved(t, fs, p, to)
		}
		close(stop)
		work.Wait()
		mustWrite(t, p, "after")
		want = append(want, "after")
		wantValues(t, p, want...)
		if err := h.Close(time.Now(), 1); err != nil {
			t.Fatal(err)
		}
		again := newDirs(t, fs, nil)
		again.topic("t", 1)
		wantValues(t, again.part("t", 0), want...)
		if dir, _, _ := again.part("t", 0).Disk(); dir != "/b" {
			t.Errorf("after a restart it is in %s", dir)
		}
		again.Abandon()
	}
}

// TestAMoveTakesAlongWhatRecordsDoNotTell: a producer whose batches are deleted is known afterwards, and a leader epoch in which nothing
// was written.
func TestAMoveTakesAlongWhatRecordsDoNotTell(t *testing.T) {
	fs := vfs.NewMem()
	h := newDirs(t, fs, nil)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: 77, Epoch: 3, BaseSequence: 0})
	b.Append(time.Now().UnixMilli(), []byte("k"), []byte("v"), nil)
	v, err := batch.ValidateProduce(b.Bytes(nil), p.Rules(time.Now(), true))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginClient, 0); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, p, "one")
	if _, err := p.DeleteBefore(1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c := metadata.NewPartitionChange(topicID("t"), 0)
		c.Leader = 1
		h.apply(c) // another epoch
	}
	mustWrite(t, p, "two")
	before, err := p.Producers(time.Now())
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	ends := func() (all []EpochEnd) {
		for e := range p.Role().Epoch + 1 {
			end, err := p.EndOfEpoch(kafka.NoLeaderEpoch, e)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, end)
		}
		return all
	}
	epochs := ends()
	mustMove(t, h, p, "/b")
	awaitMoved(t, fs, p, "/b")
	if after, err := p.Producers(time.Now()); err != nil || !slices.Equal(after, before) {
		t.Errorf("the producers are %+v, and were %+v: %v", after, before, err)
	}
	if now := ends(); !slices.Equal(now, epochs) {
		t.Errorf("the epochs end as %v, and did as %v", now, epochs)
	}
	wantValues(t, p, "one", "two")
}

// TestAFlushOfTheFormerDirSaysNothingOfTheNewOne: the partition was queued for a flush when it moved.
func TestAFlushOfTheFormerDirSaysNothingOfTheNewOne(t *testing.T) {
	for _, whole := range []bool{false, true} {
		hold := make(chan struct{})
		var armed, own atomic.Bool
		mem := vfs.NewMem()
		fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
			if armed.Load() && (op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncFS) && strings.HasPrefix(op.Path, "/b") {
				own.Store(true)
				<-hold
			}
			return nil
		})
		h := newDirs(t, fs, nil)
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/b")
		awaitMoved(t, mem, p, "/b")
		armed.Store(true)
		p.dirty.Store(true) // as if the flusher of /a had it queued: that of /b hears nothing of the append
		if _, _, err := p.Append(time.Now(), valid(t, p, "two"), AllReplicas, commitlog.OriginClient, 0); err != nil {
			t.Fatal(err)
		}
		p.dirty.Store(false)
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.dirAt("/a").flusher.round([]*Partition{p}, whole)
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the flusher of /a flushes what is in /b")
		}
		until(t, "the flusher of /b has it", own.Load)
		if log := p.openLog(); log.Flushed() == log.End() {
			t.Error("it counts as flushed")
		}
		close(hold)
		until(t, "it is flushed", func() bool { return p.HighWatermark() == 2 })
		h.Abandon()
	}
}

// held is a Set whose moves wait, as no controller notes where the replicas are.
func held(c *Config) { c.Moved = func(*Partition) {} }

// caught waits until the copy has all there is.
func caught(t *testing.T, p *Partition) {
	t.Helper()
	until(t, "the copy has caught up", func() bool {
		f, moves := p.Future()
		_, news := p.Assignment()
		return moves && f.Lag == 0 && news
	})
}

// noted has the metadata say that partition 0 of a topic is in one of the dirs.
func (h *host) noted(topic, dir string) {
	r := metadata.NewPartitionChange(topicID(topic), 0)
	r.Directories = []kafka.TopicID{h.dirAt(dir).id()}
	h.apply(r)
}

func TestAMoveWaitsForTheControllerAndGoesOnAfterARestart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		fs := vfs.NewMem()
		h := newDirs(t, fs, held)
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/c")
		caught(t, p)
		mustWrite(t, p, "two")
		caught(t, p)
		if id, news := p.Assignment(); id != h.dirAt("/c").id() || !news {
			t.Errorf("the controller is to be told %v, %v", id, news)
		}
		if dir, _, _ := p.Disk(); dir != "/a" {
			t.Errorf("it is in %s before the controller knows", dir)
		}
		if clean {
			if err := h.Close(time.Now(), 1); err != nil {
				t.Fatal(err)
			}
		} else {
			h.Abandon()
		}
		again := newDirs(t, fs, held)
		again.topic("t", 1)
		p = again.part("t", 0)
		caught(t, p)
		wantValues(t, p, "one", "two")
		mustWrite(t, p, "three")
		again.noted("t", "/c")
		awaitMoved(t, fs, p, "/c")
		wantValues(t, p, "one", "two", "three")
		again.Abandon()
	}
}

// TestALongNameIsNoHindrance: that of the copy's folder is cut short.
func TestALongNameIsNoHindrance(t *testing.T) {
	fs := vfs.NewMem()
	name := strings.Repeat("n", 249)
	h := newDirs(t, fs, held)
	h.topic(name, 1)
	p := h.part(name, 0)
	mustWrite(t, p, "one")
	mustMove(t, h, p, "/b")
	caught(t, p)
	h.Abandon()
	again := newDirs(t, fs, held)
	again.topic(name, 1)
	p = again.part(name, 0)
	caught(t, p)
	again.noted(name, "/b")
	until(t, "it has moved", func() bool { dir, _, _ := p.Disk(); return dir == "/b" })
	wantValues(t, p, "one")
	if err := again.Close(time.Now(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat("/b/.kafka_cleanshutdown"); err != nil {
		t.Errorf("the stop was not a clean one: %v", err)
	}
}

func TestAMoveIsReplacedOrGivenUp(t *testing.T) {
	fs := vfs.NewMem()
	h := newDirs(t, fs, held)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "one")
	future := func(dir string) bool {
		entries, _ := fs.ReadDir(dir)
		return slices.ContainsFunc(entries, func(e iofs.DirEntry) bool { return strings.HasSuffix(e.Name(), "-future") })
	}
	mustMove(t, h, p, "/b")
	until(t, "the copy is in /b", func() bool { return future("/b") })
	mustMove(t, h, p, "/b") // is under way
	mustMove(t, h, p, "/c")
	until(t, "the copy is in /c alone", func() bool { return future("/c") && !future("/b") })
	mustMove(t, h, p, "/a") // where it is
	awaitMoved(t, fs, p, "/a")
	mustMove(t, h, p, "/c")
	caught(t, p)
	h.noted("t", "/c")
	awaitMoved(t, fs, p, "/c")
	wantValues(t, p, "one")
}

func TestATopicThatIsDeletedTakesItsCopyAlong(t *testing.T) {
	fs := vfs.NewMem()
	h := newDirs(t, fs, held)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "one")
	mustMove(t, h, p, "/b")
	caught(t, p)
	h.apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
	until(t, "nothing is left", func() bool {
		for _, dir := range []string{"/a", "/b"} {
			entries, _ := fs.ReadDir(dir)
			if slices.ContainsFunc(entries, func(e iofs.DirEntry) bool { return strings.HasPrefix(e.Name(), "t-") }) {
				return false
			}
		}
		return true
	})
}

func TestWhereAReplicaMayMove(t *testing.T) {
	h := newDirs(t, vfs.NewMem(), held)
	defer h.Abandon()
	h.topic("t", 1)
	tp := h.part("t", 0).tp
	elsewhere := partitionRecord("later", 0)
	elsewhere.Replicas, elsewhere.ISR, elsewhere.Leader = []kafka.NodeID{2}, []kafka.NodeID{2}, 2
	h.apply(&metadata.TopicRecord{Name: "later", ID: topicID("later")}, elsewhere)
	for _, c := range []struct {
		tp   kafka.TopicPartition
		dir  string
		want *kerr.Error
	}{
		{tp, "/nowhere", kerr.LogDirNotFound},
		{kafka.TopicPartition{Topic: "later"}, "/c", kerr.ReplicaNotAvailable},
		{kafka.TopicPartition{Topic: "later", Partition: 1}, "/c", kerr.UnknownTopicOrPartition},
		{kafka.TopicPartition{Topic: "t", Partition: -1}, "/c", kerr.UnknownTopicOrPartition},
		{kafka.TopicPartition{Topic: "never"}, "/c", kerr.UnknownTopicOrPartition},
		{kafka.TopicPartition{Topic: "never"}, "/nowhere", kerr.LogDirNotFound},
	} {
		if err := h.MoveTo(c.tp, c.dir); !errors.Is(err, c.want) {
			t.Errorf("%v to %s: %v, want %v", c.tp, c.dir, err, c.want)
		}
	}
	if len(h.preferred) != 1 {
		t.Errorf("of partitions that do not exist it is remembered where they are to be: %v", h.preferred)
	}
	h.apply(&metadata.RemoveTopicRecord{ID: topicID("later")})
	if len(h.preferred) != 0 {
		t.Errorf("of a topic that was deleted it is remembered: %v", h.preferred)
	}
	h.apply(&metadata.TopicRecord{Name: "later", ID: topicID("later")}, elsewhere)
	if err := h.MoveTo(kafka.TopicPartition{Topic: "later"}, "/c"); !errors.Is(err, kerr.ReplicaNotAvailable) {
		t.Error(err)
	}
	h.apply(partitionRecord("later", 0))
	if len(h.preferred) != 0 {
		t.Errorf("of a partition that is here it is remembered: %v", h.preferred)
	}
	if dir, _, _ := h.part("later", 0).Disk(); dir != "/c" {
		t.Errorf("a partition that was to begin in /c began in %s", dir)
	}
	h.dirAt("/b").Fail(errors.New("broken"))
	if err := h.MoveTo(tp, "/b"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("to a dir that failed: %v", err)
	}
	if err := h.MoveTo(tp, "/c"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("while another dir has failed: %v", err)
	}
	if err := h.MoveTo(tp, "/a"); err != nil {
		t.Errorf("to where it is: %v", err)
	}
}

// TestCompactionDoesNotOvertakeACopy writes tombstones behind a copy that is slow: were they compacted away before it comes there, with
// what they delete, which it has already, the keys would be back.
func TestCompactionDoesNotOvertakeACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		var threads atomic.Int32
		h := newDirs(t, fs, func(c *Config) {
			c.MoveRate = func() float64 { return 100 }
			c.Cleaner = func() conf.CleanerConfig {
				now := cleaning()
				now.Threads = int(threads.Load())
				return now
			}
		})
		defer h.Abandon()
		p := h.compacted("t", 20, "delete.retention.ms", "0")
		mustMove(t, h, p, "/b")
		time.Sleep(time.Second)
		threads.Store(1)
		time.Sleep(30 * time.Second)
		if f, _ := p.Future(); f.Lag < 100 || f.Lag > 195 {
			t.Fatalf("the copy is not where it is wanted: %+v", f)
		}
		for i := range 10 {
			b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
			b.Append(time.Now().UnixMilli(), fmt.Append(nil, i), nil, nil)
			v, err := batch.ValidateProduce(b.Bytes(nil), p.Rules(time.Now(), true))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginClient, 0); err != nil {
				t.Fatal(err)
			}
		}
		for range 40 { // the tombstones get old, and behind the active segment
			mustWrite(t, p, strings.Repeat("x", 100))
		}
		time.Sleep(time.Hour)
		awaitMoved(t, fs, p, "/b")
		for range 40 {
			mustWrite(t, p, strings.Repeat("x", 100))
		}
		time.Sleep(time.Hour)
		if st := h.statsOf(p); st.Last.Ended.IsZero() {
			t.Errorf("it is not compacted where it is now: %+v", st)
		}
		for _, v := range values(t, p) {
			if v != strings.Repeat("x", 100) {
				t.Fatalf("a deleted key has a value again: %x", v)
			}
		}
	})
}

// fetched gives a follower a batch of one record, as its leader of the epoch would.
func fetched(t *testing.T, p *Partition, epoch kafka.LeaderEpoch, value string) {
	t.Helper()
	v := valid(t, p, value)
	batch.StampOffset(v.Batch, p.LogEnd(), epoch)
	if err := p.AppendFetched(time.Now(), epoch, v.Batch); err != nil {
		t.Fatal(err)
	}
}

// TestATruncationReachesTheCopy, also one that a crash keeps the mover from seeing.
func TestATruncationReachesTheCopy(t *testing.T) {
	for _, crash := range []bool{false, true} {
		mem := vfs.NewMem()
		h := newDirs(t, mem, held)
		r := partitionRecord("t", 0)
		r.Replicas, r.ISR, r.Leader, r.LeaderEpoch = []kafka.NodeID{2, 1}, []kafka.NodeID{2, 1}, 2, 5
		h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, r)
		p := h.part("t", 0)
		until(t, "it is open", func() bool { return p.openLog() != nil })
		for i := range 10 {
			fetched(t, p, 5, fmt.Sprint("old ", i))
		}
		mustMove(t, h, p, "/b")
		caught(t, p)
		if crash {
			if _, err := p.openLog().Flush(); err != nil {
				t.Fatal(err)
			}
			stop := p.role.move // nothing goes on with it
			p.role.Lock()
			p.role.move = nil
			p.role.Unlock()
			stop.to.mover.mu.Lock()
			stop.to.mover.moves = nil
			stop.to.mover.mu.Unlock()
		}
		c := metadata.NewPartitionChange(topicID("t"), 0)
		c.Leader = 2
		h.apply(c)
		epoch := p.Role().Epoch
		if err := p.Diverged(epoch, EpochEnd{Epoch: 5, End: 4}); err != nil {
			t.Fatal(err)
		}
		want := []string{"old 0", "old 1", "old 2", "old 3"}
		for i := range 8 {
			want = append(want, fmt.Sprint("new ", i))
			fetched(t, p, epoch, want[len(want)-1])
		}
		if crash {
			if _, err := p.openLog().Flush(); err != nil {
				t.Fatal(err)
			}
			h.Abandon()
			h = newDirs(t, mem, held)
			r.LeaderEpoch = epoch
			h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, r)
			p = h.part("t", 0)
		}
		caught(t, p)
		dirs := metadata.NewPartitionChange(topicID("t"), 0)
		dirs.Directories = []kafka.TopicID{{}, h.dirAt("/b").id()}
		h.apply(dirs)
		awaitMoved(t, mem, p, "/b")
		wantContents(t, p, want...)
		if e, end := p.openLog().EndOffsetForEpoch(5); e != 5 || end != 4 {
			t.Errorf("epoch 5 ends as %d at %d", e, end)
		}
		h.Abandon()
	}
}

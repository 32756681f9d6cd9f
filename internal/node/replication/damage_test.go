package replication

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// What bits on a disk do: the second of three batches is damaged, in its header or in its records.
const (
	inHeader  = 11 // the batch's length
	inRecords = 65
)

// logFile opens the log of t-0, and finds where its batches begin.
func logFile(t *testing.T, fs *vfs.Mem) (f vfs.File, starts []int64, size int64) {
	t.Helper()
	f, err := fs.OpenFile("/data/t-0/00000000000000000000.log", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	size, err = f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	for one, err := range batch.Split(b) {
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		if len(starts) > 0 {
			n = starts[len(starts)-1]
		}
		starts = append(starts, n+int64(len(one)))
	}
	return f, append([]int64{0}, starts[:len(starts)-1]...), size
}

// damage flips a bit of the second batch.
func damage(t *testing.T, fs *vfs.Mem, at int64) {
	t.Helper()
	f, starts, _ := logFile(t, fs)
	defer f.Close()
	b := []byte{0}
	if _, err := f.ReadAt(b, starts[1]+at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, starts[1]+at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// shorten cuts the log off after its first batch.
func shorten(t *testing.T, fs *vfs.Mem) {
	t.Helper()
	f, starts, _ := logFile(t, fs)
	defer f.Close()
	if err := f.Truncate(starts[1]); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// old lets time pass until what was written counts as read from the disk, and the checkpoints tell of it.
func old() { time.Sleep(11 * time.Minute) }

func (w *world) leader() kafka.NodeID {
	p, _ := w.image().Partition(kafka.TopicPartition{Topic: "t"})
	return p.Leader
}

// code is what a consumer of a node is answered at an offset.
func (w *world) code(id kafka.NodeID, offset int64) error {
	w.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = 1 << 20
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "t"
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := w.node(id).call(w.t.Context(), req, 12)
	w.must(resp, err)
	return kerr.ErrorForCode(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode)
}

func (w *world) healed(ids ...kafka.NodeID) {
	w.t.Helper()
	w.same("t", 0, "a b c", ids...)
	w.until("all are in sync", func() bool { return slices.Equal(w.isr("t", 0), ids) })
}

func abc(w *world) {
	for _, v := range []string{"a", "b", "c"} {
		w.acked(1, "t", 0, v)
	}
	old()
}

func TestALeaderThatReadsDamageGivesUpAndHeals(t *testing.T) {
	for _, at := range []int64{inHeader, inRecords} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 2, 3)
				w.topic("t", 1, 1, 2, 3)
				abc(w)
				damage(t, w.node(1).fs, at)
				if err := w.code(1, 1); err != kerr.KafkaStorageError {
					t.Errorf("the damaged batch is answered with %v", err)
				}
				w.until("another leads", func() bool { return w.leader() > 1 })
				w.acked(w.leader(), "t", 0, "d")
				w.same("t", 0, "a b c d", 1, 2, 3)
				w.until("all are in sync", func() bool { return len(w.isr("t", 0)) == 3 })
			})
		})
	}
}

func TestAConsumerGetsWhatComesBeforeTheDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.topic("t", 1, 1, 2)
		abc(w)
		damage(t, w.node(1).fs, inRecords)
		if got := w.read(1, "t", 0); got != "a" {
			t.Errorf("read %q", got)
		}
		w.healed(1, 2)
	})
}

func TestAFollowerThatReadsDamageHeals(t *testing.T) {
	for _, at := range []int64{inHeader, inRecords} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 2)
				w.topic("t", 1, 1, 2)
				abc(w)
				damage(t, w.node(2).fs, at)
				if err := w.code(2, 1); err != kerr.KafkaStorageError {
					t.Errorf("the damaged batch is answered with %v", err)
				}
				w.healed(1, 2)
				if w.leader() != 1 {
					t.Error("the leader changed")
				}
			})
		})
	}
}

// What the last one in sync has is served, as on a single node, until another has the data too.
func TestTheLastOneInSyncKeepsLeading(t *testing.T) {
	for minISR := 1; minISR <= 2; minISR++ { // with 2 the other one is eligible, but away
		t.Run(fmt.Sprint(minISR), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, func(w *world) { w.minISR = minISR }, 1, 2)
				w.eligible()
				w.topic("t", 1, 1, 2)
				abc(w)
				fs := w.node(2).fs
				w.kill(w.node(2))
				w.fence(2)
				damage(t, w.node(1).fs, inRecords)
				if err := w.code(1, 1); err != kerr.KafkaStorageError {
					t.Errorf("the damaged batch is answered with %v", err)
				}
				time.Sleep(time.Minute)
				if err := w.code(1, 2); w.leader() != 1 || err != nil {
					t.Errorf("led by %d, what is sound is answered with %v", w.leader(), err)
				}
				w.start(2, fs)
				w.until("the other leads", func() bool { return w.leader() == 2 })
				w.healed(1, 2)
			})
		})
	}
}

func TestDamageThatIsFoundAtTheStartHeals(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *vfs.Mem){
		"header": func(t *testing.T, fs *vfs.Mem) { damage(t, fs, inHeader) }, "short": shorten,
	} {
		for _, fenced := range []bool{false, true} {
			for _, id := range []kafka.NodeID{1, 3} {
				t.Run(fmt.Sprint(name, " fenced ", fenced, " node ", id), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, 1, 2, 3)
						w.topic("t", 1, 1, 2, 3)
						abc(w)
						fs := w.node(id).fs
						w.kill(w.node(id))
						if fenced {
							w.fence(id)
						}
						spoil(t, fs)
						w.start(id, fs)
						w.healed(1, 2, 3)
					})
				})
			}
		}
	}
}

// The worst case: the damaged replica is the only one up that the controller knows to have had all. Were it to lead, what it lost
// would be lost for all.
func TestADamagedReplicaDoesNotLeadInPlaceOfAWholeOne(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *vfs.Mem){
		"header": func(t *testing.T, fs *vfs.Mem) { damage(t, fs, inHeader) }, "short": shorten,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, func(w *world) { w.minISR = 2 }, 1, 2, 3)
				w.eligible()
				w.topic("t", 1, 1, 2)
				abc(w)
				one, two := w.node(1).fs, w.node(2).fs
				w.kill(w.node(2))
				w.fence(2)
				w.kill(w.node(1))
				w.fence(1)
				spoil(t, two)
				w.start(2, two)
				time.Sleep(time.Minute)
				if got := w.code(2, 0); w.leader() == 2 || got == nil {
					t.Errorf("led by %d, which answers %v", w.leader(), got)
				}
				w.start(1, one)
				w.healed(1, 2)
			})
		})
	}
}

// A power cut may come at any time while a replica heals.
func TestAHealingReplicaThatCrashesIsNotCountedEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, func(w *world) { w.minISR = 2 }, 1, 2)
		w.eligible()
		w.topic("t", 1, 1, 2)
		abc(w)
		one, two := w.node(1).fs, w.node(2).fs
		w.kill(w.node(2))
		shorten(t, two)
		w.cut(1, true) // it finds its damage, and nothing to fetch
		w.start(2, two)
		time.Sleep(time.Minute)
		two = w.node(2).fs.CrashClone(w.rnd)
		w.kill(w.node(2))
		w.kill(w.node(1))
		w.fence(2)
		w.fence(1)
		w.start(2, two)
		time.Sleep(time.Minute)
		if w.leader() == 2 && w.code(2, 0) == nil {
			t.Error("a replica leads that lacks what was committed")
		}
		w.cut(1, false)
		w.start(1, one)
		w.healed(1, 2)
	})
}

func TestTheOnlyReplicaIsAsOnASingleNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.topic("t", 1, 1)
		abc(w)
		fs := w.node(1).fs
		w.kill(w.node(1))
		shorten(t, fs)
		w.start(1, fs)
		w.same("t", 0, "a", 1)
	})
}

// A replica whose peers lack what it has, too, goes on with what it has.
func TestTheLastOneIsAsOnASingleNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.eligible()
		w.topic("t", 1, 1, 2)
		w.acked(1, "t", 0, "a")
		w.kill(w.node(2))
		w.fence(2)
		w.acked(1, "t", 0, "b")
		w.acked(1, "t", 0, "c")
		old()
		fs := w.node(1).fs
		w.kill(w.node(1))
		w.fence(1)
		shorten(t, fs)
		w.start(1, fs)
		w.same("t", 0, "a", 1)
	})
}

func TestCompactionThatFindsDamageHasItHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var threads atomic.Int32
		w := newWorldOf(t, func(w *world) {
			w.cleaner = func() conf.CleanerConfig {
				return conf.CleanerConfig{
					Threads: int(threads.Load()), DedupeBytes: 1 << 20, LoadFactor: 0.9, BufferBytes: 1 << 16, BytesPerSecond: 1e12, Backoff: time.Second,
				}
			}
		}, 1, 2)
		w.topic("t", 1, 1, 2)
		for name, value := range map[string]string{"cleanup.policy": "compact", "internal.segment.bytes": "2000", "min.cleanable.dirty.ratio": "0.01"} {
			w.apply(&metadata.ConfigRecord{Resource: metadata.ConfigResource{Type: metadata.TopicConfig, Name: "t"}, Name: name, Value: &value})
		}
		for i := range 100 {
			w.keyed(1, fmt.Sprint(i%10), fmt.Sprint("v", i))
		}
		fs := w.node(2).fs
		w.same("t", 0, w.read(1, "t", 0), 2)
		damage(t, fs, inRecords)
		threads.Store(1)
		w.until("the damage is found", func() bool { return w.part(1, "t", 0).Role().Epoch > 0 })
		w.until("it is healed, and compacted", func() bool {
			stats := w.node(2).set.CleaningStats(time.Now())
			return len(w.isr("t", 0)) == 2 && len(stats) == 1 && stats[0].Uncleanable == nil && !stats[0].Last.Ended.IsZero()
		})
		if _, end, ok := w.bounds(2, "t", 0); !ok || end != 100 {
			t.Errorf("it ends at %d", end)
		}
	})
}

// keyed is acked with a key, to t-0.
func (w *world) keyed(id kafka.NodeID, key, value string) {
	w.t.Helper()
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: -1, Epoch: -1, BaseSequence: -1})
	b.Append(time.Now().UnixMilli(), []byte(key), []byte(value), nil)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "t"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b.Bytes(nil)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := w.node(id).call(w.t.Context(), req, 9)
	w.must(resp, err)
	if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		w.t.Fatal(kerr.ErrorForCode(code))
	}
}

package partition

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// fillable is a disk that is full while it is told to be.
func fillable(full *atomic.Bool, of func(vfs.Op) bool) vfs.FS {
	return vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if full.Load() && of(op) {
			return syscall.ENOSPC
		}
		return nil
	})
}

func takesRoom(op vfs.Op) bool {
	return op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate || op.Kind == vfs.OpMkdirAll
}

// TestAFullDiskRefusesAppendsUntilThereIsRoom: reads go on, checkpoints are left as they were, topics that are made wait, and
// when there is room everything goes on by itself.
func TestAFullDiskRefusesAppendsUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		h := newHost(t, fillable(&full, takesRoom), nil)
		defer h.Abandon()
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "before")
		full.Store(true)
		h.topic("u", 1)
		for range 3 {
			if _, err := write(t, p, AllReplicas, "lost"); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("write to a full disk: %v", err)
			}
			if _, err := write(t, h.part("u", 0), AllReplicas, "lost"); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("write to a partition that cannot be made: %v", err)
			}
			<-time.After(2 * time.Minute) // of the bubble: checkpoints come due
		}
		f, err := p.Fetch(Position{Epoch: -1, LastEpoch: -1, MaxBytes: 1000, MinOne: true})
		if err != nil || f.Plan.Bytes == 0 || f.HighWatermark != 1 {
			t.Errorf("read from a full disk: %+v, %v", f, err)
		}
		f.Plan.Release()
		full.Store(false)
		mustWrite(t, p, "after")
		mustWrite(t, h.part("u", 0), "after")
		<-time.After(2 * time.Minute)
		if h.failed.Load() != 0 || h.Dirs[0].Offline() != nil {
			t.Errorf("the log dir was taken offline: %v", h.Dirs[0].Offline())
		}
		if hw := h.Dirs[0].HighWatermark(p.Name()); hw != 2 {
			t.Errorf("checkpointed high watermark %d", hw)
		}
	})
}

// TestAFlushWithoutRoomIsMadeWhenThereIsSome refuses the small file that the first flush of an epoch writes: the append is
// in the log, the producer is told at once that it may not stay, and when there is room the flush is made by itself.
func TestAFlushWithoutRoomIsMadeWhenThereIsSome(t *testing.T) {
	for _, method := range []FlushMethod{FlushFdatasync, FlushSyncfs} {
		synctest.Test(t, func(t *testing.T) {
			var full atomic.Bool
			full.Store(true)
			h := newHost(t, fillable(&full, func(op vfs.Op) bool {
				return op.Kind == vfs.OpCreate && strings.HasSuffix(op.Path, "leader-epoch-checkpoint.tmp")
			}), func(c *Config) { c.FlushMethod = method })
			defer h.Abandon()
			h.topic("t", 1)
			p := h.part("t", 0)
			a, epoch, err := p.Append(time.Now(), valid(t, p, "late"), AllReplicas, commitlog.OriginClient, 0)
			if err != nil {
				t.Fatal(err)
			}
			w := await.NewWaiter(1)
			p.Await(w, AllReplicas, a.Last+1)
			<-w.Woken()
			if _, err := p.Acked(AllReplicas, epoch, a.Last+1); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("acknowledgement without a flush: %v", err)
			}
			<-time.After(10 * retryAfter)
			if hw := p.HighWatermark(); hw != 0 {
				t.Errorf("high watermark %d without a flush", hw)
			}
			full.Store(false)
			<-time.After(2 * retryAfter)
			if done, err := p.Acked(AllReplicas, epoch, a.Last+1); !done || err != nil || p.HighWatermark() != 1 {
				t.Errorf("%v, %v, high watermark %d when there is room", done, err, p.HighWatermark())
			}
			if h.Dirs[0].Offline() != nil {
				t.Error(h.Dirs[0].Offline())
			}
		})
	}
}

// TestAFolderIsDeletedWhenTheDiskLetsIt has no file descriptors left for the removal of a folder.
func TestAFolderIsDeletedWhenTheDiskLetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		disk := vfs.NewMem()
		h := newHost(t, vfs.NewFaulty(disk, func(op vfs.Op) error {
			if full.Load() && op.Kind == vfs.OpRemoveAll {
				return syscall.EMFILE
			}
			return nil
		}), nil)
		defer h.Abandon()
		h.topic("t", 1)
		mustWrite(t, h.part("t", 0), "x")
		full.Store(true)
		h.remove(kafka.TopicPartition{Topic: "t"}, topicID("t"))
		<-time.After(time.Minute)
		full.Store(false)
		<-time.After(time.Second)
		entries, err := disk.ReadDir("/data")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "t-0") {
				t.Errorf("%s is still there", e.Name())
			}
		}
	})
}

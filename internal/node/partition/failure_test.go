package partition

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// TestFailureBeforeTheSyncOfAllWakesWhoWaits breaks the write of an epoch checkpoint, which a round makes before it syncs
// the file system: whoever waits must hear of it then, not when his time is over.
func TestFailureBeforeTheSyncOfAllWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			if op.Kind == vfs.OpCreate && strings.HasSuffix(op.Path, "leader-epoch-checkpoint.tmp") {
				return errors.New("the disk is on fire")
			}
			return nil
		})
		h := newHost(t, fs, func(c *Config) { c.FlushMethod = FlushSyncfs })
		defer h.Abandon()
		h.topic("t", 1)
		p := h.part("t", 0)
		begun := time.Now()
		a, epoch, err := p.Append(begun, valid(t, p, "lost"), AllReplicas, commitlog.OriginClient, 0)
		if err != nil {
			t.Fatal(err)
		}
		w := await.NewWaiter(1)
		p.Await(w, AllReplicas, a.Last+1)
		select {
		case <-w.Woken():
		case <-time.After(time.Hour):
			t.Error("nobody was told that the flush failed")
		}
		if _, err := p.Acked(AllReplicas, epoch, a.Last+1); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("acknowledgement: %v", err)
		}
		synctest.Wait()
		if n := h.failed.Load(); n != 1 {
			t.Errorf("told of the failure %d times", n)
		}
	})
}

// TestRecoveryThatCannotBeFlushedTakesTheDirOffline has records recovered that are in the page cache only.
func TestRecoveryThatCannotBeFlushedTakesTheDirOffline(t *testing.T) {
	mem := vfs.NewMem()
	h := newHost(t, mem, nil)
	h.topic("t", 1, "durability", "os")
	mustWrite(t, h.part("t", 0), "in the page cache")
	h.Abandon()
	fs := vfs.NewFaulty(mem.Clone(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") {
			return errors.New("the disk is on fire")
		}
		return nil
	})
	again := newHost(t, fs, nil)
	defer again.Abandon()
	again.topic("t", 1)
	for range 2 {
		_, err := write(t, again.part("t", 0), AllReplicas, "x")
		if !errors.Is(err, kerr.KafkaStorageError) || !strings.Contains(err.Error(), "on fire") {
			t.Fatalf("write after the failed flush: %v", err)
		}
	}
	if n := again.failed.Load(); n != 1 {
		t.Fatalf("told of the failure %d times", n)
	}
}

// TestEpochCheckpointsOfARoundAreWrittenTogether counts on it that after a crash every partition begins an epoch: were the
// checkpoints synced one after the other, the first acknowledgements would wait for thousands of them.
func TestEpochCheckpointsOfARoundAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed, waited atomic.Bool
		appended, second := make(chan struct{}), make(chan struct{})
		fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
			switch {
			case op.Kind == vfs.OpSyncFS && !armed.Swap(true):
				<-appended // the next round has them all
			case !armed.Load() || op.Kind != vfs.OpSync || !strings.HasSuffix(op.Path, "leader-epoch-checkpoint.tmp"):
			case !waited.Swap(true):
				select {
				case <-second:
				case <-time.After(time.Minute):
					t.Error("no second checkpoint was written while the first was")
				}
			default:
				select {
				case second <- struct{}{}:
				default:
				}
			}
			return nil
		})
		h := newHost(t, fs, func(c *Config) { c.FlushMethod = FlushSyncfs })
		defer h.Abandon()
		h.topic("t", 20)
		w := await.NewWaiter(20)
		for n := range int32(20) {
			p := h.part("t", n)
			a, _, err := p.Append(time.Now(), valid(t, p, "x"), AllReplicas, commitlog.OriginClient, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.Await(w, AllReplicas, a.Last+1)
			synctest.Wait() // the first round is held in its sync
		}
		close(appended)
		<-w.Woken()
	})
}

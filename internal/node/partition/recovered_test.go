package partition

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
)

const crashed = 100

// crashedDisk holds a topic of many partitions with a record each, none of which a checkpoint knows, in the page cache of a process
// that was killed.
func crashedDisk(t *testing.T) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	h := newHost(t, disk, nil)
	h.topic("t", crashed)
	for i := range int32(crashed) {
		mustWrite(t, h.part("t", i), "safe")
	}
	h.Abandon()
	return disk.Clone()
}

// TestRecoveredLogsShareASync holds the first syncs of a start, of the few logs that came first, until all logs are recovered: the next
// one is for all the others.
func TestRecoveredLogsShareASync(t *testing.T) {
	for method, most := range map[FlushMethod]int32{FlushAuto: syncfsFrom, FlushSyncfs: 2, FlushFdatasync: crashed} {
		disk := crashedDisk(t)
		synctest.Test(t, func(t *testing.T) {
			var syncs atomic.Int32
			recovered := make(chan struct{})
			h := newHost(t, vfs.NewFaulty(disk, func(op vfs.Op) error {
				if op.Kind == vfs.OpSyncFS || op.Kind == vfs.OpSync && strings.HasSuffix(op.Path, ".log") {
					syncs.Add(1)
					<-recovered
				}
				return nil
			}), func(c *Config) { c.FlushMethod = method })
			h.topic("t", crashed)
			synctest.Wait()
			for _, p := range h.All() {
				if p.openLog() != nil {
					t.Errorf("%v is open before what was recovered of it is safe", p.Name())
				}
			}
			close(recovered)
			synctest.Wait()
			for _, p := range h.All() {
				if log := p.openLog(); log == nil || log.Flushed() != 1 || p.HighWatermark() != 1 {
					t.Errorf("%v is not there as it was", p.Name())
				}
			}
			if n := syncs.Load(); n > most {
				t.Errorf("%d syncs, want %d at most", n, most)
			}
			h.Abandon()
		})
	}
}

func TestAFailedSyncOfRecoveredLogsTakesTheDirOffline(t *testing.T) {
	disk := crashedDisk(t)
	synctest.Test(t, func(t *testing.T) {
		var syncs atomic.Int32
		recovered := make(chan struct{})
		h := newHost(t, vfs.NewFaulty(disk, func(op vfs.Op) error {
			if op.Kind != vfs.OpSyncFS && op.Kind != vfs.OpSync {
				return nil
			}
			<-recovered
			if op.Kind == vfs.OpSyncFS {
				syncs.Add(1)
				return errors.New("the disk is on fire")
			}
			return nil
		}), nil)
		h.topic("t", crashed)
		synctest.Wait()
		close(recovered)
		synctest.Wait()
		if n := syncs.Load(); n != 1 || h.failed.Load() != 1 {
			t.Errorf("%d syncs, told %d times", n, h.failed.Load())
		}
		if _, err := write(t, h.part("t", crashed-1), AllReplicas, "lost"); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("append to an offline dir: %v", err)
		}
		h.Abandon()
	})
}

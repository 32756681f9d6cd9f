package partition

import (
	"errors"
	"flag"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/vfs"
)

var everyCall = flag.Bool("every", false, "the long form: fail every call to the disk up to the 500th, not a share of them")

// broken is what a call to a broken disk gives: an error with nothing done, and of a write perhaps a part.
func broken(op vfs.Op, torn bool) error {
	if torn && op.Kind == vfs.OpWrite {
		return vfs.ErrTorn(int(op.N / 2))
	}
	return syscall.EIO
}

// TestTheNthCallToADiskThatFails fails, in a run for each n, the n-th call that a running set of partitions makes to its
// disk, or all from the n-th on. Nothing that was acknowledged is lost or changed, neither by a kill nor by a power cut
// afterwards; a dir whose disk failed to change something is offline, and says so to who writes; who reads is served what was
// flushed; and nobody waits for ever, which the bubble would tell.
func TestTheNthCallToADiskThatFails(t *testing.T) {
	step := int64(7)
	if *everyCall {
		step = 1
	}
	offline, runs := 0, 0
	for _, method := range []FlushMethod{FlushFdatasync, FlushSyncfs} {
		for _, after := range []bool{false, true} {
			for n := int64(1); n <= 500; n += step {
				runs++
				if failNth(t, method, n, after) {
					offline++
				}
			}
		}
	}
	t.Logf("%d runs, the dir went offline in %d", runs, offline)
	if offline < runs/4 {
		t.Errorf("the dir went offline in %d runs of %d", offline, runs)
	}
}

func failNth(t *testing.T, method FlushMethod, n int64, after bool) (offline bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		var failed atomic.Pointer[vfs.Op]
		var seq atomic.Int64
		var armed atomic.Bool
		fs := vfs.NewFaulty(disk, func(op vfs.Op) error {
			if !armed.Load() {
				return nil
			}
			if at := seq.Add(1); at == n || after && at > n {
				failed.CompareAndSwap(nil, &op)
				return broken(op, n%2 == 0)
			}
			return nil
		})
		h := newHost(t, fs, func(c *Config) { c.FlushMethod = method })
		armed.Store(true)
		where := func() string {
			return fmt.Sprintf("%v (n=%d, method %v, all after: %v)", failed.Load(), n, method, after)
		}
		h.topic("t", 2, "internal.segment.bytes", "600")
		h.topic("u", 1, "cleanup.policy", "compact")
		acked := map[string][]string{}
		for i := range 60 {
			p := h.part([]string{"t", "t", "u"}[i%3], int32(i%3%2))
			value := fmt.Sprintf("%v %d", p.tp, i)
			_, err := write(t, p, AllReplicas, value)
			switch {
			case err == nil:
				acked[p.tp.String()] = append(acked[p.tp.String()], value)
			case !errors.Is(err, kerr.KafkaStorageError):
				t.Errorf("%s: write: %v", where(), err)
			}
			if i == 30 {
				<-time.After(6 * time.Minute) // checkpoints and retention come due
			}
		}
		offline = h.Dirs[0].Offline() != nil
		if op := failed.Load(); op != nil && op.Kind.Changes() && op.Kind != vfs.OpRemove && !offline {
			if op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncFS || op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpWrite {
				t.Errorf("%s: the dir is online", where())
			}
		}
		if offline && !after {
			h.readsFlushed(t, where(), acked)
		}
		armed.Store(false)
		h.Abandon()
		for how, left := range map[string]*vfs.Mem{"kill": disk.Clone(), "power cut": disk.CrashClone(nil)} {
			again := newHost(t, left, nil)
			again.topic("t", 2, "internal.segment.bytes", "600")
			again.topic("u", 1, "cleanup.policy", "compact")
			for _, p := range again.All() {
				again.holds(t, where()+", "+how, p, acked[p.tp.String()])
			}
			again.Abandon()
		}
	})
	return offline
}

// readsFlushed holds that what was acknowledged can be read of an offline dir, where the log was open.
func (h *host) readsFlushed(t *testing.T, where string, acked map[string][]string) {
	t.Helper()
	for _, p := range h.All() {
		if p.openLog() != nil {
			h.holds(t, where+", offline", p, acked[p.tp.String()])
		}
	}
}

// holds compares what a partition has with what was acknowledged: all of it, in order; records that were not acknowledged may
// lie between.
func (h *host) holds(t *testing.T, where string, p *Partition, acked []string) {
	t.Helper()
	got := values(t, p)
	for _, v := range got {
		if len(acked) > 0 && v == acked[0] {
			acked = acked[1:]
		}
	}
	if len(acked) > 0 {
		t.Errorf("%s: %v has lost %q; it has %q", where, p.tp, acked[0], got)
	}
}

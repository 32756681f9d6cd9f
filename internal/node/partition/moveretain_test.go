package partition

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/vfs"
)

// segmentsOf are the base offsets of the segments in the folder of t-0, or of its copy, in a dir.
func segmentsOf(t *testing.T, fs vfs.FS, dir string) (bases []string) {
	t.Helper()
	folders, err := fs.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if !strings.HasPrefix(f.Name(), "t-0") || strings.HasSuffix(f.Name(), "-delete") {
			continue
		}
		files, err := fs.ReadDir(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.Contains(file.Name(), ".log") { // one that is deleted keeps its name for a while, with an ending
				bases = append(bases, file.Name())
			}
		}
	}
	return bases
}

// TestRetentionReachesTheCopy: what retention deletes while a replica moves is neither copied nor kept in the copy. A copy that is slow
// finds that the log begins behind its own end, and begins anew there.
func TestRetentionReachesTheCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		var rate atomic.Int64
		rate.Store(5)
		h := newDirs(t, fs, func(c *Config) {
			held(c)
			c.RetentionInterval = 10 * time.Second
			c.MoveRate = func() float64 { return float64(rate.Load()) }
		})
		defer h.Abandon()
		h.topic("t", 1, "internal.segment.bytes", "300", "retention.bytes", "900", "file.delete.delay.ms", "1000")
		p := h.part("t", 0)
		n := 0
		more := func(seconds int) {
			for range seconds {
				mustWrite(t, p, fmt.Sprint(n))
				n++
				time.Sleep(time.Second)
			}
		}
		same := func(when string) {
			t.Helper()
			var a, b []string
			until(t, "the copy has the segments of the log "+when, func() bool {
				a, b = segmentsOf(t, fs, "/a"), segmentsOf(t, fs, "/b")
				return len(a) > 0 && a[0] == b[0] && len(b) <= len(a)+1
			})
			if start, _, _, _, err := p.Offsets(); err != nil || start == 0 || start > 0 && int(start) > n {
				t.Fatalf("%s the log begins at %d: %v", when, start, err)
			}
			future := p.role.move.copied.Load()
			if log := p.openLog(); future.Start() != log.Start() || future.End() != log.End() {
				t.Errorf("%s the copy has %d to %d, and the log %d to %d", when, future.Start(), future.End(), log.Start(), log.End())
			}
		}
		more(8)
		mustMove(t, h, p, "/b")
		more(60)
		if f, _ := p.Future(); f.Lag < 10 {
			t.Fatalf("the copy is not where it is wanted: %+v", f)
		}
		rate.Store(1 << 30)
		caught(t, p)
		time.Sleep(20 * time.Second)
		same("after it began anew")
		before := segmentsOf(t, fs, "/b")
		more(30)
		caught(t, p)
		time.Sleep(20 * time.Second)
		same("after it was trimmed")
		if now := segmentsOf(t, fs, "/b"); slices.Contains(now, before[0]) {
			t.Errorf("of %v nothing was deleted: %v", before, now)
		}
		start, err := p.DeleteBefore(p.HighWatermark() - 5)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		same("after records were deleted")
		var want []string
		for i := int(start); i < n; i++ {
			want = append(want, fmt.Sprint(i))
		}
		h.noted("t", "/b")
		awaitMoved(t, fs, p, "/b")
		wantValues(t, p, want...)
		// And retention goes on.
		more(30)
		time.Sleep(20 * time.Second)
		if now, _, _, _, err := p.Offsets(); err != nil || now <= start {
			t.Errorf("after the move the log begins at %d, and did at %d: %v", now, start, err)
		}
	})
}

package partition

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// TestACrashAtAnyWriteOfAMoveLeavesOneWholeReplica: whatever write of a move the power cut precedes, and whether it takes what is not
// synced or some of it, a start serves all that was acknowledged, and ends the move.
func TestACrashAtAnyWriteOfAMoveLeavesOneWholeReplica(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for round := range 4 {
		chance := rng
		if round == 0 {
			chance = nil
		}
		mem := vfs.NewMem()
		before := newDirs(t, mem, nil)
		before.topic("t", 1, "internal.segment.bytes", "300")
		for i := range 10 {
			mustWrite(t, before.part("t", 0), fmt.Sprint(i))
		}
		if _, err := before.part("t", 0).DeleteBefore(3); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(time.Now(), 1); err != nil {
			t.Fatal(err)
		}
		var acked atomic.Int64
		acked.Store(10)
		var one sync.Mutex
		points := 0
		fs := vfs.NewFaulty(mem, func(next vfs.Op) error {
			if next.Kind.Changes() {
				one.Lock()
				defer one.Unlock()
				points++
				safe := acked.Load() // before the power is cut
				servesAll(t, fmt.Sprintf("round %d, crash before %v", round, next), mem.CrashClone(chance), safe)
			}
			return nil
		})
		h := newDirs(t, fs, nil)
		h.topic("t", 1, "internal.segment.bytes", "300")
		p := h.part("t", 0)
		mustWrite(t, p, "10")
		acked.Add(1)
		mustMove(t, h, p, "/b")
		for i := 11; i < 20; i++ {
			mustWrite(t, p, fmt.Sprint(i))
			acked.Add(1)
		}
		awaitMoved(t, fs, p, "/b")
		mustWrite(t, p, "20")
		acked.Add(1)
		h.Abandon()
		servesAll(t, "in the end", mem.CrashClone(chance), acked.Load())
		if points < 60 {
			t.Errorf("only %d points were looked at", points)
		}
	}
}

// servesAll starts on a disk after a crash, of which acked records were acknowledged, and has the move be ended.
func servesAll(t *testing.T, at string, disk *vfs.Mem, acked int64) {
	h, err := startDirs(t, disk, nil)
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	defer h.Abandon()
	h.topic("t", 1, "internal.segment.bytes", "300")
	p := h.part("t", 0)
	check := func(when string) {
		start, _, _, _, err := p.Offsets()
		if err != nil || start > 3 {
			t.Errorf("%s, %s: start %d: %v", at, when, start, err)
			return
		}
		got := values(t, p)
		for i := int(start); i < int(acked); i++ {
			if i-int(start) >= len(got) || got[i-int(start)] != fmt.Sprint(i) {
				t.Errorf("%s, %s: of %d records from %d there is %v", at, when, acked, start, got)
				return
			}
		}
	}
	check("at the start")
	if err := h.MoveTo(p.tp, "/b"); err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	awaitMoved(t, disk, p, "/b")
	check("after the move")
}

// TestADirThatFailsEndsTheMove: the partition goes on where it is, or is as any other in a dir that failed.
func TestADirThatFailsEndsTheMove(t *testing.T) {
	for _, failing := range []string{"/a", "/b"} {
		var broken atomic.Bool
		mem := vfs.NewMem()
		fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
			if broken.Load() && op.Kind.Changes() && strings.HasPrefix(op.Path, failing) {
				return syscall.EIO
			}
			return nil
		})
		h := newDirs(t, fs, held)
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/b")
		caught(t, p)
		broken.Store(true)
		_, err := write(t, p, AllReplicas, "two")
		if (err == nil) != (failing == "/b") {
			t.Errorf("%s fails: a write gives %v", failing, err)
		}
		until(t, "the move is over", func() bool { _, moves := p.Future(); return !moves })
		if h.failed.Load() != 1 {
			t.Errorf("%s fails: %d dirs are offline", failing, h.failed.Load())
		}
		if failing == "/b" {
			mustWrite(t, p, "three")
			wantValues(t, p, "one", "two", "three")
		}
		h.Abandon()
		broken.Store(false)

		again := newDirs(t, mem, held)
		again.topic("t", 1)
		p = again.part("t", 0)
		caught(t, p)
		again.noted("t", "/b")
		awaitMoved(t, mem, p, "/b")
		if got := values(t, p); got[0] != "one" || failing == "/b" && len(got) != 3 {
			t.Errorf("%s failed: then it holds %v", failing, got)
		}
		again.Abandon()
	}
}

// TestAMoveThatFailsAtItsEndLeavesTheReplicaWhereItIs breaks the disk of the copy at each of its last writes, when its folder may have the
// partition's name already. What is appended after that is there when both disks are back.
func TestAMoveThatFailsAtItsEndLeavesTheReplicaWhereItIs(t *testing.T) {
	for n := int64(1); ; n++ {
		var left, armed atomic.Int64
		mem := vfs.NewMem()
		fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
			if armed.Load() == 1 && op.Kind.Changes() && strings.HasPrefix(op.Path, "/b") && left.Add(-1) < 0 {
				return syscall.EIO
			}
			return nil
		})
		h := newDirs(t, fs, held)
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/b")
		caught(t, p)
		left.Store(n)
		armed.Store(1)
		h.noted("t", "/b")
		until(t, "the move is over", func() bool { _, moves := p.Future(); return !moves })
		dir, _, _ := p.Disk()
		if dir == "/a" {
			mustWrite(t, p, "two")
		}
		h.Abandon()
		armed.Store(0)

		again := newDirs(t, mem, nil)
		again.topic("t", 1)
		p = again.part("t", 0)
		if dir == "/a" {
			wantValues(t, p, "one", "two")
		}
		mustMove(t, again, p, "/c")
		awaitMoved(t, mem, p, "/c")
		again.Abandon()
		if dir == "/b" {
			if n < 10 {
				t.Errorf("it moved in %d writes", n)
			}
			return
		}
	}
}

// TestTheCopyIsTakenUpWhereTheDirOfTheReplicaIsGone: the controller was told of the move, and the disk that the replica was on broke.
func TestTheCopyIsTakenUpWhereTheDirOfTheReplicaIsGone(t *testing.T) {
	var broken atomic.Bool
	mem := vfs.NewMem()
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if broken.Load() && strings.HasPrefix(op.Path, "/a") {
			return syscall.EIO
		}
		return nil
	})
	h := newDirs(t, fs, held)
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "one")
	mustMove(t, h, p, "/b")
	caught(t, p)
	h.Abandon()

	broken.Store(true)
	h = newDirs(t, fs, held)
	r := partitionRecord("t", 0)
	r.Directories = []kafka.TopicID{h.dirAt("/b").id()}
	h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, r)
	wantValues(t, h.part("t", 0), "one")
	mustWrite(t, h.part("t", 0), "two")
	h.Abandon()

	broken.Store(false) // it comes back with what it had
	h = newDirs(t, fs, held)
	defer h.Abandon()
	h.topic("t", 1)
	wantValues(t, h.part("t", 0), "one", "two")
}

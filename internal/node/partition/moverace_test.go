package partition

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

// followerInDirs is a node with three log dirs that follows node 2 in epoch 5, of which it has ten batches, three or four in a segment.
func followerInDirs(t *testing.T, fs vfs.FS) (*host, *Partition) {
	h := newDirs(t, fs, held)
	r := partitionRecord("t", 0)
	r.Replicas, r.ISR, r.Leader, r.LeaderEpoch = []kafka.NodeID{2, 1}, []kafka.NodeID{2, 1}, 2, 5
	size := "300"
	h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, configRecord("t", "internal.segment.bytes", &size), r)
	p := h.part("t", 0)
	until(t, "it is open", func() bool { return p.openLog() != nil })
	for i := range 10 {
		fetched(t, p, 5, fmt.Sprint("old ", i))
	}
	return h, p
}

// TestATruncationUnderTheMoversReadIsNoDamage: what the mover read is half of the former batches and half of those that came after the
// cut. The replica is as it should be, and goes on.
func TestATruncationUnderTheMoversReadIsNoDamage(t *testing.T) {
	var armed atomic.Bool
	var cut func()
	mem := vfs.NewMem()
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && op.Path == "/a/t-0/00000000000000000004.log" && armed.CompareAndSwap(true, false) {
			cut()
		}
		return nil
	})
	h, p := followerInDirs(t, fs)
	defer h.Abandon()
	want := []string{"old 0", "old 1", "old 2", "old 3"}
	cut = func() {
		c := metadata.NewPartitionChange(topicID("t"), 0)
		c.Leader = 2
		h.apply(c)
		epoch := p.Role().Epoch
		if err := p.Diverged(epoch, EpochEnd{Epoch: 5, End: 4}); err != nil {
			t.Error(err)
		}
		for i := range 8 {
			want = append(want, fmt.Sprint("new, and longer than the old ", i))
			fetched(t, p, epoch, want[len(want)-1])
		}
	}
	armed.Store(true)
	mustMove(t, h, p, "/b")
	caught(t, p)
	if armed.Load() {
		t.Fatal("the mover read nothing")
	}
	if p.Damaged() {
		t.Error("the replica counts as damaged")
	}
	dirs := metadata.NewPartitionChange(topicID("t"), 0)
	dirs.Directories = []kafka.TopicID{{}, h.dirAt("/b").id()}
	h.apply(dirs)
	awaitMoved(t, mem, p, "/b")
	wantContents(t, p, want...)
}

// TestDamageThatTheMoverReadsIsFound: it reads the whole log, which nobody else may do for years.
func TestDamageThatTheMoverReadsIsFound(t *testing.T) {
	mem := vfs.NewMem()
	h, p := followerInDirs(t, mem)
	defer h.Abandon()
	f, err := mem.OpenFile("/a/t-0/00000000000000000004.log", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0x7f}, 70); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustMove(t, h, p, "/b")
	until(t, "the damage is known", p.Damaged)
}

// TestACrashAfterTheFirstRecordOfAMoveLeavesOneReplica: the replica was empty when its copy was marked as that which is to replace it, so
// that there was no folder to mark. Then the first record comes, the folders change places, and the power fails.
func TestACrashAfterTheFirstRecordOfAMoveLeavesOneReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		h := newDirs(t, mem, held)
		h.topic("t", 1)
		p := h.part("t", 0)
		mustMove(t, h, p, "/b")
		caught(t, p)
		synctest.Wait()
		mv := h.aside(p)
		mustWrite(t, p, "one")
		h.noted("t", "/b")
		synctest.Wait() // the mover has looked, too
		former, log, err := mv.swap(time.Now(), mv.copied.Load())
		if err != nil || former == nil || log == nil {
			t.Fatal(former, log, err)
		}
		crashed := mem.CrashClone(nil)
		h.Abandon()
		again := newDirs(t, crashed, nil)
		defer again.Abandon()
		again.topic("t", 1)
		p = again.part("t", 0)
		wantValues(t, p, "one")
		if dir, _, _ := p.Disk(); dir != "/b" {
			t.Errorf("it is in %s", dir)
		}
	})
}

// TestATopicThatIsDeletedAsItsReplicaMovesCountsInNeitherDir: by their numbers of partitions the dirs of new ones are chosen.
func TestATopicThatIsDeletedAsItsReplicaMovesCountsInNeitherDir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDirs(t, vfs.NewMem(), held)
		defer h.Abandon()
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/b")
		caught(t, p)
		synctest.Wait()
		mv := h.aside(p)
		h.noted("t", "/b")
		synctest.Wait()
		former, log, err := mv.swap(time.Now(), mv.copied.Load())
		if err != nil || log == nil {
			t.Fatal(log, err)
		}
		h.apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
		h.clear(p, former, mv.to, log)
		synctest.Wait()
		for _, d := range h.dirs {
			if d.placed != 0 {
				t.Errorf("%d partitions count in %s", d.placed, d.Path())
			}
		}
	})
}

// aside takes the move of a partition from its mover, which is at rest, so that the test goes on with it alone.
func (h *host) aside(p *Partition) *move {
	p.role.RLock()
	mv := p.role.move
	p.role.RUnlock()
	m := mv.to.mover
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves = slices.DeleteFunc(m.moves, func(o *move) bool { return o == mv })
	return mv
}

// TestACopyStaysUntilTheControllerKnowsThatTheMoveIsGivenUp: as long as the metadata has the replica where its copy is, a node that comes
// back without the other dir would begin it anew, empty, if the copy were gone.
func TestACopyStaysUntilTheControllerKnowsThatTheMoveIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed atomic.Bool
		var told atomic.Int64
		var giveUp func()
		mem := vfs.NewMem()
		fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasPrefix(op.Path, "/b/t-0") && armed.CompareAndSwap(true, false) {
				giveUp()
			}
			return nil
		})
		h := newDirs(t, fs, func(c *Config) { c.Moved = func(*Partition) { told.Add(1) } })
		h.topic("t", 1)
		p := h.part("t", 0)
		mustWrite(t, p, "one")
		mustMove(t, h, p, "/b")
		caught(t, p)
		giveUp = func() { mustMove(t, h, p, "/a") }
		armed.Store(true)
		mustWrite(t, p, "two")
		h.noted("t", "/b") // and the copy is flushed, to take the replica's place
		until(t, "the move is given up", func() bool { _, moves := p.Future(); return !moves && !armed.Load() })
		before := told.Load()
		time.Sleep(10 * time.Second)
		if len(segmentsOf(t, mem, "/b")) == 0 {
			t.Error("the copy is gone, and the metadata has the replica where it was")
		}
		if dir, news := p.Assignment(); dir != h.dirAt("/a").id() || !news || told.Load() < before+5 {
			t.Errorf("the controller is to be told %v, %v, and was %d times in 10 s", dir, news, told.Load()-before)
		}
		crashed := mem.CrashClone(nil)
		h.noted("t", "/a")
		awaitMoved(t, mem, p, "/a")
		wantValues(t, p, "one", "two")
		h.Abandon()

		lost := vfs.NewFaulty(crashed, func(op vfs.Op) error {
			if strings.HasPrefix(op.Path, "/a") {
				return syscall.EIO
			}
			return nil
		})
		h = newDirs(t, lost, held)
		defer h.Abandon()
		r := partitionRecord("t", 0)
		r.Directories = []kafka.TopicID{h.dirAt("/b").id()}
		h.apply(&metadata.TopicRecord{Name: "t", ID: topicID("t")}, r)
		if got := values(t, h.part("t", 0)); len(got) == 0 || got[0] != "one" {
			t.Errorf("after a crash that took /a there is %q", got)
		}
	})
}

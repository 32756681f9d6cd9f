package partition

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
)

const firstLog = "/data/t-0/00000000000000000000.log"

// spoil changes a byte of t-0's log.
func spoil(t *testing.T, disk vfs.FS, at int64) {
	t.Helper()
	f, err := disk.OpenFile(firstLog, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0x7f}, at); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedFollowerIsCutWhenItIsCountedNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		r := newPair(t, vfs.NewMem(), disk)
		defer r.abandon()
		put(t, r.node(1), "one")
		put(t, r.node(1), "two")
		r.sync(2)
		p := r.node(2)
		r.hosts[1].checkpoint(r.hosts[1].dirs[0])
		p.age(p.openLog())
		p.age(p.openLog())
		spoil(t, disk, 65)
		if _, err := p.FetchNearby(Position{Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 20}); !errors.Is(err, kerr.KafkaStorageError) {
			t.Fatalf("read: %v", err)
		}
		left := func(what string) {
			t.Helper()
			synctest.Wait()
			if end := p.LogEnd(); end != 2 || !p.Damaged() {
				t.Fatalf("%s: the log ends at %d, damaged %v", what, end, p.Damaged())
			}
			if _, ok, err := p.FetchState(); ok || err == nil {
				t.Fatalf("%s: it fetches", what)
			}
			pr, ok := p.ProposeISR(time.Now(), time.Second)
			if !ok || len(pr.ISR) != 1 || pr.ISR[0].ID != 1 || pr.LeaderEpoch != r.given.LeaderEpoch {
				t.Fatalf("%s: it proposes %v %v", what, pr, ok)
			}
		}
		left("at first")
		r.isr(1)
		left("out of sync in the epoch in which the leader heard of it")
		r.change(func(g *metadata.PartitionRecord) { g.LeaderEpoch, g.ISR = g.LeaderEpoch+1, []kafka.NodeID{1, 2} })
		left("in sync")
		r.change(func(g *metadata.PartitionRecord) {
			g.LeaderEpoch, g.ISR, g.ELR = g.LeaderEpoch+1, []kafka.NodeID{1}, []kafka.NodeID{2}
		})
		left("eligible")
		r.change(func(g *metadata.PartitionRecord) { g.LeaderEpoch, g.ELR = g.LeaderEpoch+1, nil })
		synctest.Wait()
		if _, ok := p.ProposeISR(time.Now(), time.Second); ok || p.Damaged() || p.LogEnd() != 0 {
			t.Fatalf("counted no longer: the log ends at %d, damaged %v", p.LogEnd(), p.Damaged())
		}
		r.round(2)
		if point := slurp(t, disk, "/data/recovery-point-offset-checkpoint"); !bytes.Contains(point, []byte("t 0 0\n")) {
			t.Errorf("appended to, and the recovery point is %q", point)
		}
		r.sync(2)
		if got := contents(t, p); len(got) != 2 || got[0] != "one" || got[1] != "two" {
			t.Errorf("healed: %v", got)
		}
	})
}

// What the metadata says before this process is registered may be of a time when the replica was not in sync yet.
func TestADamagedReplicaIsLeftAloneBeforeTheNodeIsRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		r := newPair(t, vfs.NewMem(), disk)
		put(t, r.node(1), "one")
		put(t, r.node(1), "two")
		r.sync(2)
		r.hosts[1].flushIdle(r.hosts[1].dirs[0])
		r.hosts[1].checkpoint(r.hosts[1].dirs[0])
		r.abandon()
		spoil(t, disk, 8)
		before := slurp(t, disk, firstLog)
		process := kafka.TopicID{7}
		r.given.ISR = []kafka.NodeID{1}
		h := newHost(t, disk, func(c *Config) { c.Node, c.Incarnation = 2, process })
		defer h.Abandon()
		h.apply(&metadata.RegisterBrokerRecord{Node: 1, Epoch: 101}, &metadata.TopicRecord{Name: "t", ID: topicID("t")}, &r.given)
		synctest.Wait()
		p := h.part("t", 0)
		if !p.Damaged() || !bytes.Equal(slurp(t, disk, firstLog), before) {
			t.Fatalf("damaged %v, or changed", p.Damaged())
		}
		if _, ok := p.ProposeISR(time.Now(), time.Second); ok {
			t.Error("it proposes what it may not know")
		}
		h.apply(&metadata.RegisterBrokerRecord{Node: 2, Epoch: 110, Incarnation: process})
		synctest.Wait()
		if s, ok, err := p.FetchState(); !ok || err != nil || s.Offset != 0 {
			t.Errorf("registered: %+v %v %v", s, ok, err)
		}
	})
}

func slurp(t *testing.T, disk vfs.FS, name string) []byte {
	t.Helper()
	b, err := vfs.ReadFile(disk, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without the index what was aborted would look committed: the replica heals as from any damage, and of the records nothing is fetched.
func TestADamagedTransactionIndexIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		r := newPair(t, vfs.NewMem(), disk)
		defer r.abandon()
		w := &writer{t: t, id: 7}
		w.put(r.node(1), "aborted")
		w.end(r.node(1), batch.ControlAbort)
		put(t, r.node(1), "plain")
		r.sync(2)
		p := r.node(2)
		wantCommitted(t, "before", p, 3, "plain")
		f, err := disk.OpenFile("/data/t-0/00000000000000000000.txnindex", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0x7f}, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		committedFrom0 := Position{Epoch: -1, LastEpoch: -1, MaxBytes: 1 << 20, Committed: true}
		if f, err := p.FetchNearby(committedFrom0); !errors.Is(err, kerr.KafkaStorageError) || len(f.Plan.Slices) > 0 || !p.Damaged() {
			t.Fatalf("read: %v, damaged %v", err, p.Damaged())
		}
		r.change(func(g *metadata.PartitionRecord) { g.LeaderEpoch, g.ISR = g.LeaderEpoch+1, []kafka.NodeID{1} })
		synctest.Wait()
		if p.Damaged() || p.LogEnd() != 3 {
			t.Fatalf("damaged %v, and the log ends at %d", p.Damaged(), p.LogEnd())
		}
		r.sync(2)
		wantCommitted(t, "healed", p, 3, "plain")
	})
}

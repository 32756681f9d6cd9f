package logdir

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

func fixedNow() time.Time { return time.UnixMilli(1_700_000_000_000) }

var orders0 = kafka.TopicPartition{Topic: "orders"}

// set stands for a log's progress: what Checkpoint would have noted.
func set(d *Dir, off kafka.Offset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, file := range checkpointFiles() {
		d.mu.offsets[file][orders0] = off
	}
}

// twoRuns is a start with an unclean end, and one with a clean end. It tells each step that returned.
func twoRuns(f vfs.FS, done func(step string, d *Dir)) error {
	log := discard()
	d, err := Open(f, "/data", node1(), seeded(), log)
	if err != nil {
		return err
	}
	done("opened", d)
	for _, off := range []kafka.Offset{10, 20} {
		set(d, off)
		if err := d.Checkpoint(nil, nil); err != nil {
			return errors.Join(err, d.Close())
		}
		done("checkpointed", d)
	}
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = Open(f, "/data", Meta{ClusterID: d.Meta().ClusterID, NodeID: 1}, seeded(), log); err != nil {
		return err
	}
	done("reopened", d)
	d.mu.Lock()
	clear(d.mu.untouched) // stands for opening, so recovering, all logs
	d.mu.Unlock()
	set(d, 30)
	if err := d.CloseClean(fixedNow(), 7, nil); err != nil {
		return err
	}
	done("stopped", d)
	return nil
}

// prepared is a disk with the folder of a partition, so that its checkpoints are believed.
func prepared(t testing.TB) *vfs.Mem {
	m := vfs.NewMem()
	put(t, m, "/data/meta.properties", kafkaMeta)
	put(t, m, "/data/orders-0/partition.metadata", kafkaPartitionMetadata)
	must(t, m.SyncFS("/"))
	return m
}

// holds checks a disk after a crash: whatever returned before is there, and nothing newer than what was begun.
func holds(t testing.TB, at string, disk *vfs.Mem, steps []string, metaBefore Meta) {
	t.Helper()
	checkpointed, stopped := 0, false
	for _, s := range steps {
		if s == "checkpointed" {
			checkpointed++
		}
		stopped = stopped || s == "stopped"
	}
	d := open(t, disk, "/data", node1())
	defer d.Close()
	if d.WasClean() != stopped && (stopped || d.offset(recoveryFile, orders0) != 30) {
		t.Errorf("%s: after %v the stop is clean: %v", at, steps, d.WasClean())
	}
	for _, file := range checkpointFiles() {
		off := d.offset(file, orders0)
		if low := kafka.Offset(10 * checkpointed); off < low || off%10 != 0 || off > low+10 {
			t.Errorf("%s: after %v %s has %d", at, steps, file, off)
		}
	}
	if metaBefore.NodeID == 1 && d.Meta() != metaBefore {
		t.Errorf("%s: meta.properties became %v", at, d.Meta())
	}
}

func TestCrashAtEveryWriteKeepsWhatReturned(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, chance := range []*rand.Rand{nil, rng} {
		for range map[bool]int{true: 1, false: 30}[chance == nil] {
			m := prepared(t)
			want := Meta{"PynISErySFqN0dnQ6L3B3A", 1, id(t, "iXG4_sEpTLmKTuCNm0P9KA")}
			var steps []string
			err := vfs.CrashPoints(m, chance, func(f vfs.FS) error {
				return twoRuns(f, func(step string, _ *Dir) { steps = append(steps, step) })
			}, func(next vfs.Op, after *vfs.Mem) {
				holds(t, "crash before "+next.String(), after, steps, want)
			})
			must(t, err)
		}
	}
}

func TestCrashAtEveryWriteOfANewDirKeepsItsIdentity(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 50 {
		m := vfs.NewMem()
		var meta Meta
		err := vfs.CrashPoints(m, rng, func(f vfs.FS) error {
			return twoRuns(f, func(_ string, d *Dir) { meta = d.Meta() })
		}, func(next vfs.Op, after *vfs.Mem) {
			d := open(t, after, "/data", node1())
			if meta.NodeID == 1 && d.Meta() != meta {
				t.Fatalf("crash before %v: %v became %v", next, meta, d.Meta())
			}
			must(t, d.Close())
		})
		must(t, err)
	}
}

func TestEveryFailingCallIsToldAndHarmless(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.ENOSPC, vfs.ErrTorn(3)} {
		for n := int64(1); ; n++ {
			m := prepared(t)
			var steps []string
			var last vfs.Op
			f := vfs.NewFaulty(m, func(op vfs.Op) error {
				if op.Seq == n {
					last = op
					return errno
				}
				return nil
			})
			err := twoRuns(f, func(step string, _ *Dir) { steps = append(steps, step) })
			if f.Ops() < n {
				break
			}
			if err == nil && last.Kind != vfs.OpClose {
				t.Fatalf("%v failed and nobody told", last)
			}
			holds(t, "kill after "+last.String(), m.Clone(), steps, Meta{})
			holds(t, "power cut after "+last.String(), m.CrashClone(nil), steps, Meta{})
		}
	}
}

func TestFailedCheckpointTakesTheDirOfflineForGood(t *testing.T) {
	m := prepared(t)
	fail := false
	f := vfs.NewFaulty(m, func(op vfs.Op) error {
		if fail && op.Kind == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	d := open(t, f, "/data", node1())
	set(d, 10)
	fail = true
	if err := d.Checkpoint(nil, nil); !errors.Is(err, kerr.KafkaStorageError) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	fail = false
	ops := f.Ops()
	if err := d.Checkpoint(nil, nil); !errors.Is(err, kerr.KafkaStorageError) || f.Ops() != ops {
		t.Fatalf("a failed dir was written to again: %v", err)
	}
	if err := d.Delete(orders0, nil); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("delete: %v", err)
	}
	if err := d.CloseClean(fixedNow(), 1, nil); err == nil || exists(m, "/data/.kafka_cleanshutdown") {
		t.Fatalf("closed clean: %v", err)
	}
	must(t, open(t, m, "/data", node1()).Close()) // the lock is free
}

func TestUnchangedCheckpointIsNotWrittenAgain(t *testing.T) {
	m := prepared(t)
	d := open(t, m, "/data", node1())
	set(d, 10)
	must(t, d.Checkpoint(nil, nil))
	before := m.Changes()
	must(t, d.Checkpoint(nil, nil))
	if m.Changes() != before {
		t.Fatal("written again")
	}
}

func TestDeleteLeavesAllOrNothingOfAPartition(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 30 {
		m := prepared(t)
		put(t, m, "/data/orders-0/00000000000000000000.log", "records")
		must(t, m.SyncFS("/"))
		deleted := false
		err := vfs.CrashPoints(m, rng, func(f vfs.FS) error {
			d := open(t, f, "/data", node1())
			set(d, 10)
			must(t, d.Checkpoint(nil, nil))
			must(t, d.Delete(orders0, nil))
			deleted = true
			return d.Close()
		}, func(next vfs.Op, after *vfs.Mem) {
			d := open(t, after, "/data", node1())
			defer d.Close()
			found, err := d.Partitions()
			must(t, err)
			whole := len(found) == 1 && get(t, after, "/data/orders-0/00000000000000000000.log") == "records" && !found[0].TopicID.IsZero()
			if len(found) > 0 && !whole || deleted && len(found) > 0 {
				t.Fatalf("crash before %v left %v", next, found)
			}
		})
		must(t, err)
	}
}

func TestUnrecoveredPartitionsForbidTheMarker(t *testing.T) {
	m := prepared(t)
	if err := open(t, m, "/data", node1()).CloseClean(fixedNow(), 1, nil); err != nil || exists(m, "/data/.kafka_cleanshutdown") {
		t.Fatalf("marked although orders-0 was never opened since a crash: %v", err)
	}
	put(t, m, "/data/.kafka_cleanshutdown", kafkaMarker)
	if err := open(t, m, "/data", node1()).CloseClean(fixedNow(), 1, nil); err != nil || !exists(m, "/data/.kafka_cleanshutdown") {
		t.Fatalf("not marked although orders-0 is as the last clean stop left it: %v", err)
	}
}

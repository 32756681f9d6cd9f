package logdir

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

func openLog(t testing.TB, d *Dir, tp kafka.TopicPartition) *commitlog.Log {
	t.Helper()
	l, err := d.OpenLog(tp, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	return l
}

func appendOne(l *commitlog.Log, size int) error {
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: kafka.NoProducerID, Epoch: kafka.NoProducerEpoch, BaseSequence: kafka.NoSequence})
	b.Append(fixedNow().UnixMilli(), []byte("key"), bytes.Repeat([]byte{'v'}, size), nil)
	_, err := l.AppendLeader(fixedNow(), b.Finish(), 0, commitlog.OriginClient)
	return err
}

func fill(t testing.TB, l *commitlog.Log, n int) {
	t.Helper()
	for range n {
		must(t, appendOne(l, 100))
	}
}

func TestLogsComeBackAfterACleanStop(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 20)
	must(t, l.AdvanceStart(7))
	must(t, d.CloseClean(fixedNow(), 5, func(kafka.TopicPartition) kafka.Offset { return 20 }))
	for _, file := range []string{recoveryFile, highWatermarkFile, logStartFile} {
		want := map[string]string{logStartFile: "0\n1\norders 0 7\n"}[file]
		if want == "" {
			want = "0\n1\norders 0 20\n"
		}
		if got := get(t, m, "/data/"+file); got != want {
			t.Errorf("%s: %q", file, got)
		}
	}
	d = open(t, m.CrashClone(nil), "/data", node1())
	if !d.WasClean() || d.HighWatermark(orders0) != 20 {
		t.Fatalf("clean %v, high watermark %d", d.WasClean(), d.HighWatermark(orders0))
	}
	if l = openLog(t, d, orders0); l.Start() != 7 || l.End() != 20 || l.Flushed() != 20 {
		t.Fatalf("start %d, end %d, flushed %d", l.Start(), l.End(), l.Flushed())
	}
}

func TestCheckpointedRecoveryPointIsWhatWasFlushed(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 10)
	_, err := l.Flush()
	must(t, err)
	fill(t, l, 5)
	must(t, d.Checkpoint([]*commitlog.Log{l}, nil))
	if got := get(t, m, "/data/"+recoveryFile); got != "0\n1\norders 0 10\n" {
		t.Fatalf("got %q", got)
	}
	d = open(t, m.CrashClone(nil), "/data", node1())
	if l = openLog(t, d, orders0); l.End() != 10 {
		t.Fatalf("end %d", l.End())
	}
}

func TestNewPartitionInheritsNothingOfAFormerOne(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 50)
	_, err := l.Flush()
	must(t, err)
	must(t, l.AdvanceStart(30))
	must(t, d.Checkpoint(nil, func(kafka.TopicPartition) kafka.Offset { return 50 }))
	must(t, d.Delete(orders0, l))
	for name, d := range map[string]*Dir{"running": d, "after a crash": open(t, m.CrashClone(nil), "/data", node1())} {
		if hw := d.HighWatermark(orders0); hw != 0 {
			t.Errorf("%s: high watermark %d", name, hw)
		}
		l := openLog(t, d, orders0)
		if l.Start() != 0 || l.End() != 0 {
			t.Errorf("%s: start %d, end %d", name, l.Start(), l.End())
		}
	}
	for _, file := range []string{recoveryFile, highWatermarkFile, logStartFile} {
		if got := get(t, m.CrashClone(nil), "/data/"+file); got != "0\n0\n" {
			t.Errorf("%s: %q is still on the disk", file, got)
		}
	}
}

func TestStartBeyondTheEndDoesNotEmptyTheLog(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	fill(t, openLog(t, d, orders0), 20)
	closeClean(t, d)
	put(t, m, "/data/"+logStartFile, "0\n1\norders 0 7000\n")
	if l := openLog(t, open(t, m, "/data", node1()), orders0); l.Start() != 0 || l.End() != 20 {
		t.Fatalf("start %d, end %d", l.Start(), l.End())
	}
}

func TestLogIsOpenOnce(t *testing.T) {
	d := open(t, vfs.NewMem(), "/data", node1())
	l := openLog(t, d, orders0)
	if _, err := d.OpenLog(orders0, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded()); err == nil {
		t.Fatal("opened twice")
	}
	must(t, d.CloseLog(fixedNow(), l, 0))
	openLog(t, d, orders0)
}

func TestLogThatFailedToOpenForbidsTheMarker(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	openLog(t, d, orders0)
	closeClean(t, d)
	d = open(t, m, "/data", node1())
	_, err := d.OpenLog(orders0, kafka.TopicID{2}, commitlog.DefaultConfig(), fixedNow(), seeded())
	if !errors.Is(err, kerr.InconsistentTopicID) || d.Offline() != nil {
		t.Fatalf("got %v, offline: %v", err, d.Offline())
	}
	closeClean(t, d)
	if exists(m, "/data/.kafka_cleanshutdown") {
		t.Fatal("marked")
	}
}

func TestFailTakesOpenAndLaterLogsOffline(t *testing.T) {
	d := open(t, vfs.NewMem(), "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 3)
	_, err := l.Flush()
	must(t, err)
	d.Fail(syscall.EIO)
	d.Fail(syscall.ENOSPC)
	if err := d.Offline(); !errors.Is(err, syscall.EIO) || !errors.Is(err, kerr.KafkaStorageError) || errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("offline: %v", err)
	}
	if err := appendOne(l, 10); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("append: %v", err)
	}
	if p, err := l.Read(0, 3, 1000, true); err != nil || p.Bytes == 0 {
		t.Fatalf("what was flushed cannot be read: %v", err)
	}
	other := kafka.TopicPartition{Topic: "other"}
	if _, err := d.OpenLog(other, kafka.TopicID{2}, commitlog.DefaultConfig(), fixedNow(), seeded()); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("open: %v", err)
	}
}

func TestPartitionsAreUsedInParallel(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	var work sync.WaitGroup
	for p := range int32(8) {
		work.Go(func() {
			tp := kafka.TopicPartition{Topic: "orders", Partition: p}
			l, err := d.OpenLog(tp, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded())
			if err != nil {
				t.Error(err)
				return
			}
			for range 10 {
				if err := errors.Join(appendOne(l, 10), d.Checkpoint([]*commitlog.Log{l}, nil)); err != nil {
					t.Error(err)
				}
			}
			if p%2 == 0 {
				if err := d.Delete(tp, l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	closeClean(t, d)
	d = open(t, m.CrashClone(nil), "/data", node1())
	found, err := d.Partitions()
	must(t, err)
	if len(found) != 4 || !d.WasClean() || len(d.mu.offsets[recoveryFile]) != 4 {
		t.Fatalf("found %v, clean %v, %v", found, d.WasClean(), d.mu.offsets)
	}
}

// lifecycle starts, appends, flushes, checkpoints, deletes, makes anew and stops. promise is told how much must survive.
func lifecycle(f vfs.FS, lazy bool, promise func(deleted, made bool, flushed kafka.Offset)) (err error) {
	d, err := Open(f, "/data", node1(), seeded(), discard())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	make := func(id kafka.TopicID) (*commitlog.Log, error) {
		if lazy {
			return d.OpenReplica(TakeAnyEnd, orders0, id, commitlog.DefaultConfig(), fixedNow(), seeded())
		}
		return d.OpenLog(orders0, id, commitlog.DefaultConfig(), fixedNow(), seeded())
	}
	l, err := make(kafka.TopicID{1})
	if err != nil {
		return err
	}
	if err := grow(d, l, 30, func(o kafka.Offset) { promise(false, false, o) }); err != nil {
		return err
	}
	promise(true, false, 0) // from here on it may be gone, and what was said of it is void
	if err := d.Delete(orders0, l); err != nil {
		return err
	}
	if l, err = make(kafka.TopicID{2}); err != nil {
		return err
	}
	promise(true, !lazy, 0)
	if err := grow(d, l, 10, func(o kafka.Offset) { promise(true, true, o) }); err != nil {
		return err
	}
	return d.CloseClean(fixedNow(), 1, nil)
}

func grow(d *Dir, l *commitlog.Log, to int, flushed func(kafka.Offset)) error {
	for i := range to {
		if err := appendOne(l, 300); err != nil {
			return err
		}
		if i%4 == 0 {
			o, err := l.Flush()
			if err != nil {
				return err
			}
			flushed(o)
		}
		if i%6 == 0 {
			if err := d.Checkpoint(nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// survived opens the disk and holds it against the promises.
func survived(t testing.TB, at string, disk vfs.FS, deleted, made bool, flushed kafka.Offset) {
	t.Helper()
	d := open(t, disk, "/data", node1())
	defer d.Close()
	found, err := d.Partitions()
	must(t, err)
	if len(found) == 0 {
		if made || !deleted && flushed > 0 {
			t.Fatalf("%s: the partition is gone", at)
		}
		return
	}
	want := kafka.TopicID{1}
	if made || deleted && found[0].TopicID != want { // until it is deleted it may be the first yet
		want = kafka.TopicID{2}
	}
	l, err := d.OpenReplica(TakeAnyEnd, orders0, want, commitlog.DefaultConfig(), fixedNow(), seeded())
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	if l.End() < flushed || l.Start() > 0 {
		t.Fatalf("%s: the log has %d to %d, and %d was flushed", at, l.Start(), l.End(), flushed)
	}
	for o := l.Start(); o < l.End(); {
		p, err := l.Read(o, l.End(), 1<<20, true)
		must(t, err)
		b, err := p.ReadAll(nil)
		must(t, err)
		p.Release()
		for len(b) > 0 {
			h, err := batch.ParseHeader(b)
			must(t, err)
			if err := batch.CheckCRC(b[:h.Size()]); err != nil || h.BaseOffset != o {
				t.Fatalf("%s: batch at %d instead of %d: %v", at, h.BaseOffset, o, err)
			}
			b, o = b[h.Size():], h.NextOffset()
		}
	}
}

func TestNoFlushedRecordIsLostByAPowerCutAnywhere(t *testing.T) {
	for seed := range uint64(8) {
		var chance *rand.Rand
		if seed > 1 {
			chance = rand.New(rand.NewPCG(seed, 0))
		}
		var deleted, made bool
		var flushed kafka.Offset
		must(t, vfs.CrashPoints(vfs.NewMem(), chance, func(f vfs.FS) error {
			return lifecycle(f, seed%2 == 1, func(d, m bool, o kafka.Offset) { deleted, made, flushed = d, m, o })
		}, func(next vfs.Op, after *vfs.Mem) {
			survived(t, "power cut before "+next.String(), after, deleted, made, flushed)
		}))
	}
}

func TestNoFlushedRecordIsLostByAFailureAnywhere(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		failAnywhere(t, lazy)
	}
}

func failAnywhere(t *testing.T, lazy bool) {
	for n := int64(1); ; n++ {
		m := vfs.NewMem()
		var last vfs.Op
		f := vfs.NewFaulty(m, func(op vfs.Op) error {
			if op.Seq == n {
				last = op
				return syscall.EIO
			}
			return nil
		})
		var deleted, made bool
		var flushed kafka.Offset
		_ = lifecycle(f, lazy, func(d, m bool, o kafka.Offset) { deleted, made, flushed = d, m, o })
		if f.Ops() < n {
			return
		}
		survived(t, "kill after "+last.String(), m.Clone(), deleted, made, flushed)
		survived(t, "power cut after "+last.String(), m.CrashClone(nil), deleted, made, flushed)
	}
}

func TestAReplicaThatWasNeverWrittenToLeavesNoTrace(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l, err := d.OpenReplica(TakeWhole, orders0, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	must(t, d.Checkpoint(nil, func(kafka.TopicPartition) kafka.Offset { return l.End() }))
	if exists(m, "/data/orders-0") || len(d.mu.offsets[recoveryFile])+len(d.mu.offsets[highWatermarkFile]) > 0 {
		t.Errorf("a folder, or entries: %v", d.mu.offsets)
	}
	must(t, d.Delete(orders0, l))
	l, err = d.OpenReplica(TakeWhole, orders0, kafka.TopicID{2}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	closeClean(t, d)
	d = open(t, m.CrashClone(nil), "/data", node1())
	if found, err := d.Partitions(); err != nil || len(found) > 0 || !d.WasClean() {
		t.Errorf("found %v, clean %v: %v", found, d.WasClean(), err)
	}
	l, err = d.OpenReplica(TakeWhole, orders0, kafka.TopicID{3}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	must(t, appendOne(l, 10))
	must(t, d.Checkpoint(nil, nil))
	if _, noted := d.mu.offsets[recoveryFile][orders0]; !noted {
		t.Error("no entry after the first append")
	}
	must(t, d.Close())
}

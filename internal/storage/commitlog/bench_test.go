package commitlog

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// benchLog is a log on a file system in memory, so that the disk is not what is measured.
func benchLog(b *testing.B) *Log {
	b.Helper()
	root := "/dev/shm"
	if _, err := os.Stat(root); err != nil {
		root = b.TempDir()
	}
	parent, err := os.MkdirTemp(root, "commitlog-bench")
	must(b, err)
	b.Cleanup(func() { os.RemoveAll(parent) })
	o := options(vfs.OS())
	o.Dir, o.Config = filepath.Join(parent, "t-0"), DefaultConfig()
	o.Config.SegmentBytes, o.Config.RetentionBytes, o.Config.FileDeleteDelay = 64<<20, 256<<20, 0
	l := mustOpen(b, o)
	b.Cleanup(l.CloseAbrupt)
	return l
}

func BenchmarkAppendLeader(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
		pid  kafka.ProducerID
	}{{"1KiB", 1 << 10, 0}, {"16KiB", 16 << 10, 0}, {"16KiB-idempotent", 16 << 10, 7}} {
		b.Run(c.name, func(b *testing.B) {
			l := benchLog(b)
			v := records(1, c.size-100, 0)
			seq := int32(0)
			b.SetBytes(int64(len(v.Batch)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if c.pid != 0 {
					v.Header.ProducerID, v.Header.ProducerEpoch, v.Header.BaseSequence = c.pid, 0, seq
					seq = batch.AddSequence(seq, 1)
				}
				if _, err := l.AppendLeader(start, v, 0, OriginClient); err != nil {
					b.Fatal(err)
				}
				if n++; n%4096 == 0 {
					b.StopTimer()
					_, err := l.Flush()
					must(b, err)
					_, err = l.Retain(start, l.End())
					must(b, err)
					l.DeleteExpiredFiles(start.Add(time.Hour))
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkWriteAt is the floor below BenchmarkAppendLeader: the write alone.
func BenchmarkWriteAt(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10} {
		b.Run(map[int]string{1 << 10: "1KiB", 16 << 10: "16KiB"}[size], func(b *testing.B) {
			l := benchLog(b)
			v := records(1, size-100, 0)
			mustAppend(b, l, v)
			f := l.active().Hold()
			defer f.Release()
			b.SetBytes(int64(len(v.Batch)))
			var off int64
			for b.Loop() {
				if _, err := f.Log.WriteAt(v.Batch, off); err != nil {
					b.Fatal(err)
				}
				if off += int64(len(v.Batch)); off > 64<<20 {
					b.StopTimer()
					must(b, f.Log.Truncate(0)) // as a new segment, the file grows
					off = 0
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkReadPlan(b *testing.B) {
	l := benchLog(b)
	v := records(1, 1000, 0)
	for range 100_000 {
		mustAppend(b, l, v)
	}
	for _, c := range []struct {
		name string
		back kafka.Offset
	}{{"tail", 1}, {"active", 5_000}, {"sealed", 90_000}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := l.Read(l.End()-c.back, l.End(), 1<<20, true)
				if err != nil || p.Bytes == 0 {
					b.Fatal(err)
				}
				p.Release()
			}
		})
	}
}

func BenchmarkOpenClean(b *testing.B) {
	l := benchLog(b)
	v := records(1, 1000, 0)
	for range 100_000 {
		mustAppend(b, l, v)
	}
	must(b, l.Close(start))
	o := options(vfs.OS())
	o.Dir, o.Clean, o.Config = l.Dir(), true, DefaultConfig()
	b.ReportAllocs()
	for b.Loop() {
		mustOpen(b, o).CloseAbrupt()
	}
}

func BenchmarkRecover(b *testing.B) {
	l := benchLog(b)
	for i := range 60_000 {
		mustAppend(b, l, records(1, 1000, int64(i)))
	}
	mustFlush(b, l)
	for _, c := range []struct {
		name  string
		point kafka.Offset
	}{{"from-the-flush", l.End()}, {"all-64MiB", 0}} {
		b.Run(c.name, func(b *testing.B) {
			o := options(vfs.OS())
			o.Dir, o.Config, o.RecoveryPoint = l.Dir(), DefaultConfig(), c.point
			for b.Loop() {
				mustOpen(b, o).CloseAbrupt()
			}
		})
	}
}

func TestAppendsAllocateNothing(t *testing.T) {
	l := mustOpen(t, func() OpenOptions {
		o := options(vfs.OS())
		o.Dir = t.TempDir() + "/t-0"
		o.Config = DefaultConfig()
		return o
	}())
	defer l.CloseAbrupt()
	v := records(1, 100, 0)
	v.Header.ProducerID, v.Header.ProducerEpoch, v.Header.BaseSequence = 5, 0, 0
	n := testing.AllocsPerRun(2000, func() {
		mustAppend(t, l, v)
		v.Header.BaseSequence++
	})
	if n > 0 {
		t.Errorf("%v allocations an append", n)
	}
}

// nowhere is a file system whose log files take every write at once, so that what is left is the log's own work.
type nowhere struct{ vfs.FS }

func (n nowhere) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err == nil && filepath.Ext(name) == segment.LogSuffix {
		f = sink{f}
	}
	return f, err
}

type sink struct{ vfs.File }

func (sink) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (sink) WriteBack(int64, int64) error           { return nil }

func BenchmarkAppendLeaderWithoutTheWrite(b *testing.B) {
	for _, pid := range []kafka.ProducerID{0, 7} {
		b.Run(map[kafka.ProducerID]string{0: "plain", 7: "idempotent"}[pid], func(b *testing.B) {
			o := options(nowhere{vfs.NewMem()})
			o.Config = DefaultConfig()
			l := mustOpen(b, o)
			v := records(1, 16<<10, 0)
			seq := int32(0)
			b.ReportAllocs()
			for b.Loop() {
				if pid != 0 {
					v.Header.ProducerID, v.Header.ProducerEpoch, v.Header.BaseSequence = pid, 0, seq
					seq = batch.AddSequence(seq, 1)
				}
				if _, err := l.AppendLeader(start, v, 0, OriginClient); err != nil {
					b.Fatal(err)
				}
				if len(l.mu.unflushed) > 0 {
					b.StopTimer()
					end, _ := l.Dirty()
					l.MarkFlushed(end)
					b.StartTimer()
				}
			}
		})
	}
}

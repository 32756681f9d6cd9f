package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

const dir = "/data/t-0"

var (
	start = time.UnixMilli(1_700_000_000_000)
	id    = kafka.TopicID{1, 2, 3}
)

// smallConfig rolls and indexes often.
func smallConfig() Config {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.IndexBytes = 2000, 150, 1<<20
	return c
}

func options(fsys vfs.FS) OpenOptions {
	return OpenOptions{FS: fsys, Dir: dir, Partition: kafka.TopicPartition{Topic: "t"}, TopicID: id, Config: smallConfig(), Now: start,
		Rand: rand.New(rand.NewPCG(1, 1)), Log: slog.New(slog.DiscardHandler)}
}

func newDisk(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, m.MkdirAll("/data", 0o755))
	must(t, m.SyncDir("/"))
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, o OpenOptions) *Log {
	t.Helper()
	l, err := Open(o)
	must(t, err)
	return l
}

// records is a plain batch of n records of size bytes each; the first has the timestamp ts ms after start, and they are
// 1 ms apart.
func records(n, size int, ts int64) batch.Validated {
	return build(batch.BuilderConfig{}, n, size, ts)
}

func build(c batch.BuilderConfig, n, size int, ts int64) batch.Validated {
	b := batch.NewBuilder(c)
	for i := range n {
		b.Append(start.UnixMilli()+ts+int64(i), fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte('a' + ts%26)}, size), nil)
	}
	return b.Finish()
}

// sent is a batch of an idempotent producer.
func sent(pid kafka.ProducerID, epoch kafka.ProducerEpoch, seq int32, n int) batch.Validated {
	return build(batch.BuilderConfig{ProducerID: pid, Epoch: epoch, BaseSequence: seq}, n, 10, int64(seq%1000))
}

func mustAppend(t testing.TB, l *Log, v batch.Validated) Appended {
	t.Helper()
	a, err := l.AppendLeader(start, v, 0, OriginClient)
	must(t, err)
	return a
}

func mustFlush(t testing.TB, l *Log) {
	t.Helper()
	end, err := l.Flush()
	must(t, err)
	if end != l.End() {
		t.Fatalf("flushed %d of %d", end, l.End())
	}
}

// readAll reads the log from its start to its end, by small reads, as one run of batches.
func readAll(t testing.TB, l *Log, maxBytes int) []byte {
	t.Helper()
	var all []byte
	for off := l.Start(); off < l.End(); {
		p, err := l.Read(off, l.End(), maxBytes, true)
		must(t, err)
		if p.Bytes == 0 {
			t.Fatalf("nothing at offset %d of %d..%d", off, l.Start(), l.End())
		}
		n := len(all)
		all, err = p.ReadAll(all)
		must(t, err)
		if len(all)-n != p.Bytes || p.Next <= off {
			t.Fatalf("plan of %d bytes read %d; next %d after %d", p.Bytes, len(all)-n, p.Next, off)
		}
		off = p.Next
		p.Release()
	}
	return all
}

// offsetsOf lists the base offsets of the batches in b, which must be whole and right.
func offsetsOf(t testing.TB, b []byte) []kafka.Offset {
	t.Helper()
	var offs []kafka.Offset
	for one, err := range batch.Split(b) {
		must(t, err)
		must(t, batch.CheckCRC(one))
		h, err := batch.ParseHeader(one)
		must(t, err)
		offs = append(offs, h.BaseOffset)
	}
	return offs
}

func wantErr(t testing.TB, err error, want *kerr.Error) {
	t.Helper()
	var got *kerr.Error
	if !errors.As(err, &got) || got != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

func slurp(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	b, err := vfs.ReadFile(fsys, name, maxSmallFile)
	must(t, err)
	return b
}

func spill(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	must(t, writeFile(fsys, name, b))
}

func names(t testing.TB, fsys vfs.FS) []string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	must(t, err)
	var n []string
	for _, e := range entries {
		n = append(n, e.Name())
	}
	return n
}

func exists(fsys vfs.FS, name string) bool {
	_, err := fsys.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

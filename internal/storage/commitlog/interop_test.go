package commitlog

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
)

// The tests of this file are the Go half of interop/storage/run, which gives them their folders by the environment.

// Writes partition folders for Kafka's tools to look at: one stopped cleanly, one killed and recovered.
func TestWriteFoldersForKafka(t *testing.T) {
	root := os.Getenv("INTEROP_WRITE")
	if root == "" {
		t.Skip("interop/storage/run sets INTEROP_WRITE")
	}
	clean := writeForKafka(t, filepath.Join(root, "clean-0"))
	must(t, clean.Close(time.Now()))
	killed := writeForKafka(t, filepath.Join(root, "killed-0"))
	end := killed.End()
	killed.CloseAbrupt()
	name := filepath.Join(root, "killed-0", lastFile(t, filepath.Join(root, "killed-0"), ".log"))
	info, err := os.Stat(name)
	must(t, err)
	must(t, os.Truncate(name, info.Size()-5))
	o := diskOptions(filepath.Join(root, "killed-0"))
	l := mustOpen(t, o)
	if l.End() >= end {
		t.Errorf("recovered to %d of %d, with a torn batch", l.End(), end)
	}
	must(t, l.Close(time.Now()))
}

func diskOptions(folder string) OpenOptions {
	o := options(vfs.OS())
	o.Dir, o.Now, o.Log = folder, time.Now(), slog.Default()
	o.Config.SegmentBytes, o.Config.IndexIntervalBytes = 200_000, 4096
	return o
}

func lastFile(t *testing.T, folder, suffix string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	must(t, err)
	slices.Sort(found)
	return filepath.Base(found[len(found)-1])
}

func writeForKafka(t *testing.T, folder string) *Log {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(folder), 0o755))
	l := mustOpen(t, diskOptions(folder))
	r := rand.New(rand.NewPCG(1, 2))
	seq := int32(0)
	now := time.Now().UnixMilli() - 1_000_000
	for i := range 3000 {
		c := batch.BuilderConfig{Codec: compress.Codec(r.IntN(5))}
		n := 1 + r.IntN(5)
		switch i % 5 {
		case 1:
			c.ProducerID, c.Epoch, c.BaseSequence = 9, 1, seq
			seq += int32(n)
		case 2:
			c.ProducerID, c.BaseSequence, c.Transactional = 10, int32(i*10), true
		case 3:
			marker := batch.EndTxnMarker(10, 0, 3, batch.ControlType(i/5%2), now+int64(i*10))
			_, err := l.AppendLeader(time.Now(), marker, kafka.LeaderEpoch(i/700), OriginReplication)
			must(t, err)
			continue
		}
		v := randomBatch(c, r, n, now+int64(i*10))
		origin := OriginClient
		if i%5 == 2 {
			origin = OriginReplication
		}
		_, err := l.AppendLeader(time.Now(), v, kafka.LeaderEpoch(i/700), origin)
		must(t, err)
		if i%97 == 0 {
			mustFlush(t, l)
		}
	}
	if l.SegmentCount() < 3 {
		t.Errorf("%d segments", l.SegmentCount())
	}
	return l
}

func randomBatch(c batch.BuilderConfig, r *rand.Rand, n int, ts int64) batch.Validated {
	b := batch.NewBuilder(c)
	for range n {
		b.Append(ts+int64(r.IntN(50))-25, fmt.Appendf(nil, "key %d", r.IntN(100)), bytes.Repeat([]byte("value "), r.IntN(40)), nil)
	}
	return b.Finish()
}

// Opens the folders that a Kafka left, as after a clean stop and as after a crash, and compares every record with what
// Kafka's own tool printed of the same files (INTEROP_READ/NAME.dump: lines "offset timestamp").
func TestOpenFoldersOfKafka(t *testing.T) {
	root := os.Getenv("INTEROP_READ")
	if root == "" {
		t.Skip("interop/storage/run sets INTEROP_READ")
	}
	dumps, err := filepath.Glob(filepath.Join(root, "*.dump"))
	must(t, err)
	if len(dumps) == 0 {
		t.Fatal("nothing to read")
	}
	for _, dump := range dumps {
		want := readDump(t, dump)
		for _, clean := range []bool{true, false} {
			// A copy, as opening writes.
			folder := filepath.Join(t.TempDir(), filepath.Base(strings.TrimSuffix(dump, ".dump")))
			must(t, os.CopyFS(folder, os.DirFS(strings.TrimSuffix(dump, ".dump"))))
			checkFolder(t, folder, clean, want)
		}
	}
}

func readDump(t *testing.T, name string) []record {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	var all []record
	for lines := bufio.NewScanner(f); lines.Scan(); {
		off, ts, ok := strings.Cut(lines.Text(), " ")
		o, err1 := strconv.ParseInt(off, 10, 64)
		at, err2 := strconv.ParseInt(ts, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			t.Fatalf("%s: bad line %q", name, lines.Text())
		}
		all = append(all, record{kafka.Offset(o), at})
	}
	return all
}

func checkFolder(t *testing.T, folder string, clean bool, want []record) {
	t.Helper()
	o := diskOptions(folder)
	o.Clean, o.TopicID = clean, kafka.TopicID{}
	l := mustOpen(t, o)
	var got []record
	for off := l.Start(); off < l.End(); {
		p, err := l.Read(off, l.End(), 100_000, true)
		must(t, err)
		b, err := p.ReadAll(nil)
		must(t, err)
		for one, err := range batch.Split(b) {
			must(t, err)
			must(t, batch.CheckCRC(one))
			for r, err := range batch.Records(one, 1<<30) {
				must(t, err)
				got = append(got, record{r.Offset, r.Timestamp})
			}
		}
		off = p.Next
		p.Release()
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s, clean %v: %d records, Kafka has %d", folder, clean, len(got), len(want))
	}
	for i := 0; i < len(want); i += 1 + len(want)/500 {
		off, ts, _, ok, err := l.OffsetForTimestamp(want[i].ts, l.End())
		if err != nil || !ok || ts < want[i].ts || off > want[i].off {
			t.Fatalf("%s: timestamp %d found at %d %d %v %v, but offset %d has it", folder, want[i].ts, off, ts, ok, err, want[i].off)
		}
	}
	t.Logf("%s, clean %v: %d records in %d segments, %d producers, epoch %d, topic id %v", filepath.Base(folder), clean, len(got),
		l.SegmentCount(), len(l.Producers(time.Now())), l.LatestEpoch(), l.TopicID())
	if len(l.Producers(time.Now())) == 0 || l.LatestEpoch() < 0 || l.TopicID().IsZero() {
		t.Errorf("%s, clean %v: producers, epochs or topic id are missing", folder, clean)
	}
	must(t, l.Close(time.Now()))
}

// Appends to a folder that a Kafka left, in place, so that the Kafka can go on with it.
func TestAppendToAFolderOfKafka(t *testing.T) {
	folder := os.Getenv("INTEROP_APPEND")
	if folder == "" {
		t.Skip("interop/storage/run sets INTEROP_APPEND")
	}
	o := diskOptions(folder)
	o.Clean, o.TopicID = true, kafka.TopicID{}
	l := mustOpen(t, o)
	before := l.End()
	r := rand.New(rand.NewPCG(5, 6))
	for l.End() < before+10_000 {
		_, err := l.AppendLeader(time.Now(), randomBatch(batch.BuilderConfig{}, r, 5, time.Now().UnixMilli()), l.LatestEpoch(), OriginClient)
		must(t, err)
	}
	must(t, l.Close(time.Now()))
}

// Cleans a folder that Kafka wrote, for interop/compaction/run, as Kafka will be told to.
func TestCleanAFolderOfKafka(t *testing.T) {
	folder := os.Getenv("INTEROP_CLEAN")
	if folder == "" {
		t.Skip("interop/compaction/run sets INTEROP_CLEAN")
	}
	cleaned, err := strconv.ParseInt(os.Getenv("INTEROP_CLEANED"), 10, 64)
	must(t, err)
	o := diskOptions(folder)
	o.TopicID, o.Partition = kafka.TopicID{}, kafka.TopicPartition{Topic: "untidy"}
	o.Clean, o.Cleaned, o.RecoveryPoint = true, kafka.Offset(cleaned), maxOffset
	o.Config.SegmentBytes, o.Config.IndexIntervalBytes, o.Config.Delete, o.Config.Compact = 1<<20, 1024, false, true
	o.Config.Compaction.DeleteRetention, o.Config.Compaction.MinDirtyRatio = 0, 0
	l := mustOpen(t, o)
	l.Replicated(l.End())
	limit := l.End()
	if first, open := l.FirstUnstable(); open {
		limit = first
	}
	if s, err := l.Cleanable(time.Now(), limit); err != nil || !s.Due() || int64(s.FirstDirty) < cleaned {
		t.Fatalf("%+v, due %v: %v", s, s.Due(), err)
	}
	n, err := l.Clean(time.Now(), limit, cleaner.Resources{MapBytes: 1 << 20, MapLoad: 0.9, BufferBytes: 1 << 18, Throttle: func(int) error { return nil }})
	must(t, err)
	t.Logf("of %d; %d segments for %d", n.RecordsRead, n.SegmentsAfter, n.SegmentsBefore)
	must(t, l.Close(time.Now()))
	deleted, err := filepath.Glob(filepath.Join(folder, "*.deleted"))
	must(t, err)
	for _, name := range deleted {
		must(t, os.Remove(name))
	}
}

package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

func TestRepeatedBatchesGetTheirFirstOffsetsAlsoAfterRestarts(t *testing.T) {
	for _, stop := range []string{"none", "clean", "kill", "kill after rolls"} {
		disk := newDisk(t)
		l := mustOpen(t, options(disk))
		var first [9]kafka.Offset
		for i := range first {
			first[i] = mustAppend(t, l, sent(5, 0, int32(i*2), 2)).First
			mustAppend(t, l, records(1, 300, 0))
		}
		if strings.Contains(stop, "rolls") {
			for range 20 {
				mustAppend(t, l, records(1, 900, 0))
			}
		}
		o := options(disk)
		switch stop {
		case "clean":
			must(t, l.Close(start))
			o.Clean = true
			l = mustOpen(t, o)
		case "kill", "kill after rolls":
			mustFlush(t, l)
			o.RecoveryPoint = l.Flushed()
			l.CloseAbrupt()
			l = mustOpen(t, o)
		}
		end := l.End()
		for i := range first {
			a, err := l.AppendLeader(start, sent(5, 0, int32(i*2), 2), 0, OriginClient)
			if i < 4 {
				wantErr(t, err, kerr.OutOfOrderSequenceNumber)
			} else if err != nil || !a.Duplicate || a.First != first[i] || a.Last != first[i]+1 {
				t.Errorf("%s: batch %d: %+v %v, want %d", stop, i, a, err, first[i])
			}
		}
		if l.End() != end {
			t.Errorf("%s: repetitions were appended", stop)
		}
		if a := mustAppend(t, l, sent(5, 0, 18, 1)); a.Duplicate {
			t.Errorf("%s: next batch: %+v", stop, a)
		}
	}
}

func TestClosedCleanlyTwiceKeepsTheProducers(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	mustAppend(t, l, sent(5, 0, 0, 2))
	must(t, l.Close(start))
	o := options(disk)
	o.Clean = true
	for range 3 {
		l = mustOpen(t, o)
		before := disk.Changes()
		must(t, l.Close(start))
		if disk.Changes() != before {
			t.Error("closing an unchanged log wrote something")
		}
	}
	l = mustOpen(t, o)
	if a := mustAppend(t, l, sent(5, 0, 0, 2)); !a.Duplicate || a.First != 0 {
		t.Errorf("%+v", a)
	}
}

func TestFollowerKeepsOffsetsEpochsAndGaps(t *testing.T) {
	leader := mustOpen(t, options(newDisk(t)))
	var all []byte
	for i := range 30 {
		v := records(2, 100, int64(i))
		if i%4 == 1 {
			v = sent(5, 0, int32(i/4*2), 2)
		}
		_, err := leader.AppendLeader(start, v, kafka.LeaderEpoch(i/10), OriginClient)
		must(t, err)
		if i != 7 && i != 8 { // as if compaction had taken them
			all = append(all, v.Batch...)
		}
	}
	disk := newDisk(t)
	f := mustOpen(t, options(disk))
	a, err := f.AppendFollower(start, append(slices.Clone(all), all[:50]...)) // ends within a batch
	must(t, err)
	if a.First != 0 || a.Last != 59 || a.End != 60 || f.SegmentCount() < 3 {
		t.Errorf("%+v, %d segments", a, f.SegmentCount())
	}
	if got := readAll(t, f, 700); !bytes.Equal(got, all) {
		t.Error("follower's bytes differ")
	}
	if f.EpochForOffset(25) != 1 || f.LatestEpoch() != 2 {
		t.Errorf("epochs %v", f.mu.epochs.Entries())
	}
	if !slices.Equal(f.Producers(start), leader.Producers(start)) {
		t.Errorf("producers %+v, want %+v", f.Producers(start), leader.Producers(start))
	}
	before := f.End()
	if _, err := f.AppendFollower(start, all); !errors.Is(err, ErrUnexpectedOffset) {
		t.Errorf("old offsets: %v", err)
	}
	broken := slices.Clone(all)
	broken[len(broken)-1] ^= 1
	_, err = f.AppendFollower(start, broken[len(broken)-len(records(2, 100, 0).Batch):])
	wantErr(t, err, kerr.CorruptMessage)
	if f.End() != before || f.Failed() != nil {
		t.Error("a refused append changed the log")
	}
}

func TestOffsetsFarApartRollASegment(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	var all []byte
	for i, off := range []kafka.Offset{0, math.MaxInt32, math.MaxInt32 + 1, 3 * math.MaxInt32, 7 * math.MaxInt32} {
		v := records(1, 10, int64(i))
		batch.StampOffset(v.Batch, off, 0)
		all = append(all, v.Batch...)
	}
	_, err := l.AppendFollower(start, all)
	must(t, err)
	if got := readAll(t, l, 1); !bytes.Equal(got, all) || l.SegmentCount() != 4 {
		t.Errorf("%v in %d segments", offsetsOf(t, got), l.SegmentCount())
	}
}

func TestRetentionDeletesWholeSegmentsBelowTheLimit(t *testing.T) {
	size := int64(len(records(1, 100, 0).Batch))
	f := func(name string, change func(*Config), limit kafka.Offset, now time.Duration, deleted int, first kafka.Offset) {
		t.Helper()
		disk := newDisk(t)
		o := options(disk)
		o.Config.SegmentBytes = 3 * size
		change(&o.Config)
		l := mustOpen(t, o)
		for i := range 10 { // segments 0, 3, 6, 9; one record a second
			mustAppend(t, l, records(1, 100, int64(i)*1000))
		}
		n, err := l.Retain(start.Add(now), limit)
		must(t, err)
		if n != deleted || l.Start() != first {
			t.Errorf("%s: %d deleted, start %d; want %d, %d", name, n, l.Start(), deleted, first)
		}
		if l.Start() < l.End() {
			readAll(t, l, 1000)
		}
		if _, err := l.Read(l.Start()-1, l.End(), 100, true); first > 0 {
			wantErr(t, err, kerr.OffsetOutOfRange)
		}
		if got := mustAppend(t, l, records(1, 1, 0)); got.First != 10 {
			t.Errorf("%s: next offset %d", name, got.First)
		}
		gone := 0
		for _, n := range names(t, disk) {
			if strings.HasSuffix(n, ".deleted") {
				gone++
			}
		}
		if (gone > 0) != (deleted > 0) {
			t.Errorf("%s: %v", name, names(t, disk))
		}
		l.DeleteExpiredFiles(start.Add(now + o.Config.FileDeleteDelay))
		if left := strings.Join(names(t, disk), " "); strings.Contains(left, ".deleted") {
			t.Errorf("%s: still there: %s", name, left)
		}
	}
	hour := func(c *Config) { c.RetentionAge = time.Hour }
	f("nothing due", hour, 10, 0, 0, 0)
	f("by age, two segments", hour, 10, time.Hour+5001*time.Millisecond, 2, 6)
	f("exactly as old", hour, 10, time.Hour+2*time.Second, 0, 0)
	f("by age, all", hour, 10, 2*time.Hour, 4, 10)
	f("only below the limit", hour, 5, 2*time.Hour, 1, 3)
	f("not with policy compact", func(c *Config) { hour(c); c.Delete, c.Compact = false, true }, 10, 2*time.Hour, 0, 0)
	f("not without policy", func(c *Config) { hour(c); c.Delete = false }, 10, 2*time.Hour, 0, 0)
	f("for ever", func(c *Config) { c.RetentionAge = -1 }, 10, 1e5*time.Hour, 0, 0)
	f("by size: never smaller than the limit", func(c *Config) { c.RetentionBytes = 4*size + 1 }, 10, 0, 1, 3)
	f("by size: exactly the limit", func(c *Config) { c.RetentionBytes = 4 * size }, 10, 0, 2, 6)
	f("by size: nothing", func(c *Config) { c.RetentionBytes = 0 }, 10, 0, 4, 10)
}

func TestRetentionByAgeUsesTheFileTimeWithoutTimestamps(t *testing.T) {
	disk := newDisk(t)
	disk.SetTime(start)
	l := mustOpen(t, options(disk))
	b := batch.NewBuilder(batch.BuilderConfig{})
	b.Append(kafka.NoTimestamp, nil, []byte("v"), nil)
	v := b.Finish()
	if v.Header.MaxTimestamp != kafka.NoTimestamp {
		t.Skip("records always have timestamps")
	}
	mustAppend(t, l, v)
	age := l.mu.config.RetentionAge
	if n, err := l.Retain(start.Add(age), 1); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := l.Retain(start.Add(age+time.Millisecond), 1); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestDeleteRecordsHidesAtOnceAndDeletesWithRetention(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	for i := range 40 {
		mustAppend(t, l, records(1, 200, int64(i)))
	}
	mid := l.mu.segments[2].Base() + 1
	must(t, l.AdvanceStart(mid))
	must(t, l.AdvanceStart(mid-1)) // never back
	if l.Start() != mid || l.SegmentCount() < 5 {
		t.Error(l.Start(), l.SegmentCount())
	}
	wantErr(t, l.AdvanceStart(l.End()+1), kerr.OffsetOutOfRange)
	n, err := l.Retain(start, l.End())
	must(t, err)
	if n != 2 || l.Start() != mid {
		t.Errorf("%d segments deleted, start %d", n, l.Start())
	}
}

func TestDeletedSegmentIsReadToTheEndByThoseWhoHaveIt(t *testing.T) {
	disk := newDisk(t)
	o := options(disk)
	o.Config.RetentionBytes = 0
	l := mustOpen(t, o)
	var want []byte
	for i := range 5 {
		v := records(1, 200, int64(i))
		mustAppend(t, l, v)
		want = append(want, v.Batch...)
	}
	p, err := l.Read(0, 5, 1<<20, true)
	must(t, err)
	_, err = l.Retain(start, l.End())
	must(t, err)
	l.DeleteExpiredFiles(start.Add(time.Hour))
	got, err := p.ReadAll(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	p.Release()
	p.Release()
}

func TestTruncationDropsWholeBatchesEpochsAndProducers(t *testing.T) {
	for cut := range kafka.Offset(61) {
		disk := newDisk(t)
		l := mustOpen(t, options(disk))
		var all [][]byte
		for i := range 30 {
			v := sent(5, 0, int32(i*2), 2)
			_, err := l.AppendLeader(start, v, kafka.LeaderEpoch(i/10), OriginClient)
			must(t, err)
			all = append(all, v.Batch)
		}
		mustFlush(t, l)
		must(t, l.TruncateTo(cut))
		keep := int(cut / 2)
		if got := readAll(t, l, 500); !bytes.Equal(got, bytes.Join(all[:keep], nil)) {
			t.Fatalf("cut %d: %v", cut, offsetsOf(t, got))
		}
		end := kafka.Offset(keep * 2)
		if l.End() != end || l.Flushed() != end || l.LatestEpoch() > kafka.LeaderEpoch((keep+9)/10-1) && keep > 0 {
			t.Fatalf("cut %d: end %d flushed %d epoch %d", cut, l.End(), l.Flushed(), l.LatestEpoch())
		}
		if a := mustAppend(t, l, sent(5, 0, int32(end), 2)); a.Duplicate || a.First != end {
			t.Fatalf("cut %d: %+v", cut, a)
		}
		mustFlush(t, l)
		must(t, l.Close(start))
		o := options(disk)
		o.Clean = true
		l = mustOpen(t, o)
		if got := len(offsetsOf(t, readAll(t, l, 500))); got != keep+1 {
			t.Fatalf("cut %d: %d batches after reopening, want %d", cut, got, keep+1)
		}
	}
}

func TestTruncateFullyBeginsAnew(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range 30 {
		mustAppend(t, l, sent(5, 0, int32(i), 1))
	}
	must(t, l.TruncateFullyAndStartAt(1000))
	if l.Start() != 1000 || l.End() != 1000 || l.Flushed() != 1000 || l.Size() != 0 || l.LatestEpoch() != -1 || len(l.Producers(start)) != 0 {
		t.Error(l.Start(), l.End(), l.Flushed(), l.Size(), l.LatestEpoch())
	}
	if a := mustAppend(t, l, sent(5, 0, 77, 1)); a.First != 1000 {
		t.Errorf("%+v", a)
	}
	must(t, l.Close(start))
	o := options(disk)
	o.LogStart = 1000
	l = mustOpen(t, o)
	if l.Start() != 1000 || l.End() != 1001 {
		t.Error(l.Start(), l.End())
	}
}

// record is one record of the model of times.
type record struct {
	off kafka.Offset
	ts  int64
}

func TestOffsetsAreFoundByTimestamp(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		disk := newDisk(t)
		l := mustOpen(t, options(disk))
		var all []record
		var bases []kafka.Offset
		for i := range 100 {
			b := batch.NewBuilder(batch.BuilderConfig{Codec: compress.Codec(r.IntN(5))})
			for range 1 + r.IntN(4) {
				ts := int64(i*10 + r.IntN(60)) // neither records nor batches in order
				b.Append(ts, nil, make([]byte, r.IntN(80)), nil)
				all = append(all, record{kafka.Offset(len(all)), ts})
			}
			a, err := l.AppendLeader(start, b.Finish(), 3, OriginClient)
			must(t, err)
			bases = append(bases, a.First)
		}
		for _, reopen := range []bool{false, true} {
			if reopen {
				must(t, l.Close(start))
				o := options(disk)
				o.Clean = true
				l = mustOpen(t, o)
			}
			checkTimes(t, l, all)
		}
		must(t, l.AdvanceStart(bases[50]+1))
		checkTimes(t, l, all)
	}
}

func checkTimes(t *testing.T, l *Log, all []record) {
	t.Helper()
	for ts := int64(-5); ts < 1100; ts += 7 {
		want, found := wantTime(l, all, ts)
		off, at, epoch, ok, err := l.OffsetForTimestamp(ts, l.End())
		must(t, err)
		if ok != found || ok && (off != want.off || at != want.ts || epoch != 3) {
			t.Fatalf("timestamp %d: %d %d %d %v, want %+v %v", ts, off, at, epoch, ok, want, found)
		}
		if ok {
			if _, _, _, ok, _ := l.OffsetForTimestamp(ts, off); ok {
				t.Fatalf("timestamp %d: found at the limit", ts)
			}
		}
	}
	best := all[0]
	for _, r := range all {
		if r.ts > best.ts {
			best = r
		}
	}
	off, ts, _, ok, err := l.MaxTimestamp(l.End())
	if err != nil || !ok || off != best.off || ts != best.ts {
		t.Fatalf("largest: %d %d %v %v, want %+v", off, ts, ok, err, best)
	}
}

// wantTime is Kafka's answer: the first segment that has such a timestamp is searched, and no other.
func wantTime(l *Log, all []record, ts int64) (record, bool) {
	for i, s := range l.mu.segments {
		next := l.End()
		if i+1 < len(l.mu.segments) {
			next = l.mu.segments[i+1].Base()
		}
		has := false
		for _, r := range all[s.Base():next] {
			if r.ts >= ts && r.off >= l.Start() {
				return r, true
			}
			has = has || r.ts >= ts
		}
		if has {
			return record{}, false
		}
	}
	return record{}, false
}

func TestEmptyLogHasNoTimestamps(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	if _, _, _, ok, err := l.OffsetForTimestamp(0, 0); ok || err != nil {
		t.Error(ok, err)
	}
	if _, _, _, ok, err := l.MaxTimestamp(0); ok || err != nil {
		t.Error(ok, err)
	}
}

func TestMarkFlushedBelievesOnlyWhatDirtySaid(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	for i := range 20 {
		mustAppend(t, l, records(1, 300, int64(i)))
	}
	end, err := l.Dirty()
	if end != 20 || err != nil {
		t.Error(end, err)
	}
	mustAppend(t, l, records(1, 10, 0))
	l.MarkFlushed(end)
	if l.Flushed() != 20 || len(l.mu.unflushed) != 0 {
		t.Error(l.Flushed(), len(l.mu.unflushed))
	}
	end, _ = l.Dirty()
	must(t, l.TruncateTo(10))
	for i := range 20 {
		mustAppend(t, l, records(1, 10, int64(i)))
	}
	l.MarkFlushed(end)
	if l.Flushed() != 10 {
		t.Errorf("flushed %d: records after the truncation were never synced", l.Flushed())
	}
	end, _ = l.Dirty()
	l.MarkFlushed(end)
	if l.Flushed() != l.End() || l.mu.dirDirty {
		t.Error("still dirty")
	}
}

func TestCloseIsFinal(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	mustAppend(t, l, records(1, 1, 0))
	must(t, l.Close(start))
	_, err1 := l.AppendLeader(start, records(1, 1, 0), 0, OriginClient)
	_, err2 := l.Read(0, 1, 100, true)
	_, err3 := l.Flush()
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
	if err := l.Close(start); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	l.CloseAbrupt()
}

func TestInterruptedCompactionIsFinishedOrUndone(t *testing.T) {
	build := func() (*vfs.Mem, []byte) {
		disk, batches, _ := filled(t, 60)
		return disk, bytes.Join(batches, nil)
	}
	open := func(disk *vfs.Mem) []byte {
		o := options(disk)
		o.Clean, o.Config.Compact = true, true
		l := mustOpen(t, o)
		defer l.CloseAbrupt()
		return readAll(t, l, 1000)
	}
	disk, want := build()
	logs := names(t, disk)
	first := filepath.Join(dir, logs[slices.IndexFunc(logs, func(n string) bool { return strings.HasSuffix(n, ".log") })])
	cleaned := slurp(t, disk, first)
	one, _, err := batch.Next(cleaned)
	must(t, err)
	spill(t, disk, first+".cleaned", one)
	if got := open(disk); !bytes.Equal(got, want) || exists(disk, first+".cleaned") {
		t.Error("unfinished compaction was not undone")
	}
	disk, want = build()
	spill(t, disk, first+".swap", cleaned[:len(cleaned)-0])
	spill(t, disk, strings.TrimSuffix(first, ".log")+".index.swap", nil)
	spill(t, disk, strings.TrimSuffix(first, ".log")+".timeindex.swap", nil)
	if got := open(disk); !bytes.Equal(got, want) || exists(disk, first+".swap") {
		t.Error("finished compaction was not taken")
	}
}

func TestFilesAreNamedAsKafkaNamesThem(t *testing.T) {
	disk := newDisk(t)
	o := options(disk)
	o.Config.SegmentBytes = 400
	l := mustOpen(t, o)
	for i := range 3 {
		mustAppend(t, l, sent(1, 0, int32(i), 1))
		mustAppend(t, l, records(1, 200, int64(i)))
	}
	must(t, l.Close(start))
	want := []string{"00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex"}
	for _, base := range []int{2, 4} {
		for _, suffix := range []string{"index", "log", "snapshot", "timeindex"} {
			want = append(want, fmt.Sprintf("%020d.%s", base, suffix))
		}
	}
	want = append(want, "00000000000000000006.snapshot", "leader-epoch-checkpoint", "partition.metadata")
	if got := names(t, disk); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := string(slurp(t, disk, filepath.Join(dir, "partition.metadata"))); got != "version: 0\ntopic_id: "+id.String() {
		t.Errorf("partition.metadata is %q", got)
	}
	if got := string(slurp(t, disk, filepath.Join(dir, "leader-epoch-checkpoint"))); got != "0\n1\n0 0\n" {
		t.Errorf("leader-epoch-checkpoint is %q", got)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte("version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte("version: 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseMetadata(b); err == nil && id.IsZero() {
			t.Error("zero topic id accepted")
		}
	})
}

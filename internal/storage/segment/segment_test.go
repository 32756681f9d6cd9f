package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

const dir = "/d"

var now = time.UnixMilli(1000)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newDisk(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, m.MkdirAll(dir, 0o755))
	return m
}

// grown is a segment of n batches of two records each; the i-th has timestamps around 10*i.
func grown(t testing.TB, disk vfs.FS, base kafka.Offset, n, interval int) *Segment {
	t.Helper()
	s, err := Create(disk, dir, base, now, 0)
	must(t, err)
	for i := range n {
		b := batch.NewBuilder(batch.BuilderConfig{BaseOffset: base + kafka.Offset(i*2)})
		b.Append(int64(10*i), nil, []byte("a value"), nil)
		b.Append(int64(10*i-5), nil, bytes.Repeat([]byte("x"), i%30), nil)
		v := b.Finish()
		must(t, s.Write(v.Batch))
		must(t, s.Added(v.Header, interval))
	}
	return s
}

func TestFileNames(t *testing.T) {
	if got := FileName(42, LogSuffix); got != "00000000000000000042.log" {
		t.Error(got)
	}
	f := func(name string, base kafka.Offset, suffix string, ok bool) {
		t.Helper()
		if b, s, k := ParseFileName(name); b != base || s != suffix || k != ok {
			t.Errorf("%q: %d %q %v", name, b, s, k)
		}
	}
	f("00000000000000000042.log", 42, ".log", true)
	f("09223372036854775807.timeindex", 1<<63-1, ".timeindex", true)
	f("00000000000000000042.log.deleted", 42, ".log.deleted", true)
	f("09223372036854775808.log", 0, "", false)
	f("-0000000000000000042.log", 0, "", false)
	f("0000000000000000042.log", 0, "", false)
	f("00000000000000000042", 0, "", false)
	f("leader-epoch-checkpoint", 0, "", false)
	f("00000000000000000042-0000000001.checkpoint", 0, "", false)
}

// Entries name batches by their last offset and position, one each time more than the interval went by, and the time
// index gets one with it only if the largest timestamp grew.
func TestIndexEntriesAreThoseOfKafka(t *testing.T) {
	disk := newDisk(t)
	s := grown(t, disk, 100, 40, 300)
	must(t, s.Seal())
	log, index, times := read(t, disk, s, LogSuffix), read(t, disk, s, IndexSuffix), read(t, disk, s, TimeIndexSuffix)
	var wantIndex, wantTimes []byte
	since, pos, maxTs, maxOff, lastTs := 0, 0, int64(-1), kafka.Offset(0), int64(-1)
	for one, err := range batch.Split(log) {
		must(t, err)
		h, err := batch.ParseHeader(one)
		must(t, err)
		if h.MaxTimestamp > maxTs {
			maxTs, maxOff = h.MaxTimestamp, h.LastOffset()
		}
		if since > 300 {
			wantIndex = binary.BigEndian.AppendUint32(wantIndex, uint32(h.LastOffset()-100))
			wantIndex = binary.BigEndian.AppendUint32(wantIndex, uint32(pos))
			if maxTs > lastTs {
				wantTimes = binary.BigEndian.AppendUint64(wantTimes, uint64(maxTs))
				wantTimes = binary.BigEndian.AppendUint32(wantTimes, uint32(maxOff-100))
				lastTs = maxTs
			}
			since = 0
		}
		since += len(one)
		pos += len(one)
	}
	if maxTs > lastTs { // the last entry, when the segment is sealed
		wantTimes = binary.BigEndian.AppendUint64(wantTimes, uint64(maxTs))
		wantTimes = binary.BigEndian.AppendUint32(wantTimes, uint32(maxOff-100))
	}
	if !bytes.Equal(index, wantIndex) || !bytes.Equal(times, wantTimes) {
		t.Errorf("index % x, want % x\ntimes % x, want % x", index, wantIndex, times, wantTimes)
	}
}

func read(t testing.TB, disk vfs.FS, s *Segment, suffix string) []byte {
	t.Helper()
	f, err := disk.OpenFile(s.path(suffix), os.O_RDONLY, 0)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if size > 0 {
		must(t, readFull(f, b, 0))
	}
	return b
}

// Many more entries than are kept in memory: each offset is found, while the index is being written and afterwards.
func TestEveryOffsetIsFoundInALargeIndex(t *testing.T) {
	disk := newDisk(t)
	const n = 3000
	s := grown(t, disk, 1000, n, 1)
	check := func(s *Segment) {
		t.Helper()
		v, err := s.View()
		must(t, err)
		defer v.Release()
		for o := kafka.Offset(1000); o < 1000+2*n; o += 7 {
			pos, h, ok, err := v.Find(o)
			if err != nil || !ok || o < h.BaseOffset || o > h.LastOffset() {
				t.Fatalf("offset %d: %+v at %d, %v %v", o, h, pos, ok, err)
			}
			end, err := v.Fit(pos, v.Size, 1000)
			if err != nil || end <= pos || end > pos+1000 {
				t.Fatalf("fit from %d: %d %v", pos, end, err)
			}
			if next, ok := headerAt(t, v, end); ok && end+int64(next.Size()) <= pos+1000 {
				t.Fatalf("fit from %d: %d, but a batch of %d more would fit", pos, end, next.Size())
			}
		}
		if _, _, ok, err := v.Find(1000 + 2*n); ok || err != nil {
			t.Error("an offset beyond the end was found", err)
		}
		for i := range n {
			r, ok, err := v.FindTimestamp(int64(10*i), 0)
			if err != nil || !ok || r.Offset != 1000+kafka.Offset(2*i) {
				t.Fatalf("timestamp %d: %+v %v %v", 10*i, r, ok, err)
			}
		}
	}
	check(s)
	must(t, s.Seal())
	check(s)
	s.Idle()
	again := Existing(disk, dir, 1000, s.Size(), 1000+2*n, now, 0)
	check(again)
	again.Idle()
	for _, suffix := range []string{IndexSuffix, TimeIndexSuffix} {
		must(t, disk.Remove(s.path(suffix)))
		check(Existing(disk, dir, 1000, s.Size(), 1000+2*n, now, 0))
	}
}

func headerAt(t *testing.T, v View, pos int64) (batch.Header, bool) {
	t.Helper()
	var h batch.Header
	found := false
	must(t, v.walk(pos, func(_ int64, x batch.Header) bool { h, found = x, true; return false }))
	return h, found
}

func TestViewOfASegmentThatWasCutIsStale(t *testing.T) {
	disk := newDisk(t)
	s := grown(t, disk, 0, 500, 1)
	v, err := s.View()
	must(t, err)
	defer v.Release()
	if _, err := s.TruncateTo(400, 1); err != nil {
		t.Fatal(err)
	}
	if s.Next() != 400 || v.Next != 1000 {
		t.Errorf("next %d, of the view %d", s.Next(), v.Next)
	}
	if _, _, _, err := v.Find(999); !errors.Is(err, ErrStale) {
		t.Errorf("beyond the cut: %v, want ErrStale", err)
	}
	v2, err := s.View()
	must(t, err)
	defer v2.Release()
	if _, _, ok, err := v2.Find(399); !ok || err != nil {
		t.Errorf("a new view: %v %v", ok, err)
	}
}

func TestZerosAtTheEndOfAnIndexMakeItAnew(t *testing.T) {
	disk := newDisk(t)
	s := grown(t, disk, 0, 50, 300)
	must(t, s.Seal())
	want := [][]byte{read(t, disk, s, IndexSuffix), read(t, disk, s, TimeIndexSuffix)}
	size := s.Size()
	s.Idle()
	for i, suffix := range []string{IndexSuffix, TimeIndexSuffix} {
		f, err := disk.OpenFile(s.path(suffix), os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt(make([]byte, 240), int64(len(want[i])))
		must(t, err)
		must(t, f.Close())
		again := Existing(disk, dir, 0, size, 100, now, 0)
		if ts, err := again.LargestTimestamp(); ts != 490 || err != nil {
			t.Errorf("largest timestamp %d %v", ts, err)
		}
		if got := read(t, disk, s, suffix); len(got)%[]int{8, 12}[i] != 0 || len(got) > len(want[i]) {
			t.Errorf("%s has %d bytes, of %d", suffix, len(got), len(want[i]))
		}
		again.Idle()
	}
}

func TestAbortedTransactionsAreKept(t *testing.T) {
	disk := newDisk(t)
	s := grown(t, disk, 10, 1, 300)
	if txns, err := s.Aborted(); txns != nil || err != nil {
		t.Error(txns, err)
	}
	all := []AbortedTxn{{1, 5, 10, 7}, {2, 7, 12, 13}, {1, 13, 20, 21}}
	for _, a := range all {
		must(t, s.AddAborted(a))
	}
	if got, err := s.Aborted(); err != nil || !slices.Equal(got, all) {
		t.Error(got, err)
	}
	must(t, s.TruncateTxns(20))
	must(t, s.AddAborted(all[2]))
	if got, err := s.Aborted(); err != nil || !slices.Equal(got, all) {
		t.Error(got, err)
	}
}

func FuzzDecodeAborted(f *testing.F) {
	f.Add(AbortedTxn{1, 2, 3, 4}.AppendAborted(nil))
	f.Add(AbortedTxn{2, 7, 9, 4}.AppendAborted(AbortedTxn{1, 2, 3, 4}.AppendAborted(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		txns, err := DecodeAborted(b)
		var again []byte
		for _, a := range txns {
			again = a.AppendAborted(again)
		}
		if !bytes.HasPrefix(b, again) || err == nil && len(b)-len(again) >= abortedWidth {
			t.Fatalf("%v %v", txns, err)
		}
	})
}

// Whatever the three files hold, opening and searching them ends without a panic, and what is found are batches.
func FuzzRecover(f *testing.F) {
	disk := newDisk(f)
	s := grown(f, disk, 0, 12, 200)
	must(f, s.Seal())
	files := [][]byte{read(f, disk, s, LogSuffix), read(f, disk, s, IndexSuffix), read(f, disk, s, TimeIndexSuffix)}
	f.Add(files[0], files[1], files[2], int64(0), false)
	f.Add(files[0], files[1], files[2], int64(12), true)
	f.Add(files[0][:len(files[0])-3], files[2], files[1], int64(5), false)
	f.Fuzz(func(t *testing.T, log, index, times []byte, point int64, clean bool) {
		disk := newDisk(t)
		for suffix, content := range map[string][]byte{LogSuffix: log, IndexSuffix: index, TimeIndexSuffix: times} {
			file, err := disk.OpenFile(filepath.Join(dir, FileName(0, suffix)), os.O_RDWR|os.O_CREATE, 0o644)
			must(t, err)
			_, err = file.WriteAt(content, 0)
			must(t, err)
		}
		s := Existing(disk, dir, 0, int64(len(log)), 1<<62, now, 0)
		var err error
		if clean {
			_, err = s.Tail(200)
		} else {
			_, err = s.Recover(kafka.Offset(point), 200, nil)
		}
		if err != nil {
			return
		}
		must(t, s.Trim())
		v, err := s.View()
		must(t, err)
		defer v.Release()
		err = v.Walk(0, func(h batch.Header, _ func() ([]byte, error)) error {
			if h.LastOffset() >= s.Next() && !clean && point <= 0 {
				return fmt.Errorf("batch %+v after the end %d", h, s.Next())
			}
			return nil
		})
		if err != nil && !clean && point <= 0 { // otherwise the beginning is not looked at
			t.Fatal(err)
		}
		for _, o := range []kafka.Offset{0, 1, 7, 100} {
			if _, h, ok, err := v.Find(o); err == nil && ok && h.LastOffset() < o {
				t.Fatalf("offset %d found in %+v", o, h)
			}
			v.FindTimestamp(int64(o)*10, 0)
		}
	})
}

func FuzzParseFileName(f *testing.F) {
	f.Add("00000000000000000042.log")
	f.Fuzz(func(t *testing.T, name string) {
		if base, suffix, ok := ParseFileName(name); ok && FileName(base, suffix) != name {
			t.Errorf("%q is %d %q", name, base, suffix)
		}
	})
}

// The segment is a slice of batches: random appends, truncations, reopenings and searches agree with one.
func TestSegmentAgreesWithASliceOfBatches(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		disk := newDisk(t)
		s, err := Create(disk, dir, 50, now, 0)
		must(t, err)
		var model []batch.Header
		next := kafka.Offset(50)
		for range 400 {
			switch r.IntN(20) {
			case 0:
				o := 50 + kafka.Offset(r.Int64N(int64(next-50)+1))
				if next, err = s.TruncateTo(o, 100); err != nil {
					t.Fatal(err)
				}
				model = slices.DeleteFunc(model, func(h batch.Header) bool { return h.LastOffset() >= o })
			case 1:
				must(t, s.Seal())
				s.Idle()
				s = Existing(disk, dir, 50, s.Size(), 1<<62, now, 0)
				if r.IntN(2) == 0 {
					_, err = s.Tail(100)
				} else {
					_, err = s.Recover(50+kafka.Offset(r.Int64N(int64(next-50)+1)), 100, nil)
				}
				must(t, err)
			default:
				next += kafka.Offset(r.IntN(3) / 2) // sometimes a gap
				b := batch.NewBuilder(batch.BuilderConfig{BaseOffset: next})
				for range 1 + r.IntN(3) {
					b.Append(r.Int64N(1000), nil, make([]byte, r.IntN(100)), nil)
				}
				v := b.Finish()
				must(t, s.Write(v.Batch))
				must(t, s.Added(v.Header, 100))
				model, next = append(model, v.Header), v.Header.NextOffset()
			}
			compareModel(t, seed, r, s, model, next)
		}
	}
}

func compareModel(t *testing.T, seed uint64, r *rand.Rand, s *Segment, model []batch.Header, next kafka.Offset) {
	t.Helper()
	end := kafka.Offset(50)
	if len(model) > 0 {
		end = model[len(model)-1].NextOffset()
	}
	v, err := s.View()
	must(t, err)
	defer v.Release()
	if s.Next() != end {
		t.Fatalf("seed %d: ends at %d, want %d", seed, s.Next(), end)
	}
	o := 50 + kafka.Offset(r.Int64N(int64(next-50)+2))
	i := slices.IndexFunc(model, func(h batch.Header) bool { return h.LastOffset() >= o })
	_, h, ok, err := v.Find(o)
	if err != nil || ok != (i >= 0) || ok && h != model[i] {
		t.Fatalf("seed %d: offset %d: %+v %v %v", seed, o, h, ok, err)
	}
	var largest int64 = kafka.NoTimestamp
	for _, h := range model {
		largest = max(largest, h.MaxTimestamp)
	}
	if got, err := s.RecordTimestamp(); err != nil || got != largest {
		t.Fatalf("seed %d: largest timestamp %d %v, want %d", seed, got, err, largest)
	}
}

package commitlog

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestAppendedBatchesAreReadBackInOrder(t *testing.T) {
	for _, maxBytes := range []int{1, 100, 500, 5000, 1 << 20} {
		l := mustOpen(t, options(newDisk(t)))
		var want []byte
		for i := range 60 {
			v := records(1+i%4, 10+i, int64(i*10))
			a := mustAppend(t, l, v)
			if a.Last-a.First != kafka.Offset(i%4) || a.End != a.Last+1 || a.End != l.End() {
				t.Fatalf("%+v", a)
			}
			want = append(want, v.Batch...) // stamped in place
		}
		if l.SegmentCount() < 5 {
			t.Errorf("only %d segments", l.SegmentCount())
		}
		if got := readAll(t, l, maxBytes); !bytes.Equal(got, want) {
			t.Errorf("maxBytes %d: read %d bytes %v, want %d", maxBytes, len(got), offsetsOf(t, got), len(want))
		}
		must(t, l.Close(start))
	}
}

func TestReopenedLogGoesOnWhereItEnded(t *testing.T) {
	for _, clean := range []bool{true, false} {
		disk := newDisk(t)
		var want []byte
		var end kafka.Offset
		for round := range 12 {
			o := options(disk)
			o.Clean = clean && round > 0
			l := mustOpen(t, o)
			if l.End() != end || !bytes.Equal(readAll(t, l, 333), want) {
				t.Fatalf("clean %v round %d: end %d, want %d", clean, round, l.End(), end)
			}
			for i := range 7 {
				v := records(2, 20*i, int64(round*100+i))
				mustAppend(t, l, v)
				want = append(want, v.Batch...)
			}
			end = l.End()
			if clean {
				must(t, l.Close(start))
			} else {
				l.CloseAbrupt()
			}
		}
	}
}

func TestReadKeepsToItsBounds(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	for i := range 10 {
		mustAppend(t, l, records(3, 10, int64(i))) // offsets 0..29
	}
	must(t, l.AdvanceStart(6))
	f := func(off, limit kafka.Offset, maxBytes int, minOne bool, first, next kafka.Offset) {
		t.Helper()
		p, err := l.Read(off, limit, maxBytes, minOne)
		must(t, err)
		defer p.Release()
		b, err := p.ReadAll(nil)
		must(t, err)
		offs := offsetsOf(t, b)
		if p.First != first || p.Next != next || first >= 0 && (len(offs) == 0 || offs[0] != first) || first < 0 && len(offs) > 0 {
			t.Errorf("Read(%d, %d, %d, %v) = %v first %d next %d, want %d %d", off, limit, maxBytes, minOne, offs, p.First, p.Next, first, next)
		}
	}
	f(7, 30, 1<<20, false, 6, 30)  // the batch that holds the offset
	f(9, 21, 1<<20, false, 9, 21)  // up to the limit
	f(9, 20, 1<<20, false, 9, 18)  // a batch across the limit stays out
	f(9, 9, 1<<20, false, -1, 9)   // at the limit
	f(12, 9, 1<<20, false, -1, 12) // beyond the limit
	f(30, 30, 1<<20, true, -1, 30) // at the end
	f(9, 30, 1, false, -1, 9)
	f(9, 30, 1, true, 9, 12)
	f(9, 99, 1<<20, true, 9, 30)
	for _, off := range []kafka.Offset{-1, 5, 31} {
		_, err := l.Read(off, 30, 100, true)
		wantErr(t, err, kerr.OffsetOutOfRange)
	}
}

func TestSegmentsRollBySizeAgeAndIndex(t *testing.T) {
	f := func(name string, change func(*Config), append func(l *Log), segments int) {
		t.Helper()
		o := options(newDisk(t))
		o.Config.SegmentBytes = 1 << 20
		change(&o.Config)
		l := mustOpen(t, o)
		append(l)
		if l.SegmentCount() != segments {
			t.Errorf("%s: %d segments, want %d", name, l.SegmentCount(), segments)
		}
	}
	size := int64(len(records(1, 10, 0).Batch))
	f("exactly full", func(c *Config) { c.SegmentBytes = 3 * size }, func(l *Log) {
		for range 7 {
			mustAppend(t, l, records(1, 10, 0))
		}
	}, 3)
	f("by timestamps", func(c *Config) { c.SegmentAge = time.Second }, func(l *Log) {
		mustAppend(t, l, records(1, 10, 0))
		mustAppend(t, l, records(1, 10, 1000))
		mustAppend(t, l, records(1, 10, 1001)) // older than the first by more than a second
		mustAppend(t, l, records(1, 10, 500))
	}, 2)
	f("by index", func(c *Config) { c.IndexBytes = 36; c.IndexIntervalBytes = 1 }, func(l *Log) {
		for range 6 {
			mustAppend(t, l, records(1, 10, 0)) // the time index has one entry, the offset index four
		}
	}, 2)
	f("by the clock, without an append", func(c *Config) { c.SegmentAge = time.Second }, func(l *Log) {
		must(t, l.RollIfDue(start.Add(time.Hour)))
		mustAppend(t, l, records(1, 10, 0))
		must(t, l.RollIfDue(start.Add(time.Second)))
		must(t, l.RollIfDue(start.Add(1001*time.Millisecond)))
		must(t, l.RollIfDue(start.Add(time.Hour)))
	}, 2)
}

func TestBatchLargerThanASegmentIsRefused(t *testing.T) {
	l := mustOpen(t, options(newDisk(t)))
	_, err := l.AppendLeader(start, records(1, 5000, 0), 0, OriginClient)
	wantErr(t, err, kerr.RecordListTooLarge)
	if l.End() != 0 || l.Failed() != nil {
		t.Error(l.End(), l.Failed())
	}
}

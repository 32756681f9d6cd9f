package cleaner

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// world is a log of sealed segments that a script wrote, in batches at consecutive offsets.
type world struct {
	t        *testing.T
	fs       *vfs.Mem
	segments []*segment.Segment
	next     kafka.Offset
	aborted  []segment.AbortedTxn
	last     map[kafka.ProducerID]LastOf
	seqs     map[kafka.ProducerID]int32
	first    kafka.Offset // dirty
	clock    time.Time
	mapBytes int64
	rounds   int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, fs: vfs.NewMem(), last: map[kafka.ProducerID]LastOf{}, seqs: map[kafka.ProducerID]int32{}, clock: now, mapBytes: 1 << 20}
	w.must(w.fs.MkdirAll("/log", 0o755))
	w.roll()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) roll() {
	s, err := segment.Create(w.fs, "/log", w.next, now, 0)
	w.must(err)
	w.segments = append(w.segments, s)
}

// put writes a batch of records "key=value", "key" (a tombstone) or "=value" (no key); pid below 0 is no producer.
func (w *world) put(pid kafka.ProducerID, txn bool, records ...string) {
	c := batch.BuilderConfig{Codec: compress.Codec(w.next % 5), BaseOffset: w.next, ProducerID: pid, BaseSequence: w.seqs[pid], ZeroProducer: true, Transactional: txn}
	if pid < 0 {
		c.Epoch, c.BaseSequence = -1, -1
	}
	b := batch.NewBuilder(c)
	for _, r := range records {
		key, value, some := strings.Cut(r, "=")
		var k, v []byte
		if key != "" {
			k = []byte(key)
		}
		if some {
			v = []byte(value)
		}
		b.Append(now.UnixMilli()+int64(w.next), k, v, nil)
	}
	w.seqs[pid] += int32(len(records))
	w.add(b.Finish())
}

func (w *world) end(pid kafka.ProducerID, first kafka.Offset, t batch.ControlType) {
	v := batch.EndTxnMarker(pid, 0, 0, t, now.UnixMilli())
	batch.StampOffset(v.Batch, w.next, 0)
	v.Header.BaseOffset = w.next
	if t == batch.ControlAbort {
		w.aborted = append(w.aborted, segment.AbortedTxn{ProducerID: pid, First: first, Last: w.next, Stable: w.next + 1})
	}
	w.add(v)
}

func (w *world) add(v batch.Validated) {
	s := w.segments[len(w.segments)-1]
	w.must(s.Write(v.Batch))
	w.must(s.Added(v.Header, 0))
	w.next = v.Header.NextOffset()
}

// clean puts one segment in the place of all, and returns the end of the round.
func (w *world) clean() kafka.Offset {
	w.t.Helper()
	end, err := w.try()
	w.must(err)
	w.first = end
	return end
}

func (w *world) try() (kafka.Offset, error) {
	state := State{FirstDirty: w.first, Uncleanable: w.next}
	r := NewRound(w.clock, state, time.Hour, Resources{MapBytes: w.mapBytes, MapLoad: 0.9, Throttle: func(int) error { return nil }}, w.aborted)
	nextOf := func(i int) kafka.Offset {
		if i+1 < len(w.segments) {
			return w.segments[i+1].Base()
		}
		return w.next
	}
	for i, s := range w.segments {
		if nextOf(i) <= w.first {
			continue
		}
		v, err := s.View()
		w.must(err)
		more, err := r.Index(v, nextOf(i))
		v.Release()
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
	}
	w.rounds++
	dir := fmt.Sprint("/log", w.rounds)
	w.must(w.fs.MkdirAll(dir, 0o755))
	out, err := segment.CreateCleaned(w.fs, dir, w.segments[0].Base(), now)
	w.must(err)
	for i, s := range w.segments {
		v, err := s.View()
		w.must(err)
		err = r.Rewrite(out, v, w.last, 0, i+1 == len(w.segments))
		v.Release()
		if err != nil {
			return 0, err
		}
	}
	w.aborted, err = out.Aborted()
	w.must(err)
	w.segments = []*segment.Segment{out}
	return r.End(), nil
}

// String lists the batches: offsets, producer, horizon, and the records.
func (w *world) String() string {
	var all []string
	for _, s := range w.segments {
		v, err := s.View()
		w.must(err)
		w.must(v.Walk(0, func(h batch.Header, whole func() ([]byte, error)) error {
			one, err := whole()
			w.must(err)
			w.must(batch.CheckCRC(one))
			all = append(all, w.describe(h, one))
			return nil
		}))
		v.Release()
	}
	return strings.Join(all, "; ")
}

func (w *world) describe(h batch.Header, one []byte) string {
	s := fmt.Sprint(h.BaseOffset)
	if h.LastOffsetDelta > 0 {
		s += fmt.Sprint("-", h.LastOffset())
	}
	if h.HasProducer() {
		s += fmt.Sprintf(" p%d", h.ProducerID)
	}
	if at, ok := h.DeleteHorizon(); ok {
		s += fmt.Sprintf(" until %v", time.UnixMilli(at).Sub(now))
	}
	for r, err := range batch.Records(one, 1<<20) {
		w.must(err)
		switch {
		case h.Attributes.IsControl():
			kind, err := batch.ControlRecordType(r.Key)
			w.must(err)
			s += [...]string{" abort", " commit"}[kind]
		case r.Value == nil:
			s += fmt.Sprintf(" %s", r.Key)
		default:
			s += fmt.Sprintf(" %s=%s", r.Key, r.Value)
		}
	}
	return s
}

func (w *world) want(what string) {
	w.t.Helper()
	if got := w.String(); got != what {
		w.t.Fatalf("log is\n%s, want\n%s", got, what)
	}
}

func TestTheLastRecordOfEachKeyStaysAtItsOffset(t *testing.T) {
	w := newWorld(t)
	w.put(-1, false, "a=1", "b=1", "a=2")
	w.put(-1, false, "c=1", "=none")
	w.roll()
	w.put(-1, false, "b=2", "d=1")
	w.clean()
	w.want("0-2 a=2; 3-4 c=1; 5-6 b=2 d=1")
	w.roll()
	w.put(-1, false, "c=2")
	w.clean()
	w.want("0-2 a=2; 5-6 b=2 d=1; 7 c=2")
}

func TestTheLastBatchOfTheRoundStaysEmpty(t *testing.T) {
	w := newWorld(t)
	w.put(-1, false, "a=1")
	w.put(-1, false, "=x", "=y")
	w.clean()
	w.want("0 a=1; 1-2")
	w.roll()
	w.put(-1, false, "b=1")
	w.clean()
	w.want("0 a=1; 3 b=1")
}

// Apache Kafka's compaction leaves segments without a batch, and so do offsets that jump far.
func TestSegmentsWithoutBatchesAreJoinedToThoseBefore(t *testing.T) {
	for _, test := range []struct{ records, want string }{{"=none", "100"}, {"a=1", "100 a=1"}, {"", ""}} {
		w := newWorld(t)
		w.segments, w.next = nil, 100
		w.roll()
		if test.records != "" {
			w.put(-1, false, test.records)
		}
		w.next += 5
		w.roll()
		w.next += 5
		w.clean()
		w.want(test.want)
	}
}

func TestATombstoneStaysUntilItsHorizonFromWhenItWasFirstMet(t *testing.T) {
	w := newWorld(t)
	w.put(-1, false, "a=1", "a", "b=1")
	w.put(-1, false, "z=1")
	w.clean()
	w.want("0-2 until 1h0m0s a b=1; 3 z=1")
	w.clock = now.Add(time.Hour - time.Millisecond)
	w.clean()
	w.want("0-2 until 1h0m0s a b=1; 3 z=1")
	w.clock = now.Add(time.Hour)
	w.clean()
	w.want("0-2 until 1h0m0s b=1; 3 z=1")
}

func TestTheLastBatchOfALiveProducerStays(t *testing.T) {
	w := newWorld(t)
	w.put(1, false, "a=1")
	w.put(1, false, "a=2")
	w.put(2, false, "a=3")
	w.put(-1, false, "a=4")
	w.last[1] = LastOf{Offset: 1}
	w.clean()
	w.want("1 p1; 3 a=4")
	delete(w.last, 1)
	w.clean()
	w.want("3 a=4")
}

func TestAbortedRecordsGoAndDoNotReplaceOthers(t *testing.T) {
	w := newWorld(t)
	w.put(1, true, "a=committed")
	w.end(1, 0, batch.ControlCommit)
	w.put(1, true, "a=aborted", "b=aborted")
	w.put(-1, false, "c=1")
	w.end(1, 2, batch.ControlAbort)
	w.put(-1, false, "z=1")
	w.clean()
	w.want("0 p1 a=committed; 1 p1 commit; 4 c=1; 5 p1 abort; 6 z=1")
	if len(w.aborted) != 1 {
		t.Errorf("aborted %v", w.aborted)
	}
	w.clean() // nothing is left of the aborted transaction
	w.want("0 p1 a=committed; 1 p1 commit; 4 c=1; 5 p1 until 1h0m0s abort; 6 z=1")
	if len(w.aborted) != 0 {
		t.Errorf("aborted %v", w.aborted)
	}
	w.clock = now.Add(time.Hour)
	w.clean()
	w.want("0 p1 a=committed; 1 p1 commit; 4 c=1; 6 z=1")
}

// The marker of an aborted transaction lies in what is clean, of which a round learns no keys: that the producer committed later
// is learned all the same. A tombstone that is not learned would leave the value that it deletes, and go before it.
func TestATransactionAbortedInTheCleanPartDoesNotHideALaterCommit(t *testing.T) {
	w := newWorld(t)
	w.put(-1, false, "a=old")
	w.put(1, true, "b=aborted")
	w.end(1, 1, batch.ControlAbort)
	w.put(-1, false, "z=1")
	w.clean()
	w.want("0 a=old; 2 p1 abort; 3 z=1")
	w.roll()
	w.put(1, true, "a")
	w.end(1, 4, batch.ControlCommit)
	w.put(-1, false, "z=2")
	w.clean()
	w.want("2 p1 until 1h0m0s abort; 4 p1 until 1h0m0s a; 5 p1 commit; 6 z=2")
	w.clock = now.Add(2 * time.Hour)
	w.clean()
	w.want("5 p1 commit; 6 z=2")
}

// A producer may have aborted more than once in the clean part.
func TestAnAbortedTransactionThatReachesIntoTheDirtyPartIsNotLearned(t *testing.T) {
	w := newWorld(t)
	w.put(1, true, "b=aborted")
	w.end(1, 0, batch.ControlAbort)
	w.put(-1, false, "a=old")
	w.put(1, true, "b=aborted")
	w.roll()
	w.put(1, true, "a=aborted")
	w.end(1, 3, batch.ControlAbort)
	w.put(1, true, "c=1")
	w.end(1, 6, batch.ControlCommit)
	w.put(-1, false, "c=2")
	w.first = 4
	w.clean()
	w.want("1 p1 abort; 2 a=old; 5 p1 abort; 7 p1 commit; 8 c=2")
}

func TestACommitMarkerStaysAsLongAsARecordOfIts(t *testing.T) {
	w := newWorld(t)
	w.put(1, true, "a=1")
	w.end(1, 0, batch.ControlCommit)
	w.put(-1, false, "z=1")
	w.clean()
	w.want("0 p1 a=1; 1 p1 commit; 2 z=1")
	w.roll()
	w.put(-1, false, "a=2")
	w.clean() // the record goes, and the marker has seen it go
	w.want("1 p1 commit; 2 z=1; 3 a=2")
	w.clean()
	w.want("1 p1 until 1h0m0s commit; 2 z=1; 3 a=2")
	w.clock = now.Add(2 * time.Hour)
	w.clean()
	w.want("2 z=1; 3 a=2")
}

func TestTheMarkerOfALiveProducerStaysForItsEpoch(t *testing.T) {
	w := newWorld(t)
	w.end(1, 0, batch.ControlCommit)
	w.put(-1, false, "z=1")
	w.last[1] = LastOf{Offset: kafka.NoOffset, Epoch: 0}
	w.clean()
	w.clock = now.Add(2 * time.Hour)
	w.clean()
	w.want("0 p1; 1 z=1")
}

func TestAFullMapEndsTheRoundThere(t *testing.T) {
	w := newWorld(t)
	w.mapBytes = 8 * slotBytes // 7 keys
	for i := range 20 {
		w.put(-1, false, fmt.Sprintf("k%d=1", i%10), fmt.Sprintf("k%d=2", i%10))
	}
	rounds := 0
	for w.first < w.next {
		before := w.first
		if w.clean() <= before {
			t.Fatalf("no progress from %d", before)
		}
		rounds++
	}
	if got := strings.Count(w.String(), "="); got != 10 || rounds < 3 {
		t.Errorf("%d records after %d rounds: %v", got, rounds, w)
	}
}

// Every byte of a segment is changed in turn: the round ends with ErrCorrupt, or, where the byte does not matter, leaves the
// records as they were.
func TestADamagedBatchIsNeverCopied(t *testing.T) {
	fill := func() *world {
		w := newWorld(t)
		w.put(-1, false, "a=1", "b=1")
		w.put(1, true, "c=1", "d=1")
		w.end(1, 2, batch.ControlCommit)
		w.put(-1, false, "b=2")
		return w
	}
	w := fill()
	size := w.segments[0].Size()
	w.clean()
	right := w.String()
	found := 0
	for i := range size {
		w := fill()
		f, err := w.fs.OpenFile("/log/"+segment.FileName(0, segment.LogSuffix), 2, 0)
		w.must(err)
		var b [1]byte
		_, err = f.ReadAt(b[:], i)
		w.must(err)
		_, err = f.WriteAt([]byte{b[0] ^ 0x10}, i)
		w.must(err)
		if _, err = w.try(); err == nil {
			if got := w.String(); got != right {
				t.Errorf("byte %d changed: %s, want %s", i, got, right)
			}
			continue
		}
		found++
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	// No checksum covers the epoch of a batch, and after the last one none tells that it is too high.
	if int64(found) < size-4 {
		t.Errorf("%d of %d changes were found", found, size)
	}
}

func TestTheThrottleIsToldOfAllBytesAndMayEndTheRound(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.put(-1, false, fmt.Sprintf("k%d=%0100d", i, i))
	}
	told := 0
	stop := errors.New("stop")
	r := NewRound(now, State{Uncleanable: w.next}, 0, Resources{MapBytes: 1 << 20, MapLoad: 1, Throttle: func(n int) error {
		if told += n; told > 5000 {
			return stop
		}
		return nil
	}}, nil)
	v, err := w.segments[0].View()
	w.must(err)
	defer v.Release()
	if _, err := r.Index(v, w.next); !errors.Is(err, stop) || told < int(w.segments[0].Size())/2 {
		t.Errorf("told of %d bytes of %d: %v", told, w.segments[0].Size(), err)
	}
}

package producers

import (
	"bytes"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

const transactional batch.Attributes = 0x10

// data is the header of a batch of n records at offset off.
func data(pid kafka.ProducerID, epoch kafka.ProducerEpoch, seq, n int32, off kafka.Offset) batch.Header {
	return batch.Header{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: seq, LastOffsetDelta: n - 1, Count: n, BaseOffset: off, MaxTimestamp: int64(off) * 10}
}

func check(t *testing.T, tab *Table, h batch.Header, c Checks, want *kerr.Error) Verdict {
	t.Helper()
	v, err := tab.Check(h, c)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("sequence %d epoch %d: %v, want %v", h.BaseSequence, h.ProducerEpoch, err, want)
	}
	return v
}

func TestUnknownProducerMayBeginWithAnySequence(t *testing.T) {
	var tab Table
	check(t, &tab, data(1, 5, 77, 3, 0), CheckAll, nil)
}

func TestSequencesMustFollow(t *testing.T) {
	var tab Table
	tab.Appended(data(1, 5, 0, 3, 100))
	check(t, &tab, data(1, 5, 3, 1, 0), CheckAll, nil)
	check(t, &tab, data(1, 5, 4, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber)
	check(t, &tab, data(1, 5, 2, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber)
	check(t, &tab, data(1, 5, 0, 2, 0), CheckAll, kerr.OutOfOrderSequenceNumber) // overlaps, but is not the batch
	check(t, &tab, data(1, 5, 4, 1, 0), CheckEpoch, nil)
	check(t, &tab, data(1, 5, 4, 1, 0), CheckNothing, nil)
	check(t, &tab, data(2, 0, 9, 1, 0), CheckAll, nil)
}

func TestSequencesWrapToZero(t *testing.T) {
	var tab Table
	h := data(1, 0, math.MaxInt32-1, 4, 10) // MaxInt32-1, MaxInt32, 0, 1
	tab.Appended(h)
	check(t, &tab, data(1, 0, 2, 1, 0), CheckAll, nil)
	v := check(t, &tab, h, CheckAll, nil)
	if !v.Duplicate || v.Original.FirstOffset() != 10 || v.Original.FirstSequence() != math.MaxInt32-1 || v.Original.LastSequence != 1 {
		t.Errorf("%+v", v)
	}
	tab.Appended(data(1, 0, math.MaxInt32, 1, 20))
	check(t, &tab, data(1, 0, 0, 1, 0), CheckAll, nil)
}

func TestEpochRules(t *testing.T) {
	var tab Table
	tab.Appended(data(1, 5, 0, 3, 100))
	check(t, &tab, data(1, 4, 3, 1, 0), CheckAll, kerr.InvalidProducerEpoch)
	check(t, &tab, data(1, 4, 0, 3, 0), CheckAll, kerr.InvalidProducerEpoch) // not a repetition either
	check(t, &tab, data(1, 4, 3, 1, 0), CheckEpoch, kerr.InvalidProducerEpoch)
	check(t, &tab, data(1, 4, 3, 1, 0), CheckNothing, nil)
	check(t, &tab, data(1, 6, 3, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber)
	check(t, &tab, data(1, 6, 0, 1, 0), CheckAll, nil)
	tab.Appended(data(1, 6, 0, 1, 103))
	check(t, &tab, data(1, 6, 1, 1, 0), CheckAll, nil)
	if v := check(t, &tab, data(1, 5, 0, 3, 0), CheckAll, kerr.InvalidProducerEpoch); v.Duplicate {
		t.Error("batch of an older epoch taken for a repetition")
	}
}

func TestTheLastFiveBatchesAreRecognised(t *testing.T) {
	var tab Table
	for i := range int32(8) {
		tab.Appended(data(1, 0, i*2, 2, kafka.Offset(i)*10))
	}
	for i := range int32(8) {
		v, err := tab.Check(data(1, 0, i*2, 2, 0), CheckAll)
		if i < 3 {
			if !errors.Is(err, kerr.OutOfOrderSequenceNumber) || v.Older {
				t.Errorf("batch %d: %+v %v", i, v, err)
			}
			continue
		}
		if err != nil || !v.Duplicate || v.Original.FirstOffset() != kafka.Offset(i)*10 || v.Original.LastOffset != kafka.Offset(i)*10+1 {
			t.Errorf("batch %d: %+v %v", i, v, err)
		}
	}
}

func TestWindowFromASnapshotIsCompletedFromTheLog(t *testing.T) {
	var whole Table
	for i := range int32(6) {
		whole.Appended(data(1, 0, i, 1, kafka.Offset(i)*10))
	}
	whole.Appended(data(2, 0, 0, 1, 60))
	states, err := DecodeSnapshot(whole.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	var tab Table
	for _, s := range states {
		tab.Load(s)
	}
	v := check(t, &tab, data(1, 0, 3, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber)
	if !v.Older || !tab.Incomplete() {
		t.Fatalf("%+v", v)
	}
	check(t, &tab, data(1, 0, 6, 1, 0), CheckAll, nil)
	tab.Complete(&whole)
	for i := int32(1); i < 6; i++ {
		if v := check(t, &tab, data(1, 0, i, 1, 0), CheckAll, nil); !v.Duplicate || v.Original.LastOffset != kafka.Offset(i)*10 {
			t.Errorf("batch %d: %+v", i, v)
		}
	}
	if v := check(t, &tab, data(1, 0, 0, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber); v.Older || tab.Incomplete() {
		t.Errorf("asks for more after it was completed: %+v", v)
	}
}

func TestCompleteKeepsWhatTheLogDoesNotConfirm(t *testing.T) {
	var tab, other Table
	tab.Load(State{ProducerID: 1, LastSequence: 9, LastOffset: 90, TxnStart: kafka.NoOffset})
	other.Appended(data(1, 0, 3, 1, 30))
	tab.Complete(&other)
	if v := check(t, &tab, data(1, 0, 9, 1, 0), CheckAll, nil); !v.Duplicate {
		t.Error("last batch forgotten")
	}
	check(t, &tab, data(1, 0, 4, 1, 0), CheckAll, kerr.OutOfOrderSequenceNumber)
}

func TestProducersExpireUnlessATransactionIsOpen(t *testing.T) {
	var tab Table
	now := time.UnixMilli(1_000_000)
	old, young, open := data(1, 0, 0, 1, 0), data(2, 0, 0, 1, 1), data(3, 0, 0, 1, 2)
	old.MaxTimestamp, young.MaxTimestamp, open.MaxTimestamp = 1_000_000-1000, 1_000_000-999, 0
	open.Attributes = transactional
	for _, h := range []batch.Header{old, young, open} {
		tab.Appended(h)
	}
	tab.Expire(now, time.Second)
	var ids []kafka.ProducerID
	for _, s := range tab.States() {
		ids = append(ids, s.ProducerID)
	}
	if !slices.Equal(ids, []kafka.ProducerID{2, 3}) {
		t.Errorf("left: %v", ids)
	}
}

func txn(pid kafka.ProducerID, seq int32, off kafka.Offset) batch.Header {
	h := data(pid, 0, seq, 1, off)
	h.Attributes = transactional
	return h
}

func TestTransactionsHoldTheFirstUnstableOffset(t *testing.T) {
	var tab Table
	want := func(o kafka.Offset, ok bool) {
		t.Helper()
		if got, gotOK := tab.FirstUnstable(); got != o || gotOK != ok {
			t.Errorf("first unstable %d %v, want %d %v", got, gotOK, o, ok)
		}
	}
	want(-1, false)
	tab.Appended(txn(1, 0, 10))
	tab.Appended(txn(2, 0, 11))
	tab.Appended(txn(1, 1, 12))
	want(10, true)
	check(t, &tab, data(1, 0, 2, 1, 0), CheckAll, kerr.InvalidTxnState)
	done, stable, ok := tab.AppendedMarker(Marker{ProducerID: 1, CoordinatorEpoch: 3, Abort: true}, 13)
	if !ok || done != (Txn{ProducerID: 1, First: 10, Last: 13, Aborted: true}) || stable != 11 {
		t.Errorf("%+v %d %v", done, stable, ok)
	}
	want(10, true) // the marker is not replicated
	tab.Replicated(13)
	want(10, true)
	tab.Replicated(14)
	want(11, true)
	if _, stable, _ := tab.AppendedMarker(Marker{ProducerID: 2, CoordinatorEpoch: 3}, 14); stable != 15 {
		t.Errorf("stable %d", stable)
	}
	tab.Replicated(15)
	want(-1, false)
	if _, _, ok := tab.AppendedMarker(Marker{ProducerID: 2, CoordinatorEpoch: 3}, 15); ok {
		t.Error("a second marker ended a transaction")
	}
}

// The rules are Kafka's (KIP-890 and KIP-1228): up to transaction.version 1 a marker has the epoch of the transaction's records, from 2 on
// one that was raised for it.
func TestMarkersAreFenced(t *testing.T) {
	const open, ended = true, false
	for _, c := range []struct {
		version          int16
		open             bool
		current, epoch   kafka.ProducerEpoch
		coordinatorEpoch int32
		want             error
	}{
		{0, open, 2, 1, 5, kerr.InvalidProducerEpoch},
		{0, open, 2, 2, 5, nil},
		{0, open, 2, 3, 5, nil},
		{0, ended, 2, 2, 5, nil},
		{1, open, 2, 1, 5, kerr.InvalidProducerEpoch},
		{1, open, 2, 2, 4, kerr.TransactionCoordinatorFenced},
		{1, open, 2, 2, 6, nil},
		{1, ended, 2, 1, 5, kerr.InvalidProducerEpoch},
		{2, open, 2, 1, 5, kerr.InvalidProducerEpoch},
		{2, open, 2, 2, 5, kerr.InvalidProducerEpoch}, // it ended the transaction before
		{2, open, 2, 2, 9, kerr.InvalidProducerEpoch},
		{2, open, 2, 3, 5, nil},
		{2, open, 2, 4, 5, nil},
		{2, open, 2, 3, 4, kerr.TransactionCoordinatorFenced},
		{2, ended, 2, 1, 5, kerr.InvalidProducerEpoch},
		{2, ended, 2, 2, 5, nil}, // repeated
		{2, ended, 2, 2, 4, kerr.TransactionCoordinatorFenced},
		{2, ended, 2, 3, 5, nil}, // of a transaction without records here
		{2, open, math.MaxInt16, math.MaxInt16, 5, nil},
		{3, open, 2, 2, 5, kerr.InvalidProducerEpoch},
	} {
		var tab Table
		tab.AppendedMarker(Marker{ProducerID: 1, Epoch: c.current, CoordinatorEpoch: 5}, 10)
		if c.open {
			h := txn(1, 0, 11)
			h.ProducerEpoch = c.current
			tab.Appended(h)
		}
		m := Marker{ProducerID: 1, Epoch: c.epoch, CoordinatorEpoch: c.coordinatorEpoch}
		if err := tab.CheckMarker(m, c.version); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var tab Table
	if err := tab.CheckMarker(Marker{ProducerID: 9}, 2); err != nil {
		t.Errorf("of a producer that is not known: %v", err)
	}
}

func TestAMarkerThatRaisesTheEpochBeginsTheSequencesAnew(t *testing.T) {
	var tab Table
	tab.Appended(txn(1, 0, 10))
	tab.AppendedMarker(Marker{ProducerID: 1, Epoch: 2, CoordinatorEpoch: 5}, 11)
	check(t, &tab, txn(1, 5, 0), CheckAll, kerr.InvalidProducerEpoch)
	h := txn(1, 5, 0)
	h.ProducerEpoch = 2
	check(t, &tab, h, CheckAll, kerr.OutOfOrderSequenceNumber)
	h.BaseSequence = 0
	check(t, &tab, h, CheckAll, nil)
}

func TestAMarkerWithoutItsRecordKeepsTheEpoch(t *testing.T) {
	var tab Table
	h := data(1, 3, kafka.NoSequence, 0, 10)
	h.MaxTimestamp = 77
	tab.AppendedEmptied(h)
	h.ProducerEpoch = 2
	tab.AppendedEmptied(h)
	want := []State{{ProducerID: 1, Epoch: 3, LastSequence: kafka.NoSequence, LastOffset: kafka.NoOffset, LastTimestamp: 77, CoordinatorEpoch: -1, TxnStart: kafka.NoOffset}}
	if got := tab.States(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestMarkerIsParsed(t *testing.T) {
	v := batch.EndTxnMarker(7, 3, 11, batch.ControlAbort, 99)
	m, ok, err := ParseMarker(v.Header, v.Batch)
	if err != nil || !ok || m != (Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 11, Timestamp: 99, Abort: true}) {
		t.Errorf("%+v %v %v", m, ok, err)
	}
}

func randomTable(r *rand.Rand) *Table {
	tab := &Table{}
	off := kafka.Offset(0)
	for range r.IntN(40) {
		h := data(kafka.ProducerID(r.IntN(6)), kafka.ProducerEpoch(r.IntN(3)), r.Int32N(100), 1+r.Int32N(5), off)
		if h.ProducerID == 5 {
			h.Attributes = transactional
		}
		tab.Appended(h)
		off = h.NextOffset()
		if r.IntN(8) == 0 {
			tab.AppendedMarker(Marker{ProducerID: 5, Epoch: 1, CoordinatorEpoch: 2, Timestamp: 5}, off)
			off++
		}
	}
	return tab
}

func TestSnapshotRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		tab := randomTable(r)
		b := tab.AppendSnapshot(nil)
		states, err := DecodeSnapshot(b)
		if err != nil || !slices.Equal(states, tab.States()) {
			t.Fatalf("%v\n%+v, want\n%+v", err, states, tab.States())
		}
		var again Table
		for _, s := range states {
			again.Load(s)
		}
		if !bytes.Equal(again.AppendSnapshot(nil), b) {
			t.Fatal("a loaded snapshot is written differently")
		}
	}
}

func TestSnapshotTornOrFlippedIsNoticed(t *testing.T) {
	b := randomTable(rand.New(rand.NewPCG(9, 9))).AppendSnapshot(nil)
	for i := range b {
		if _, err := DecodeSnapshot(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", i, len(b), err)
		}
		flipped := bytes.Clone(b)
		flipped[i] ^= 1 << (i % 8)
		if _, err := DecodeSnapshot(flipped); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
}

// The bytes of Kafka's format: version 1, CRC-32C of what follows it, count, and fixed fields.
func TestSnapshotBytes(t *testing.T) {
	var tab Table
	tab.Appended(data(0x0102030405060708, 9, 10, 3, 20))
	body := []byte{0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 22, 0, 0, 0, 2,
		0, 0, 0, 0, 0, 0, 0, 200, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	want := append([]byte{0, 1, byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}, body...)
	if got := tab.AppendSnapshot(nil); !bytes.Equal(got, want) {
		t.Errorf("% x, want\n% x", got, want)
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 5 {
		f.Add(randomTable(r).AppendSnapshot(nil)[6:])
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum is made right, or nothing behind it would ever be reached.
		crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		b := append([]byte{0, 1, byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}, body...)
		states, err := DecodeSnapshot(b)
		if err != nil {
			return
		}
		var tab Table
		for _, s := range states {
			tab.Load(s)
		}
		for _, s := range states {
			tab.Check(data(s.ProducerID, s.Epoch, s.LastSequence, 1, 0), CheckAll)
			tab.Appended(data(s.ProducerID, s.Epoch, s.LastSequence, 1, 0))
		}
		if _, err := DecodeSnapshot(tab.AppendSnapshot(nil)); err != nil {
			t.Fatal(err)
		}
	})
}

// Package producers is what one partition knows of the idempotent and transactional producers that write to it: the
// sequences of their last batches, their epochs and open transactions, and the snapshot file that keeps it. It is pure;
// storage/commitlog owns each Table, guards it with its lock and does the disk work. It starts no goroutine.
package producers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// Window is how many batches of a producer are remembered: as many as a client may have in flight.
const Window = 5

// Batch is what is remembered of one appended batch.
type Batch struct {
	LastSequence int32
	OffsetDelta  int32 // last offset less first offset
	LastOffset   kafka.Offset
	Timestamp    int64 // largest of the batch
}

// FirstOffset is the offset of the batch's first record.
func (b Batch) FirstOffset() kafka.Offset { return b.LastOffset - kafka.Offset(b.OffsetDelta) }

// FirstSequence is the sequence of the batch's first record; sequences wrap from the largest int32 to 0.
func (b Batch) FirstSequence() int32 {
	return int32((int64(b.LastSequence) - int64(b.OffsetDelta)) & math.MaxInt32)
}

// State is what one producer's entry says, as DescribeProducers and the snapshot show it.
type State struct {
	ProducerID       kafka.ProducerID
	Epoch            kafka.ProducerEpoch
	LastSequence     int32        // NoSequence when no batch of the epoch is known
	LastOffset       kafka.Offset // NoOffset likewise
	OffsetDelta      int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnStart         kafka.Offset // first offset of the open transaction, or NoOffset
}

// Checks tells which of a producer's rules hold for a batch.
type Checks int

// A client's batch must be next in its producer's sequence. A coordinator's need only have a current epoch. One that a
// leader or an earlier run of this node already accepted is taken as it is.
const (
	CheckAll Checks = iota
	CheckEpoch
	CheckNothing
)

// Verdict is the answer of Check.
type Verdict struct {
	Duplicate bool
	Original  Batch // the batch appended before, when Duplicate
	// Older says that an error of the sequence may be one of not knowing enough: the producer's window holds less than
	// the log does (see Table.Incomplete).
	Older bool
}

// entry is one producer. Its window is a ring: the newest of count batches is before ring[next].
type entry struct {
	epoch            kafka.ProducerEpoch
	count, next      int8
	incomplete       bool // loaded from a snapshot: batches before the oldest in the ring may be in the log
	coordinatorEpoch int32
	lastTimestamp    int64
	txnStart         kafka.Offset // NoOffset when no transaction is open
	ring             [Window]Batch
}

func (e *entry) last() (Batch, bool) {
	if e.count == 0 {
		return Batch{LastSequence: kafka.NoSequence, LastOffset: kafka.NoOffset}, false
	}
	return e.ring[(e.next+Window-1)%Window], true
}

// at is the i-th batch of the window, oldest first.
func (e *entry) at(i int8) Batch { return e.ring[(e.next-e.count+i+2*Window)%Window] }

func (e *entry) find(first, last int32) (Batch, bool) {
	for i := range e.count {
		if b := e.at(i); b.LastSequence == last && b.FirstSequence() == first {
			return b, true
		}
	}
	return Batch{}, false
}

func (e *entry) add(b Batch) {
	e.ring[e.next] = b
	e.next = (e.next + 1) % Window
	if e.count < Window {
		e.count++
	}
	if e.count == Window {
		e.incomplete = false
	}
}

func (e *entry) setEpoch(epoch kafka.ProducerEpoch) {
	if e.epoch != epoch {
		e.epoch, e.count, e.next, e.incomplete = epoch, 0, 0, false
	}
}

// Table holds the producers of one partition. The zero value is empty and usable. It is not safe for concurrent use.
type Table struct {
	entries   map[kafka.ProducerID]*entry
	txns      txns
	verifying map[producerEpoch]*Verification
}

// Len is the number of producers.
func (t *Table) Len() int { return len(t.entries) }

// Check tells whether the data batch with header h may be appended, and whether it was before. It changes nothing. The
// errors are INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER and INVALID_TXN_STATE. An unknown producer may begin
// with any sequence: its state may have expired, or have been deleted with the records.
func (t *Table) Check(h batch.Header, c Checks) (Verdict, error) {
	e := t.entries[h.ProducerID]
	if e == nil || c == CheckNothing {
		return Verdict{}, nil
	}
	if c == CheckAll && h.ProducerEpoch == e.epoch {
		if b, ok := e.find(h.BaseSequence, h.LastSequence()); ok {
			return Verdict{Duplicate: true, Original: b}, nil
		}
	}
	if h.ProducerEpoch < e.epoch {
		return Verdict{}, e.older(h.ProducerID, h.ProducerEpoch)
	}
	if c == CheckAll {
		if err := e.checkSequence(h); err != nil {
			return Verdict{Older: e.incomplete && h.ProducerEpoch == e.epoch}, err
		}
	}
	if e.txnStart != kafka.NoOffset && !h.Attributes.IsTransactional() {
		return Verdict{}, fmt.Errorf("producer %d wrote outside of its open transaction: %w", h.ProducerID, kerr.InvalidTxnState)
	}
	return Verdict{}, nil
}

func (e *entry) checkSequence(h batch.Header) error {
	want := int32(0)
	if h.ProducerEpoch == e.epoch {
		if last, ok := e.last(); ok {
			want = batch.AddSequence(last.LastSequence, 1)
		}
	}
	if h.BaseSequence == want || e.epoch == kafka.NoProducerEpoch {
		return nil
	}
	return fmt.Errorf("producer %d with epoch %d sent sequence %d, expected %d with epoch %d: %w",
		h.ProducerID, h.ProducerEpoch, h.BaseSequence, want, e.epoch, kerr.OutOfOrderSequenceNumber)
}

// Appended records that the data batch with header h (offsets stamped) is in the log.
func (t *Table) Appended(h batch.Header) {
	e := t.entry(h.ProducerID)
	e.setEpoch(h.ProducerEpoch)
	e.add(Batch{LastSequence: h.LastSequence(), OffsetDelta: h.LastOffsetDelta, LastOffset: h.LastOffset(), Timestamp: h.MaxTimestamp})
	e.lastTimestamp = h.MaxTimestamp
	if h.Attributes.IsTransactional() && e.txnStart == kafka.NoOffset {
		e.txnStart = h.BaseOffset
		t.txns.begin(h.ProducerID, h.BaseOffset)
		t.begun(h.ProducerID, h.ProducerEpoch)
	}
}

func (t *Table) entry(id kafka.ProducerID) *entry {
	e := t.entries[id]
	if e == nil {
		if t.entries == nil {
			t.entries = map[kafka.ProducerID]*entry{}
		}
		e = &entry{epoch: kafka.NoProducerEpoch, coordinatorEpoch: -1, lastTimestamp: kafka.NoTimestamp, txnStart: kafka.NoOffset}
		t.entries[id] = e
	}
	return e
}

// Expire forgets producers without an open transaction whose last batch is at least age older than now, and verifications as old that came
// to nothing.
func (t *Table) Expire(now time.Time, age time.Duration) {
	limit := now.Add(-age)
	for id, e := range t.entries {
		if e.expired(limit.UnixMilli()) {
			delete(t.entries, id)
		}
	}
	t.expireVerifications(limit)
}

func (e *entry) expired(limit int64) bool {
	return e.txnStart == kafka.NoOffset && e.lastTimestamp <= limit
}

// Clear forgets what the log told. What is being verified is not in the log.
func (t *Table) Clear() { *t = Table{verifying: t.verifying} }

// Inherit takes over what another Table, of the same records, has being verified.
func (t *Table) Inherit(from *Table) { t.verifying = maps.Clone(from.verifying) }

// States lists the producers by id.
func (t *Table) States() []State {
	states := make([]State, 0, len(t.entries))
	for id, e := range t.entries {
		last, _ := e.last()
		states = append(states, State{
			ProducerID: id, Epoch: e.epoch, LastSequence: last.LastSequence, LastOffset: last.LastOffset, OffsetDelta: last.OffsetDelta,
			LastTimestamp: e.lastTimestamp, CoordinatorEpoch: e.coordinatorEpoch, TxnStart: e.txnStart,
		})
	}
	slices.SortFunc(states, func(a, b State) int {
		if a.ProducerID < b.ProducerID {
			return -1
		}
		return 1
	})
	return states
}

// Load puts in a producer that a snapshot holds. Its window is incomplete: the snapshot knows the last batch only.
func (t *Table) Load(s State) {
	e := t.entry(s.ProducerID)
	*e = entry{epoch: s.Epoch, coordinatorEpoch: s.CoordinatorEpoch, lastTimestamp: s.LastTimestamp, txnStart: s.TxnStart}
	if s.LastOffset >= 0 {
		e.add(Batch{LastSequence: s.LastSequence, OffsetDelta: s.OffsetDelta, LastOffset: s.LastOffset, Timestamp: s.LastTimestamp})
		e.incomplete = true
	}
	if s.TxnStart != kafka.NoOffset {
		t.txns.begin(s.ProducerID, s.TxnStart)
	}
}

// Incomplete tells whether some producer's window holds fewer batches than the log may.
func (t *Table) Incomplete() bool {
	for _, e := range t.entries {
		if e.incomplete {
			return true
		}
	}
	return false
}

// Complete fills the windows that came from a snapshot with what from, made of the end of the same log, remembers, and
// marks all as complete: what is older than from is not looked for again.
func (t *Table) Complete(from *Table) {
	for id, e := range t.entries {
		if !e.incomplete {
			continue
		}
		e.incomplete = false
		f := from.entries[id]
		if f == nil || f.epoch != e.epoch || f.count < e.count {
			continue
		}
		mine, _ := e.last()
		// A snapshot has the producer's last timestamp in the place of the batch's: a marker may have moved it.
		if theirs, _ := f.last(); theirs.LastOffset == mine.LastOffset && theirs.LastSequence == mine.LastSequence {
			e.ring, e.count, e.next = f.ring, f.count, f.next
		}
	}
}

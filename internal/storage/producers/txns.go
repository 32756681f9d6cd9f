package producers

import (
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// Txn is a transaction of a producer in this partition: open while Last is NoOffset.
type Txn struct {
	ProducerID  kafka.ProducerID
	First, Last kafka.Offset // Last is the marker's offset
	Aborted     bool
}

// txns are the transactions that hold back the last stable offset.
type txns struct {
	open []Txn // Invariant: ordered by First
	done []Txn // ended, but the marker may not be replicated yet
}

func (t *txns) begin(id kafka.ProducerID, first kafka.Offset) {
	i := len(t.open)
	for i > 0 && t.open[i-1].First > first { // records come in order; entries of a snapshot do not
		i--
	}
	t.open = slices.Insert(t.open, i, Txn{ProducerID: id, First: first, Last: kafka.NoOffset})
}

func (t *txns) end(id kafka.ProducerID, first, last kafka.Offset, aborted bool) Txn {
	done := Txn{ProducerID: id, First: first, Last: last, Aborted: aborted}
	t.open = slices.DeleteFunc(t.open, func(x Txn) bool { return x.First == first && x.ProducerID == id })
	t.done = append(t.done, done)
	return done
}

// Marker is a control batch that ends a transaction.
type Marker struct {
	ProducerID       kafka.ProducerID
	Epoch            kafka.ProducerEpoch
	CoordinatorEpoch int32
	Timestamp        int64
	Abort            bool
}

// ParseMarker reads an end-of-transaction marker; ok is false for other control batches.
func ParseMarker(h batch.Header, whole []byte) (m Marker, ok bool, err error) {
	for r, err := range batch.Records(whole, int64(len(whole))) {
		if err != nil {
			return Marker{}, false, err
		}
		kind, err := batch.ControlRecordType(r.Key)
		if err != nil || kind != batch.ControlAbort && kind != batch.ControlCommit {
			return Marker{}, false, err
		}
		end, err := batch.ParseEndTxn(r.Value)
		return Marker{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch, CoordinatorEpoch: end.CoordinatorEpoch,
			Timestamp: r.Timestamp, Abort: kind == batch.ControlAbort}, err == nil, err
	}
	return Marker{}, false, nil // compaction leaves empty control batches
}

// EpochPerTransaction is the first transaction.version whose coordinator raises the producer's epoch for every marker (KIP-890): a marker
// of an earlier transaction is then told by its epoch.
const EpochPerTransaction = 2

// CheckMarker tells whether the marker of a transaction of the given transaction.version may be appended. The errors are
// INVALID_PRODUCER_EPOCH and TRANSACTION_COORDINATOR_FENCED. A marker that is there already, and whose answer was lost, may be appended
// again: it ends nothing.
func (t *Table) CheckMarker(m Marker, txnVersion int16) error {
	e := t.entries[m.ProducerID]
	switch {
	case e == nil:
		return nil
	case m.Epoch < e.epoch:
		return fmt.Errorf("marker of producer %d has epoch %d, older than %d: %w", m.ProducerID, m.Epoch, e.epoch, kerr.InvalidProducerEpoch)
	case txnVersion >= EpochPerTransaction && e.late(m.Epoch):
		return fmt.Errorf("marker of producer %d has epoch %d, that of the transaction that is open: %w", m.ProducerID, m.Epoch,
			kerr.InvalidProducerEpoch)
	case m.CoordinatorEpoch < e.coordinatorEpoch:
		return fmt.Errorf("marker of producer %d has coordinator epoch %d, older than %d: %w", m.ProducerID, m.CoordinatorEpoch,
			e.coordinatorEpoch, kerr.TransactionCoordinatorFenced)
	}
	return nil
}

// late tells whether a marker with the given epoch, raised for it, is that of the transaction before the open one. The largest epoch
// cannot be raised: a transaction that began with it, which none should, is ended with it.
func (e *entry) late(epoch kafka.ProducerEpoch) bool {
	return epoch == e.epoch && e.txnStart != kafka.NoOffset && epoch != math.MaxInt16
}

// AppendedMarker records that the marker is in the log at offset and returns the transaction that it ended, if one was
// open, with the last stable offset that an aborted one gets in the transaction index.
func (t *Table) AppendedMarker(m Marker, offset kafka.Offset) (done Txn, stable kafka.Offset, ok bool) {
	e := t.entry(m.ProducerID)
	if e.txnStart != kafka.NoOffset {
		done = t.txns.end(m.ProducerID, e.txnStart, offset, m.Abort)
		stable, ok = offset+1, true
		if len(t.txns.open) > 0 {
			stable = t.txns.open[0].First
		}
	}
	e.setEpoch(m.Epoch)
	e.coordinatorEpoch, e.lastTimestamp, e.txnStart = m.CoordinatorEpoch, m.Timestamp, kafka.NoOffset
	t.ended(m.ProducerID, m.Epoch)
	return done, stable, ok
}

// AppendedEmptied records a control batch that compaction left without its record. It stays for the producer's epoch, which no other
// batch may tell.
func (t *Table) AppendedEmptied(h batch.Header) {
	if e := t.entry(h.ProducerID); h.ProducerEpoch > e.epoch {
		e.setEpoch(h.ProducerEpoch)
		e.lastTimestamp = h.MaxTimestamp
	}
}

// FirstUnstable is the first offset of the oldest transaction that is open, or ended by a marker not yet below the high
// watermark (see Replicated).
func (t *Table) FirstUnstable() (kafka.Offset, bool) {
	first, ok := kafka.NoOffset, false
	if len(t.txns.open) > 0 {
		first, ok = t.txns.open[0].First, true
	}
	for _, d := range t.txns.done {
		if !ok || d.First < first {
			first, ok = d.First, true
		}
	}
	return first, ok
}

// LastWritten is the timestamp, in milliseconds, of what the producer of the oldest open transaction wrote last; ok is false when none is
// open.
func (t *Table) LastWritten() (millis int64, ok bool) {
	if len(t.txns.open) == 0 {
		return kafka.NoTimestamp, false
	}
	return t.entries[t.txns.open[0].ProducerID].lastTimestamp, true
}

// Replicated forgets the ended transactions whose markers are below the high watermark.
func (t *Table) Replicated(hw kafka.Offset) {
	if len(t.txns.done) > 0 {
		t.txns.done = slices.DeleteFunc(t.txns.done, func(d Txn) bool { return d.Last < hw })
	}
}

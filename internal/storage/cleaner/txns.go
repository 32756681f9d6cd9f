package cleaner

import (
	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// txns follows the transactions of a log while compaction goes through its batches in order: which of them were aborted,
// and whether something of them is still there.
type txns struct {
	aborted []segment.AbortedTxn // ordered by First; those that were not come to yet
	// open are the aborted transactions that a marker is expected of, with whether a batch of them was met.
	open      map[kafka.ProducerID]*abortedTxn
	committed map[kafka.ProducerID]bool // producers with batches of a transaction that was not aborted
}

type abortedTxn struct {
	segment.AbortedTxn
	met bool
}

func newTxns(aborted []segment.AbortedTxn) *txns {
	return &txns{aborted: aborted, open: map[kafka.ProducerID]*abortedTxn{}, committed: map[kafka.ProducerID]bool{}}
}

// endingFrom are those whose markers lie at or beyond o: one that goes through the log from there on meets no other's end, and
// would take what their producers commit next for a part of them.
func endingFrom(o kafka.Offset, aborted []segment.AbortedTxn) (later []segment.AbortedTxn) {
	for _, a := range aborted {
		if a.Last >= o {
			later = append(later, a)
		}
	}
	return later
}

func (t *txns) reach(last kafka.Offset) {
	for len(t.aborted) > 0 && t.aborted[0].First <= last {
		a := t.aborted[0]
		t.aborted = t.aborted[1:]
		if t.open[a.ProducerID] == nil {
			t.open[a.ProducerID] = &abortedTxn{AbortedTxn: a}
		}
	}
}

// data tells whether the batch, which is not a control batch, was aborted.
func (t *txns) data(h batch.Header) (aborted bool) {
	t.reach(h.LastOffset())
	if !h.Attributes.IsTransactional() {
		return false
	}
	if a := t.open[h.ProducerID]; a != nil {
		a.met = true
		return true
	}
	t.committed[h.ProducerID] = true
	return false
}

// control tells whether the control batch, whose record's key this is (nil without a record), has nothing left to speak of.
// An abort marker that has comes with its entry of the transaction index.
func (t *txns) control(h batch.Header, key []byte) (idle bool, entry *segment.AbortedTxn, err error) {
	t.reach(h.LastOffset())
	if key == nil {
		return true, nil, nil // emptied by an earlier round
	}
	kind, err := batch.ControlRecordType(key)
	if err != nil {
		return false, nil, err
	}
	switch kind {
	case batch.ControlAbort:
		a := t.open[h.ProducerID]
		delete(t.open, h.ProducerID)
		if a != nil && a.met {
			return false, &a.AbortedTxn, nil
		}
		return true, nil, nil
	case batch.ControlCommit:
		met := t.committed[h.ProducerID]
		delete(t.committed, h.ProducerID)
		return !met, nil, nil
	}
	return false, nil, nil
}

package producers

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// A producer's first batch of a transaction in a partition may be appended only when the transaction coordinator knows that the
// partition takes part (KIP-890): only then will a marker come, and without one the last stable offset would stay for ever. The
// coordinator is asked without any lock, so its answer may be late: a marker may have ended the transaction meanwhile. Hence a
// Verification, which is begun before the coordinator is asked, is taken away by the marker, and is what the append asks for.

// Verification is that of one epoch of a producer in one partition. It belongs to its Table.
type Verification struct {
	key    producerEpoch
	raises bool      // the coordinator raises the producer's epoch for every marker: see EpochPerTransaction
	lowest int32     // sequence of those that waited: one above it must not overtake it
	since  time.Time // it was begun
	passed bool      // the coordinator knows the partition
}

type producerEpoch struct {
	id    kafka.ProducerID
	epoch kafka.ProducerEpoch
}

// BeginVerification returns what the coordinator has to be asked about, or nil where it need not be: the producer has a transaction
// open, or what others asked about it has been answered. raises is for clients that have their epoch raised by every marker. The error
// is INVALID_PRODUCER_EPOCH.
func (t *Table) BeginVerification(now time.Time, id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32, raises bool) (*Verification, error) {
	e := t.entries[id]
	if e != nil && epoch < e.epoch {
		return nil, e.older(id, epoch)
	}
	if e.inTransaction(epoch) {
		return nil, nil
	}
	key := producerEpoch{id, epoch}
	v := t.verifying[key]
	if v == nil {
		if t.verifying == nil {
			t.verifying = map[producerEpoch]*Verification{}
		}
		v = &Verification{key: key, raises: raises, lowest: sequence, since: now}
		t.verifying[key] = v
	}
	v.lowest = min(v.lowest, sequence)
	if v.passed {
		return nil, nil
	}
	return v, nil
}

// Verified says that the coordinator knows the partition. It comes to nothing when a marker has been appended since v was begun.
func (t *Table) Verified(v *Verification) { v.passed = true }

// Unverified says that the coordinator does not, and that asking again would not help.
func (t *Table) Unverified(v *Verification) {
	if t.verifying[v.key] == v {
		delete(t.verifying, v.key)
	}
}

// CheckVerified tells whether the transactional batch with header h is part of a transaction that is open here or was verified. The
// errors are INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, and for a client's batch OUT_OF_ORDER_SEQUENCE_NUMBER.
func (t *Table) CheckVerified(h batch.Header, c Checks) error {
	e := t.entries[h.ProducerID]
	if e.inTransaction(h.ProducerEpoch) {
		return nil
	}
	if e != nil && h.ProducerEpoch < e.epoch {
		return e.older(h.ProducerID, h.ProducerEpoch)
	}
	v := t.verifying[producerEpoch{h.ProducerID, h.ProducerEpoch}]
	switch {
	case v == nil || !v.passed:
		return fmt.Errorf("producer %d with epoch %d has no open transaction here: %w", h.ProducerID, h.ProducerEpoch, kerr.InvalidTxnState)
	case c != CheckAll:
		return nil
	case h.BaseSequence > v.lowest:
		return fmt.Errorf("producer %d with epoch %d sent sequence %d, and %d before it, which is to come again: %w",
			h.ProducerID, h.ProducerEpoch, h.BaseSequence, v.lowest, kerr.OutOfOrderSequenceNumber)
	case v.raises && e == nil && h.BaseSequence != 0:
		return fmt.Errorf("producer %d, which is not known here, begins with sequence %d, not 0: %w", h.ProducerID, h.BaseSequence,
			kerr.OutOfOrderSequenceNumber)
	}
	return nil
}

// begun takes the verification away: the transaction that it was for is open now.
func (t *Table) begun(id kafka.ProducerID, epoch kafka.ProducerEpoch) {
	delete(t.verifying, producerEpoch{id, epoch})
}

// ended takes away what a marker with the given epoch makes stale. Where it has the epoch that it raised the producer to, the next
// transaction, which has that epoch, may be waiting to begin already. Those of the epoch before are refused by their epoch from now on.
func (t *Table) ended(id kafka.ProducerID, epoch kafka.ProducerEpoch) {
	if len(t.verifying) == 0 {
		return
	}
	delete(t.verifying, producerEpoch{id, epoch - 1})
	key := producerEpoch{id, epoch}
	if v := t.verifying[key]; v != nil && !v.raises {
		delete(t.verifying, key)
	}
}

// expireVerifications forgets those that came to nothing.
func (t *Table) expireVerifications(limit time.Time) {
	for key, v := range t.verifying {
		if !v.since.After(limit) {
			delete(t.verifying, key)
		}
	}
}

func (e *entry) inTransaction(epoch kafka.ProducerEpoch) bool {
	return e != nil && e.txnStart != kafka.NoOffset && e.epoch == epoch
}

func (e *entry) older(id kafka.ProducerID, epoch kafka.ProducerEpoch) error {
	return fmt.Errorf("producer %d has epoch %d, older than %d: %w", id, epoch, e.epoch, kerr.InvalidProducerEpoch)
}

package producers

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// verifying is a partition whose transactions are verified.
type verifying struct {
	t *testing.T
	Table
	end kafka.Offset
	now time.Time
}

func newVerifying(t *testing.T) *verifying { return &verifying{t: t, now: time.UnixMilli(1_000_000)} }

func inTransaction(epoch kafka.ProducerEpoch, seq int32) batch.Header {
	h := batch.Header{ProducerID: 7, ProducerEpoch: epoch, BaseSequence: seq, Count: 1}
	h.Attributes = transactional
	return h
}

func (w *verifying) append(epoch kafka.ProducerEpoch, seq int32, c Checks) error {
	h := inTransaction(epoch, seq)
	h.BaseOffset = w.end
	h.MaxTimestamp = w.now.UnixMilli()
	if err := w.CheckVerified(h, c); err != nil {
		return err
	}
	if _, err := w.Check(h, c); err != nil {
		return err
	}
	w.Appended(h)
	w.end++
	return nil
}

func (w *verifying) begin(epoch kafka.ProducerEpoch, seq int32, raises bool) *Verification {
	w.t.Helper()
	v, err := w.BeginVerification(w.now, 7, epoch, seq, raises)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *verifying) mark(epoch kafka.ProducerEpoch) {
	w.AppendedMarker(Marker{ProducerID: 7, Epoch: epoch, Timestamp: w.now.UnixMilli(), Abort: true}, w.end)
	w.end++
}

func (w *verifying) want(err error, is *kerr.Error) {
	w.t.Helper()
	if is == nil && err != nil || is != nil && !errors.Is(err, is) {
		w.t.Errorf("%v, want %v", err, is)
	}
}

func TestNothingOfATransactionIsTakenUnverified(t *testing.T) {
	w := newVerifying(t)
	w.want(w.append(0, 0, CheckAll), kerr.InvalidTxnState)
	v := w.begin(0, 0, false)
	w.want(w.append(0, 0, CheckAll), kerr.InvalidTxnState)
	w.Verified(v)
	w.want(w.append(0, 0, CheckAll), nil)
	if again := w.begin(0, 1, false); again != nil {
		t.Error("a transaction that is open is to be verified")
	}
	w.want(w.append(0, 1, CheckAll), nil)
	w.mark(0)
	w.want(w.append(0, 2, CheckAll), kerr.InvalidTxnState)
	w.Verified(w.begin(0, 2, false))
	w.want(w.append(0, 2, CheckAll), nil)
}

// The answer is for what was asked: a marker that came between makes it worthless, even when the next transaction is being verified.
func TestAMarkerTakesTheVerificationAway(t *testing.T) {
	w := newVerifying(t)
	v := w.begin(3, 0, false)
	w.mark(3)
	w.Verified(v)
	w.want(w.append(3, 0, CheckAll), kerr.InvalidTxnState)
	next := w.begin(3, 0, false)
	w.Verified(v)
	w.want(w.append(3, 0, CheckAll), kerr.InvalidTxnState)
	w.Verified(next)
	w.want(w.append(3, 0, CheckAll), nil)

	w = newVerifying(t)
	w.Verified(w.begin(3, 0, false))
	w.mark(4) // the coordinator gave the transaction up
	w.want(w.append(3, 0, CheckAll), kerr.InvalidProducerEpoch)
	if len(w.verifying) != 0 {
		t.Errorf("%d verifications are left", len(w.verifying))
	}
}

// A marker has the epoch that the producer goes on with: its next transaction may be waiting already.
func TestAMarkerLeavesTheNextTransactionOfTheRaisedEpoch(t *testing.T) {
	w := newVerifying(t)
	w.Verified(w.begin(3, 0, true))
	w.want(w.append(3, 0, CheckAll), nil)
	next := w.begin(4, 0, true)
	w.mark(4)
	w.Verified(next)
	w.want(w.append(4, 0, CheckAll), nil)

	w = newVerifying(t)
	stale := w.begin(3, 0, true)
	w.mark(4)
	w.Verified(stale)
	w.want(w.append(3, 0, CheckAll), kerr.InvalidProducerEpoch)
	if _, err := w.BeginVerification(w.now, 7, 3, 0, true); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Error(err)
	}
}

// What could not be verified comes again, and nothing may overtake it.
func TestABatchThatWasNotVerifiedIsNotOvertaken(t *testing.T) {
	w := newVerifying(t)
	w.begin(0, 5, false)
	v := w.begin(0, 6, false)
	w.Verified(v)
	w.want(w.append(0, 6, CheckAll), kerr.OutOfOrderSequenceNumber)
	w.want(w.append(0, 5, CheckAll), nil)
	w.want(w.append(0, 6, CheckAll), nil)

	w = newVerifying(t)
	w.Verified(w.begin(0, 3, true))
	w.want(w.append(0, 3, CheckAll), kerr.OutOfOrderSequenceNumber) // who raises epochs begins each with 0
}

func TestACoordinatorsOffsetsAreVerified(t *testing.T) {
	w := newVerifying(t)
	w.want(w.append(0, kafka.NoSequence, CheckEpoch), kerr.InvalidTxnState)
	w.Verified(w.begin(0, kafka.NoSequence, true))
	w.want(w.append(0, kafka.NoSequence, CheckEpoch), nil)
	w.want(w.append(0, kafka.NoSequence, CheckEpoch), nil)
}

// What is refused, or comes to nothing, is forgotten; what the log tells has nothing to do with it.
func TestVerificationsAreForgotten(t *testing.T) {
	w := newVerifying(t)
	v := w.begin(0, 0, false)
	w.Clear()
	w.Verified(v)
	var moved Table
	moved.Inherit(&w.Table)
	if err := moved.CheckVerified(inTransaction(0, 0), CheckAll); err != nil {
		t.Error(err)
	}
	w.Unverified(v)
	w.want(w.append(0, 0, CheckAll), kerr.InvalidTxnState)

	w.begin(0, 0, false)
	w.now = w.now.Add(time.Hour)
	later := w.begin(1, 0, false)
	w.Expire(w.now, time.Hour)
	if len(w.verifying) != 1 || w.begin(1, 0, false) != later {
		t.Errorf("%d verifications are left", len(w.verifying))
	}
}

package partition

import (
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/producers"
)

// Verification is of a transaction of which this partition is to become a part; see producers.Verification.
type Verification = producers.Verification

// BeginVerification begins to make sure that the transaction coordinator knows of a producer's transaction here, whose first batch waits with
// the given sequence. Nil means that there is nothing to ask: it is open here, or need not be verified. raises is for clients that have
// their epoch raised by every marker: for them asking is telling, so that it is not left out.
func (p *Partition) BeginVerification(now time.Time, id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32, raises bool) (v *Verification, err error) {
	if !raises && !p.settings.Load().log.VerifyTransactions {
		return nil, nil
	}
	err = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		v, err = log.BeginVerification(now, id, epoch, sequence, raises)
		return err
	})
	return v, err
}

// Verified says that the transaction coordinator knows.
func (p *Partition) Verified(v *Verification) error {
	return p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		log.Verified(v)
		return nil
	})
}

// Unverified says that the transaction coordinator does not, and that asking again would not help. Where this node does not lead any
// more there is nothing to take back.
func (p *Partition) Unverified(v *Verification) {
	_ = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		log.Unverified(v)
		return nil
	})
}

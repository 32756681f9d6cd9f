package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/verify"
)

// Verifier asks transaction coordinators about partitions: verify.Verifier is the one implementation.
type Verifier interface {
	Ask(ctx context.Context, q verify.Question) []error
}

// txnRules are what a client of transactions expects, by the version of its request.
type txnRules struct {
	adds     bool // its write makes the partition part of the transaction (KIP-890); its epoch is raised by every marker
	abortion bool // it knows TRANSACTION_ABORTABLE
}

func produceRules(version int16) txnRules {
	return txnRules{adds: version >= 12, abortion: version >= 11}
}

func txnCommitRules(version int16) txnRules {
	return txnRules{adds: version >= 5, abortion: version >= 4}
}

// unverified are partitions that a transaction is to write to, and of which its coordinator has to be asked.
type unverified struct {
	verify.Question
	parts []*partition.Partition // as Partitions
	of    []*partition.Verification
	known map[*partition.Verification]bool
}

// add begins the verification of one partition, unless there is nothing to ask.
func (u *unverified) add(now time.Time, part *partition.Partition, sequence int32) error {
	v, err := part.BeginVerification(now, u.Producer, u.Epoch, sequence, u.Add)
	if err != nil || v == nil || u.known[v] {
		return err
	}
	if u.known == nil {
		u.known = map[*partition.Verification]bool{}
	}
	u.known[v] = true
	u.Partitions, u.parts, u.of = append(u.Partitions, part.Name()), append(u.parts, part), append(u.of, v)
	return nil
}

// ask waits for the coordinator's answer, has the partitions know it, and returns why those that may not be written to may not. Nobody is asked
// for what is open already.
func (u *unverified) ask(ctx context.Context, from Verifier, rules txnRules) map[kafka.TopicPartition]error {
	if len(u.of) == 0 {
		return nil
	}
	refused := map[kafka.TopicPartition]error{}
	for i, err := range from.Ask(ctx, u.Question) {
		switch {
		case err == nil:
			err = u.parts[i].Verified(u.of[i])
		case definite(err):
			u.parts[i].Unverified(u.of[i])
		}
		if errors.Is(err, kerr.TransactionAbortable) && !rules.abortion {
			err = kerr.InvalidTxnState
		}
		if err != nil {
			refused[u.Partitions[i]] = err
		}
	}
	return refused
}

// definite tells whether a coordinator's error says that the partition is not in the transaction. After others the batch comes again, and
// none after it must overtake it.
func definite(err error) bool {
	for _, is := range []*kerr.Error{kerr.InvalidTxnState, kerr.TransactionAbortable, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// transaction is what a Produce request writes in a transaction, all of it by one producer.
func (s *Server) transaction(req *kmsg.ProduceRequest) (*unverified, error) {
	var u *unverified
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			records := req.Topics[i].Partitions[j].Records
			if !batch.SeemsTransactional(records) {
				continue
			}
			if req.TransactionID == nil {
				return nil, fmt.Errorf("records of a transaction in a request without transactional id: %w", kerr.TransactionalIDAuthorizationFailed)
			}
			h, err := batch.ParseHeader(records)
			switch {
			case err != nil || !h.HasProducer(): // refused where it would be appended, or in no transaction
			case u == nil:
				u = &unverified{Question: verify.Question{TransactionalID: *req.TransactionID, Producer: h.ProducerID, Epoch: h.ProducerEpoch}}
			case u.Producer != h.ProducerID || u.Epoch != h.ProducerEpoch:
				return nil, fmt.Errorf("records of a transaction are of more than one producer: %w", kerr.InvalidProducerIDMapping)
			}
		}
	}
	return u, nil
}

// verify has the coordinator asked about all partitions that the request begins a transaction in, and returns why it may not write to some.
// Requests behind this one on the connection wait as long, so that batches stay in order.
func (p *produced) verify(ctx context.Context, req *kmsg.ProduceRequest) (map[kafka.TopicPartition]error, error) {
	u, err := p.s.transaction(req)
	if err != nil || u == nil {
		return nil, err
	}
	rules := produceRules(p.version)
	u.Add = rules.adds
	refused := map[kafka.TopicPartition]error{}
	now := time.Now()
	for i := range req.Topics {
		name, err := p.topicName(&req.Topics[i])
		for j := 0; j < len(req.Topics[i].Partitions) && err == nil; j++ { // what is not there is told so where it would be appended
			part := &req.Topics[i].Partitions[j]
			tp := kafka.TopicPartition{Topic: name, Partition: part.Partition}
			if err := p.begin(now, u, tp, part.Records); err != nil {
				refused[tp] = err
			}
		}
	}
	for tp, err := range u.ask(ctx, p.s.Verify, rules) {
		refused[tp] = producersError(err, rules)
	}
	return refused, nil
}

// begin begins the verification of one partition.
func (p *produced) begin(now time.Time, u *unverified, tp kafka.TopicPartition, records []byte) error {
	if !batch.SeemsTransactional(records) {
		return nil
	}
	h, err := batch.ParseHeader(records)
	if err != nil || !h.HasProducer() {
		return nil
	}
	part, err := p.s.hosted(tp)
	if err != nil {
		return err
	}
	return u.add(now, part, h.BaseSequence)
}

// producersError is a coordinator's error as producers know it: those that they repeat a batch after.
func producersError(err error, rules txnRules) error {
	if errors.Is(err, kerr.InvalidTxnState) {
		return fmt.Errorf("the partition is not in the transaction: %w", kerr.InvalidTxnState)
	}
	trouble := []*kerr.Error{kerr.NetworkException, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator}
	if !rules.adds {
		trouble = append(trouble, kerr.ConcurrentTransactions)
	}
	for _, is := range trouble {
		if errors.Is(err, is) {
			return fmt.Errorf("whether the partition is in the transaction is not known: %s: %w", is.Message, kerr.NotEnoughReplicas)
		}
	}
	return err
}

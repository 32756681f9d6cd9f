package txn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// State is where a transactional id is, by its number in the log.
type State int8

// The states.
const (
	Empty State = iota // no transaction since the producer was initialised
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead              // its id has expired; never in the log
	PrepareEpochFence // a producer is being fenced; never in the log
)

var stateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

func (s State) String() string { return stateNames[s] }

func stateOf(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// idle tells that no transaction is open or ends.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }

// exhausted is the last epoch that a producer id is given to clients with: the one above it is for markers.
const exhausted kafka.ProducerEpoch = math.MaxInt16 - 1

// transaction is a transactional id and its newest transaction. It is replaced, never changed.
type transaction struct {
	producer kafka.ProducerID
	epoch    kafka.ProducerEpoch
	// previous is the producer id before this one, next the one that the end of the transaction brings; NoProducerID for none.
	previous, next kafka.ProducerID
	timeout        int32 // milliseconds
	state          State
	partitions     []kafka.TopicPartition // sorted
	updated        int64                  // milliseconds since 1970
	started        int64                  // of the transaction that is open, or was last; -1 for none
	version        int16                  // of transactions, as the client that ended or begins this one speaks them
}

// brings tells whether a producer id is the one that the end of the transaction brings: its client has it already, and can do nothing
// with it before the markers are written.
func (x transaction) brings(id kafka.ProducerID) bool {
	return x.state.prepared() && x.next != kafka.NoProducerID && x.next == id
}

func (x transaction) is(id kafka.ProducerID, epoch kafka.ProducerEpoch) bool {
	return x.producer == id && x.epoch == epoch
}

// ComparePartitions orders partitions by topic and number, as transactions have them.
func ComparePartitions(a, b kafka.TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// with is the partitions with more of them.
func with(have, more []kafka.TopicPartition) []kafka.TopicPartition {
	all := slices.Concat(have, more)
	slices.SortFunc(all, ComparePartitions)
	return slices.Compact(all)
}

func has(have []kafka.TopicPartition, tp kafka.TopicPartition) bool {
	_, ok := slices.BinarySearchFunc(have, tp, ComparePartitions)
	return ok
}

func keyOf(id string) []byte {
	k := kmsg.NewTxnMetadataKey()
	k.TransactionalID = id
	return k.AppendTo(nil)
}

// valueVersion is the version of records from transaction.version 1 on.
const valueVersion = 1

func (x transaction) value() []byte {
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersion
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis = int64(x.producer), int16(x.epoch), x.timeout
	v.State = kmsg.TransactionState(x.state)
	v.LastUpdateTimestamp, v.StartTimestamp = x.updated, x.started
	v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = int64(x.previous), int64(x.next), x.version
	if x.state != Empty {
		v.Topics = []kmsg.TxnMetadataValueTopic{}
	}
	for _, tp := range x.partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != tp.Topic {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: tp.Topic})
		}
		last := &v.Topics[len(v.Topics)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return v.AppendTo(nil)
}

func readValue(b []byte) (transaction, error) {
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(b); err != nil {
		return transaction{}, fmt.Errorf("transaction of %d bytes: %w", len(b), err)
	}
	if v.Version > valueVersion {
		return transaction{}, fmt.Errorf("transaction in version %d of the record, which this release does not know", v.Version)
	}
	if v.State < kmsg.TransactionState(Empty) || v.State > kmsg.TransactionState(CompleteAbort) {
		return transaction{}, fmt.Errorf("transaction in state %d, which is none that is kept", v.State)
	}
	x := transaction{
		producer: kafka.ProducerID(v.ProducerID), epoch: kafka.ProducerEpoch(v.ProducerEpoch), timeout: v.TimeoutMillis,
		previous: kafka.NoProducerID, next: kafka.NoProducerID,
		state: State(v.State), updated: v.LastUpdateTimestamp, started: v.StartTimestamp,
	}
	if v.Version > 0 {
		x.previous, x.next, x.version = kafka.ProducerID(v.PreviousProducerID), kafka.ProducerID(v.NextProducerID), v.ClientTransactionVersion
	}
	for _, t := range v.Topics {
		for _, p := range t.Partitions {
			x.partitions = append(x.partitions, kafka.TopicPartition{Topic: strings.Clone(t.Topic), Partition: p})
		}
	}
	x.partitions = with(nil, x.partitions)
	return x, nil
}

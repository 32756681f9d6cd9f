// Package txn is the transaction coordinator as a pure machine: one Shard holds the transactional ids of one partition of
// __transaction_state. node/coord runs it on that partition's log. It decides which transaction of an id is open and how it ends; the
// markers that tell the partitions are a task for those around it.
//
// A transaction is Ongoing from its first partition on. Its end is decided when PrepareCommit or PrepareAbort is committed to the log:
// from then on nothing can change it, markers are sent until every partition has one, after a crash again, and CompleteCommit or
// CompleteAbort says that they are there.
//
// What keeps a late request away from a later transaction is the producer's epoch. A client of transactions v2 (KIP-890: EndTxn 5) gets
// a new one with every end, so an EndTxn that was delayed on its way names an epoch that is over: it is told how its own transaction
// ended (if that was the last one) or PRODUCER_FENCED, and never ends another. A client of v1 keeps its epoch from one transaction to the
// next: its late EndTxn cannot be told from one for the transaction that is open now, by any server. All that can be done for those is to
// refuse what makes no sense in the state there is, as Apache Kafka does.
package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/machine"
)

// Config is what a Shard goes by. Every field is required.
type Config struct {
	Epoch      kafka.LeaderEpoch // of the partition's leadership: the coordinator epoch of markers
	MaxTimeout time.Duration     // transaction.max.timeout.ms
	Expiration time.Duration     // transactional.id.expiration.ms
	Sweep      time.Duration     // transaction.remove.expired.transaction.cleanup.interval.ms
	// GroupPartition is the partition of __consumer_offsets that holds a group.
	GroupPartition func(group string) int32
}

// Shard is the machine. Durable state changes only by Apply, Commit and Revert.
type Shard struct {
	cfg     Config
	history *timeline.History
	saved   *timeline.Map[string, transaction]

	// lastEpochs are the epochs before those of now, by id, of ids whose producer has asked for a new one and said which it had: they
	// tell that request, come again, from a producer that was fenced. They are not in the log, but go back with what is: noted has
	// what the records of the Step under way bring.
	lastEpochs *timeline.Map[string, kafka.ProducerEpoch]
	noted      map[string]kafka.ProducerEpoch
	ids        map[uint64]needsID // requests that wait for a producer id, by the number of their task
	lastTask   uint64
	writes     map[uint64]string // the ids whose end, or its completion, the records of a Step are, by Output.Write
	lastWrite  uint64
	sweeping   bool
}

// New makes an empty Shard.
func New(cfg Config) *Shard {
	h := &timeline.History{}
	return &Shard{
		cfg: cfg, history: h, saved: timeline.NewMap[string, transaction](h),
		lastEpochs: timeline.NewMap[string, kafka.ProducerEpoch](h), noted: map[string]kafka.ProducerEpoch{}, ids: map[uint64]needsID{}, writes: map[uint64]string{},
	}
}

// The kinds of timers. Their Of is the transactional id, but for SweepTimer, which has none.
const (
	TimeoutTimer machine.TimerKind = iota // the end of a transaction's time
	RetryTimer                            // a look whether an end that was not committed in time is by now, or its completion to be tried again
	SweepTimer                            // the next look for ids that expired
)

// NewProducerID is a task: a producer id that nobody has, or why there is none, comes back as a GotProducerID of the same Number.
type NewProducerID struct{ Number uint64 }

// GotProducerID is an event.
type GotProducerID struct {
	Number uint64
	ID     kafka.ProducerID
	Err    error // of the protocol
}

// WriteMarkers is a task: every partition is to have a marker, however long that takes. MarkersWritten comes back when all have one, or
// are gone. The same task may be asked for again.
type WriteMarkers struct {
	Marker
	Partitions []kafka.TopicPartition // sorted
}

// Marker is the end of a transaction of a transactional id.
type Marker struct {
	TransactionalID string
	Producer        kafka.ProducerID
	Epoch           kafka.ProducerEpoch // that the marker has: of transactions v2 one above that of the records
	Commit          bool
	Coordinator     kafka.LeaderEpoch
	Version         int16 // of the client's transactions: 2, or less
	Began           int64 // the transaction's first millisecond since 1970
}

// MarkersWritten is an event.
type MarkersWritten struct{ Marker }

// Step implements machine.Machine. It answers InitProducerId with a transactional id, AddPartitionsToTxn (from version 4 on of one
// transaction), AddOffsetsToTxn, EndTxn, ListTransactions and DescribeTransactions (of one id or more) requests, and takes
// GotProducerID and MarkersWritten.
func (s *Shard) Step(now time.Time, ev machine.Event) machine.Output {
	t := &turn{s: s, now: now}
	clear(s.noted)
	switch ev := ev.(type) {
	case machine.Request:
		t.request(ev)
	case machine.TimerFired:
		t.timerFired(ev.ID)
	case machine.Loaded:
		t.loaded()
	case machine.Committed:
		if id, ok := s.settle(ev.Write); ok {
			t.finish(id)
		}
	case machine.Failed:
		if id, ok := s.settle(ev.Write); ok {
			t.failed(id)
		}
	case GotProducerID:
		t.gotProducerID(ev)
	case MarkersWritten:
		t.complete(ev.Marker)
	}
	if !s.sweeping && s.saved.Len() > 0 {
		s.sweeping = true
		t.arm(machine.TimerID{Kind: SweepTimer}, s.cfg.Sweep)
	}
	return t.out
}

func (t *turn) request(r machine.Request) {
	w := waiter{ticket: r.Ticket, version: r.Version}
	switch req := r.Req.(type) {
	case *kmsg.InitProducerIDRequest:
		t.initProducerID(w, req)
	case *kmsg.AddPartitionsToTxnRequest:
		t.addPartitions(w, req)
	case *kmsg.AddOffsetsToTxnRequest:
		t.addOffsets(w, req)
	case *kmsg.EndTxnRequest:
		t.endTxn(w, req)
	case *kmsg.ListTransactionsRequest:
		t.list(w, req)
	case *kmsg.DescribeTransactionsRequest:
		t.describe(w, req)
	default:
		t.reply(w, Refuse(r.Req, r.Version, errUnsupported))
	}
}

func (t *turn) timerFired(id machine.TimerID) {
	switch id.Kind {
	case TimeoutTimer:
		t.timedOut(id.Of)
	case RetryTimer:
		t.retry(id.Of)
	case SweepTimer:
		t.sweep()
	}
}

// loaded takes up what the coordinator before left: transactions that are open have their time, ends that were decided get their
// markers again.
func (t *turn) loaded() {
	for _, id := range t.s.sorted() {
		x, _ := t.s.saved.Get(id)
		switch {
		case x.state == Ongoing:
			t.armTimeout(id, x)
		case x.state.prepared():
			t.retry(id)
		}
	}
}

func (s *Shard) settle(write uint64) (id string, ok bool) {
	id, ok = s.writes[write]
	delete(s.writes, write)
	return id, ok
}

package txn

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

func want(t *testing.T, what string, got, err error) {
	t.Helper()
	if err == nil && got != nil || err != nil && !errors.Is(got, err) {
		t.Errorf("%s: %v, want %v", what, got, err)
	}
}

func partitionsOf(m WriteMarkers) (ps []int32) {
	for _, tp := range m.Partitions {
		ps = append(ps, tp.Partition)
	}
	return ps
}

// A transaction of either version, from its first partition to its markers.
func TestATransactionIsCommittedAndAborted(t *testing.T) {
	for _, v := range []struct{ add, end, bump int16 }{{3, 4, 0}, {5, 5, 1}} {
		for _, commit := range []bool{true, false} {
			w := newWorld(t)
			p, e := w.mustInit("id")
			if e != 0 {
				t.Fatalf("epoch %d", e)
			}
			want(t, "add", w.add("id", p, e, v.add, 2, 0), nil)
			want(t, "add", w.add("id", p, e, v.add, 1, 2), nil)
			p2, e2, err := w.end("id", p, e, v.end, commit)
			want(t, "end", err, nil)
			if v.end == 5 && (p2 != p || e2 != e+1) {
				t.Errorf("goes on as %d at epoch %d", p2, e2)
			}
			if !w.state("id").prepared() {
				t.Fatalf("answered in %v", w.state("id"))
			}
			next := e + kafka.ProducerEpoch(v.bump)
			want(t, "a partition before the markers", w.add("id", p, next, v.add, 7), kerr.ConcurrentTransactions)
			_, _, err = w.end("id", p, next, v.end, !commit)
			want(t, "the opposite", err, kerr.InvalidTxnState)
			markers := w.all()
			if len(markers) != 1 || !slices.Equal(partitionsOf(markers[0]), []int32{0, 1, 2}) || markers[0].Commit != commit ||
				markers[0].Epoch != next || markers[0].Coordinator != 3 {
				t.Errorf("markers %+v", markers)
			}
			if s := w.state("id"); s != CompleteCommit && commit || s != CompleteAbort && !commit {
				t.Errorf("state %v", s)
			}
			_, _, err = w.end("id", p, e, v.end, commit)
			want(t, "the same request again", err, nil)
			want(t, "the next transaction", w.add("id", p, next, v.add, 1), nil)
		}
	}
}

// An EndTxn that was on its way for long never ends a later transaction of a client of transactions v2.
func TestALateEndTxnDoesNotEndALaterTransaction(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "add", w.add("id", p, e, 5, 1), nil)
	late := endReq("id", p, e, 5, true) // its first copy arrives, the second is delayed
	_, e2, err := w.end("id", p, e, 5, true)
	want(t, "commit", err, nil)
	w.all()
	want(t, "add", w.add("id", p, e2, 5, 1), nil)
	ticket := w.ask(late)
	w.all()
	want(t, "late commit", kerr.ErrorForCode(w.answer(ticket).(*kmsg.EndTxnResponse).ErrorCode), kerr.ProducerFenced)
	if w.state("id") != Ongoing {
		t.Fatalf("the second transaction is %v", w.state("id"))
	}
	_, e3, err := w.end("id", p, e2, 5, false)
	want(t, "abort", err, nil)
	w.all()
	for _, epoch := range []kafka.ProducerEpoch{e, e2} {
		_, _, err = w.end("id", p, epoch, 5, true)
		if epoch == e2 {
			want(t, "late commit of what was aborted", err, kerr.InvalidTxnState)
		} else {
			want(t, "late commit of the first", err, kerr.ProducerFenced)
		}
	}
	if x, _ := w.s.saved.Get("id"); x.state != CompleteAbort || x.epoch != e3 {
		t.Errorf("%+v", x)
	}
}

func TestVerificationAddsNothing(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "nothing is open", w.verify("id", p, e, 1), kerr.TransactionAbortable)
	want(t, "add", w.add("id", p, e, 3, 1), nil)
	want(t, "added", w.verify("id", p, e, 1), nil)
	want(t, "another partition", w.verify("id", p, e, 2), kerr.TransactionAbortable)
	want(t, "an older epoch", w.verify("id", p, e-1, 1), kerr.ProducerFenced)
	want(t, "another producer", w.verify("id", p+1, e, 1), kerr.InvalidProducerIDMapping)
	want(t, "another id", w.verify("other", p, e, 1), kerr.InvalidProducerIDMapping)
	_, _, err := w.end("id", p, e, 4, true)
	want(t, "commit", err, nil)
	want(t, "while it ends", w.verify("id", p, e, 1), kerr.ConcurrentTransactions)
	w.all()
	want(t, "after its end", w.verify("id", p, e, 1), kerr.TransactionAbortable)
}

func TestANewProducerFencesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "add", w.add("id", p, e, 5, 1), nil)
	_, _, err := w.init(initReq("id", 5))
	want(t, "while the other's transaction is open", err, kerr.ConcurrentTransactions)
	p2, e2 := w.mustInit("id")
	if p2 != p || e2 != e+2 { // one for the abort, one for the new producer
		t.Errorf("%d at epoch %d", p2, e2)
	}
	want(t, "the one before", w.add("id", p, e, 5, 1), kerr.ProducerFenced)
	_, _, err = w.end("id", p, e, 5, true)
	want(t, "its commit", err, kerr.ProducerFenced)
	zombie := initReq("id", 5)
	zombie.ProducerID, zombie.ProducerEpoch = int64(p), int16(e)
	_, _, err = w.init(zombie)
	want(t, "its wish for another epoch", err, kerr.ProducerFenced)
	zombie.Version = 3
	_, _, err = w.init(zombie)
	want(t, "the same by an older client", err, kerr.InvalidProducerEpoch)
}

// KIP-360: a producer that goes on after an error says which epoch it has.
func TestAProducerGetsAnotherEpochByItsLast(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	again := initReq("id", 5)
	again.ProducerID, again.ProducerEpoch = int64(p), int16(e)
	for range 2 { // the second is the same request, whose answer was lost
		p2, e2, err := w.init(again)
		if err != nil || p2 != p || e2 != e+1 {
			t.Errorf("%d at epoch %d, %v", p2, e2, err)
		}
	}
	w.mustInit("id")
	_, _, err := w.init(again)
	want(t, "after another was initialised", err, kerr.ProducerFenced)
	stranger := initReq("id", 5)
	stranger.ProducerID, stranger.ProducerEpoch = int64(p+7), 0
	_, _, err = w.init(stranger)
	want(t, "with another's producer id", err, kerr.ProducerFenced)
}

func TestEpochsThatRunOutBringAnotherProducerID(t *testing.T) {
	for _, commit := range []bool{true, false} {
		w := newWorld(t)
		p, _ := w.mustInit("id")
		x, _ := w.s.saved.Get("id")
		x.epoch = exhausted
		w.log = append(w.log, machine.Record{Key: keyOf("id"), Value: x.value()})
		w.move(len(w.log))
		want(t, "add", w.add("id", p, exhausted, 5, 1), nil)
		p2, e2, err := w.end("id", p, exhausted, 5, commit)
		if err != nil || p2 == p || e2 != 0 {
			t.Fatalf("%d at epoch %d, %v", p2, e2, err)
		}
		want(t, "the next transaction before the markers", w.add("id", p2, 0, 5, 1), kerr.ConcurrentTransactions)
		_, _, err = w.end("id", p2, 0, 5, commit)
		want(t, "its end", err, kerr.ConcurrentTransactions)
		soon := initReq("id", 5)
		soon.ProducerID, soon.ProducerEpoch = int64(p2), 0
		ticket := w.ask(soon)
		w.settle()
		want(t, "another epoch for it", kerr.ErrorForCode(w.answer(ticket).(*kmsg.InitProducerIDResponse).ErrorCode), kerr.ConcurrentTransactions)
		markers := w.all()
		if len(markers) != 1 || markers[0].Producer != p || markers[0].Epoch != exhausted+1 {
			t.Errorf("markers %+v", markers)
		}
		p3, e3, err := w.end("id", p, exhausted, 5, commit)
		if err != nil || p3 != p2 || e3 != 0 {
			t.Errorf("the same again: %d at epoch %d, %v", p3, e3, err)
		}
		want(t, "the next transaction", w.add("id", p2, 0, 5, 1), nil)
	}
	w := newWorld(t)
	p, _ := w.mustInit("id")
	x, _ := w.s.saved.Get("id")
	x.epoch = exhausted
	w.log = append(w.log, machine.Record{Key: keyOf("id"), Value: x.value()})
	w.move(len(w.log))
	if p2, e2 := w.mustInit("id"); p2 == p || e2 != 0 {
		t.Errorf("initialised as %d at epoch %d", p2, e2)
	}
}

func TestAnEmptyTransactionCanBeAborted(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	_, _, err := w.end("id", p, e, 5, true)
	want(t, "commit of nothing", err, kerr.InvalidTxnState)
	_, _, err = w.end("id", p, e, 4, false)
	want(t, "abort of nothing by v1", err, kerr.InvalidTxnState)
	for range 3 {
		_, e2, err := w.end("id", p, e, 5, false)
		if err != nil || e2 != e+1 {
			t.Errorf("epoch %d, %v", e2, err)
		}
		if markers := w.all(); len(markers) != 0 || w.state("id") != CompleteAbort {
			t.Errorf("markers %v, state %v", markers, w.state("id"))
		}
		e = e2
	}
}

func TestATransactionIsAbortedWhenItsTimeIsOver(t *testing.T) {
	for _, version := range []int16{3, 5} {
		w := newWorld(t)
		p, e := w.mustInit("id")
		want(t, "add", w.add("id", p, e, version, 1), nil)
		w.pass(59 * time.Second)
		want(t, "add", w.add("id", p, e, version, 2), nil) // the time counts from its begin
		if w.state("id") != Ongoing {
			t.Error("aborted too soon")
		}
		w.pass(time.Second)
		markers := w.all()
		if len(markers) != 1 || markers[0].Commit || markers[0].Epoch != e+1 || len(markers[0].Partitions) != 2 {
			t.Errorf("markers %+v", markers)
		}
		want(t, "its producer", w.add("id", p, e, version, 1), kerr.ProducerFenced)
	}
}

func TestAnEndThatWasDecidedGetsItsMarkersAfterAMove(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "add", w.add("id", p, e, 5, 1), nil)
	_, _, err := w.end("id", p, e, 5, true)
	want(t, "commit", err, nil)
	w.move(-1)
	markers := w.all()
	if len(markers) != 1 || !markers[0].Commit || markers[0].Coordinator != 4 {
		t.Errorf("markers %+v", markers)
	}
	w.step(MarkersWritten{markers[0].Marker}) // those of the coordinator before, say
	if w.state("id") != CompleteCommit {
		t.Error(w.state("id"))
	}
	w.move(-1)
	if markers := w.all(); len(markers) != 0 {
		t.Errorf("markers of a transaction that was complete: %+v", markers)
	}
}

// What an append that fails leaves: the state before it, and a retriable error.
func TestAnEndThatIsNotWrittenLeavesTheTransactionOpen(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "add", w.add("id", p, e, 5, 1), nil)
	ticket := w.ask(endReq("id", p, e, 5, true))
	w.lose()
	want(t, "commit", kerr.ErrorForCode(w.answer(ticket).(*kmsg.EndTxnResponse).ErrorCode), kerr.NotCoordinator)
	if w.state("id") != Ongoing || len(w.tasks) != 0 {
		t.Errorf("%v, tasks %v", w.state("id"), w.tasks)
	}
	w.pass(time.Minute) // its time counts still
	if markers := w.all(); len(markers) != 1 || markers[0].Commit {
		t.Errorf("markers %+v", markers)
	}
}

func TestAnEndThatIsCommittedLateGetsItsMarkers(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	want(t, "add", w.add("id", p, e, 5, 1), nil)
	ticket := w.ask(endReq("id", p, e, 5, true))
	w.late()
	want(t, "commit", kerr.ErrorForCode(w.answer(ticket).(*kmsg.EndTxnResponse).ErrorCode), kerr.CoordinatorNotAvailable)
	w.pass(time.Second)
	if len(w.tasks) != 0 {
		t.Fatalf("markers before the end is committed: %v", w.tasks)
	}
	w.settle()
	w.pass(time.Second)
	if markers := w.all(); len(markers) != 1 || !markers[0].Commit {
		t.Errorf("markers %+v", markers)
	}
}

// A refusal that follows from what is not committed waits for that.
func TestNobodyIsFencedByWhatComesToNothing(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	w.ask(initReq("id", 5))
	ticket := w.ask(addReq("id", p, e, 5, false, 1))
	if resp, ok := w.answers[ticket]; ok {
		t.Fatalf("answered %v before it is known", addErr(resp))
	}
	w.lose()
	want(t, "add", addErr(w.answer(ticket)), kerr.NotCoordinator)
	want(t, "add again", w.add("id", p, e, 5, 1), nil)
}

func TestIDsThatNobodyUsesExpire(t *testing.T) {
	w := newWorld(t)
	w.mustInit("idle")
	p, e := w.mustInit("open")
	w.pass(7*24*time.Hour - time.Hour)
	want(t, "add", w.add("open", p, e, 5, 1), nil)
	w.pass(2 * time.Hour) // the open one is aborted on the way
	w.all()
	if _, ok := w.s.saved.Get("idle"); ok {
		t.Error("the idle one is still there")
	}
	if w.state("open") != CompleteAbort {
		t.Error(w.state("open"))
	}
	w.pass(8 * 24 * time.Hour)
	w.all()
	if n := w.s.saved.Len(); n != 0 {
		t.Errorf("%d ids are left", n)
	}
}

func TestBadRequestsAreNamed(t *testing.T) {
	w := newWorld(t)
	try := func(change func(*kmsg.InitProducerIDRequest)) error {
		req := initReq("id", 5)
		change(req)
		_, _, err := w.init(req)
		return err
	}
	want(t, "no id", try(func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = kmsg.StringPtr("") }), kerr.InvalidRequest)
	want(t, "no time", try(func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 }), kerr.InvalidTransactionTimeout)
	want(t, "too much time", try(func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 900_001 }), kerr.InvalidTransactionTimeout)
	want(t, "half a producer", try(func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 1 }), kerr.InvalidRequest)
	_, _, err := w.end("unknown", 1, 0, 5, true)
	want(t, "an unknown id", err, kerr.InvalidProducerIDMapping)
	want(t, "partitions of no id", w.add("", 1, 0, 3, 1), kerr.InvalidRequest)
}

func TestOffsetsBelongToTheGroupsPartition(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 4, "id", int64(p), int16(e), "four"
	ticket := w.ask(req)
	w.settle()
	want(t, "add", kerr.ErrorForCode(w.answer(ticket).(*kmsg.AddOffsetsToTxnResponse).ErrorCode), nil)
	x, _ := w.s.saved.Get("id")
	if want := (kafka.TopicPartition{Topic: "__consumer_offsets", Partition: 4}); len(x.partitions) != 1 || x.partitions[0] != want {
		t.Errorf("%v", x.partitions)
	}
}

func TestTransactionsAreListedAndDescribed(t *testing.T) {
	w := newWorld(t)
	w.mustInit("a")
	p, e := w.mustInit("b")
	want(t, "add", w.add("b", p, e, 5, 3, 1), nil)
	w.pass(30 * time.Second)
	list := func(version int16, change func(*kmsg.ListTransactionsRequest)) *kmsg.ListTransactionsResponse {
		req := kmsg.NewPtrListTransactionsRequest()
		req.Version = version
		change(req)
		return w.answer(w.ask(req)).(*kmsg.ListTransactionsResponse)
	}
	for what, c := range map[string]struct {
		version int16
		change  func(*kmsg.ListTransactionsRequest)
		want    []string
	}{
		"all":      {2, func(*kmsg.ListTransactionsRequest) {}, []string{"a", "b"}},
		"by state": {0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Odd"} }, []string{"b"}},
		"by odd":   {0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Odd"} }, nil},
		"by id":    {0, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{int64(p)} }, []string{"b"}},
		"long": {1, func(r *kmsg.ListTransactionsRequest) {
			r.DurationFilterMillis, r.StateFilters = 29_000, []string{"Ongoing"}
		}, []string{"b"}},
		"not so": {1, func(r *kmsg.ListTransactionsRequest) {
			r.DurationFilterMillis, r.StateFilters = 31_000, []string{"Ongoing"}
		}, nil},
		"by pattern": {2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("[a]") }, []string{"a"}},
	} {
		var got []string
		for _, s := range list(c.version, c.change).TransactionStates {
			got = append(got, s.TransactionalID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	if r := list(0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Odd"} }); !slices.Equal(r.UnknownStateFilters, []string{"Odd"}) {
		t.Errorf("%+v", r)
	}
	if r := list(2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("(") }); r.ErrorCode != kerr.InvalidRegularExpression.Code {
		t.Errorf("%+v", r)
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{"b", "none"}
	states := w.answer(w.ask(req)).(*kmsg.DescribeTransactionsResponse).TransactionStates
	if b := states[0]; b.State != "Ongoing" || b.ProducerID != int64(p) || b.TimeoutMillis != 60_000 || b.StartTimestamp != 1_000_000 ||
		len(b.Topics) != 1 || !slices.Equal(b.Topics[0].Partitions, []int32{1, 3}) {
		t.Errorf("%+v", b)
	}
	if states[1].ErrorCode != kerr.TransactionalIDNotFound.Code {
		t.Errorf("%+v", states[1])
	}
}

// The last epoch of a producer id is never a client's.
func TestAFenceAtTheLastEpochGivesItToNobody(t *testing.T) {
	w := newWorld(t)
	p, _ := w.mustInit("id")
	x, _ := w.s.saved.Get("id")
	x.epoch = exhausted
	w.log = append(w.log, machine.Record{Key: keyOf("id"), Value: x.value()})
	w.move(len(w.log))
	want(t, "add", w.add("id", p, exhausted, 5, 1), nil)
	w.pass(time.Minute)
	w.all()
	_, _, err := w.end("id", p, exhausted, 5, false)
	want(t, "abort", err, kerr.ProducerFenced)
	if p2, e2 := w.mustInit("id"); p2 == p || e2 != 0 {
		t.Errorf("%d at epoch %d", p2, e2)
	}
}

// The epoch before goes back with a record that is not appended: the same request again is known then as it was.
func TestTheLastEpochGoesBackWithItsRecord(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	again := initReq("id", 5)
	again.ProducerID, again.ProducerEpoch = int64(p), int16(e)
	if _, e2, err := w.init(again); err != nil || e2 != e+1 { // its answer is lost, say
		t.Fatal(e2, err)
	}
	w.ask(initReq("id", 5)) // another producer, of whom nothing comes
	w.lose()
	if _, e2, err := w.init(again); err != nil || e2 != e+1 {
		t.Errorf("epoch %d, %v", e2, err)
	}
}

// With transactions v1 one epoch serves many transactions: markers of an earlier one say nothing of a later.
func TestMarkersOfAnEarlierTransactionDoNotCompleteALaterOne(t *testing.T) {
	w := newWorld(t)
	p, e := w.mustInit("id")
	var first Marker
	for i := range 2 {
		want(t, "add", w.add("id", p, e, 3, 1), nil)
		w.pass(time.Second)
		_, _, err := w.end("id", p, e, 4, true)
		want(t, "commit", err, nil)
		if i == 0 {
			first = w.all()[0].Marker
		}
	}
	w.step(MarkersWritten{first})
	w.settle()
	if s := w.state("id"); s != PrepareCommit {
		t.Errorf("completed by the markers of another transaction: %v", s)
	}
	if markers := w.all(); len(markers) != 1 || w.state("id") != CompleteCommit {
		t.Errorf("%v, %v", markers, w.state("id"))
	}
}

package share

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

var start = time.Unix(1000, 0)

// batches is a log of batches that are next to each other, of so many records each.
func batches(first kafka.Offset, sizes ...int) []LogBatch {
	var log []LogBatch
	for _, n := range sizes {
		log = append(log, LogBatch{First: first, Last: first + kafka.Offset(n) - 1, Producer: kafka.NoProducerID})
		first += kafka.Offset(n)
	}
	return log
}

// fetch acquires from where the next fetch is, of a log, as a member that takes all.
func fetch(p *Partition, w Want, log []LogBatch) []Acquired {
	if w.Member == "" {
		w.Member = "m"
	}
	if w.MaxRecords == 0 {
		w.MaxRecords = 500
	}
	if w.BatchSize == 0 {
		w.BatchSize = 500
	}
	read := Read{From: p.NextFetch()}
	for _, b := range log {
		if b.Last >= read.From {
			read.Batches = append(read.Batches, b)
		}
	}
	return p.Acquire(start, w, read)
}

func expectAcquired(t *testing.T, got []Acquired, want ...Acquired) {
	t.Helper()
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("acquired %v, want %v", got, want)
	}
}

func load(t *testing.T, s Settings, first kafka.Offset, kept ...StateBatch) *Partition {
	t.Helper()
	p, err := Load(s, State{Start: first, Batches: kept})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// expire ends all locks.
func expire(p *Partition) { p.Expire(start.Add(time.Hour)) }

func TestWholeBatchesAreAcquiredPastTheMaximum(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	log := batches(0, 10, 10, 10)
	expectAcquired(t, fetch(p, Want{MaxRecords: 12}, log), Acquired{0, 19, 1})
	expectAcquired(t, fetch(p, Want{MaxRecords: 12}, log), Acquired{20, 29, 1})
	expectAcquired(t, fetch(p, Want{MaxRecords: 12}, log))
	expire(p)
	expectAcquired(t, fetch(p, Want{MaxRecords: 1}, log), Acquired{0, 19, 2})
}

func TestRecordsAreAcquiredInPartsThatFollowTheBatchesOfTheLog(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	got := fetch(p, Want{BatchSize: 12}, batches(0, 10, 10, 3, 20, 1))
	expectAcquired(t, got, Acquired{0, 19, 1}, Acquired{20, 42, 1}, Acquired{43, 43, 1})
	if !p.CanAcquire() {
		t.Error("no room with 44 of 2000 in flight")
	}
	expectAcquired(t, fetch(p, Want{BatchSize: 10}, batches(44, 10, 10)), Acquired{44, 53, 1}, Acquired{54, 63, 1})
}

func TestWithARecordLimitNoMoreIsAcquired(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	w := Want{MaxRecords: 4, RecordLimit: true}
	log := batches(0, 10, 10)
	expectAcquired(t, fetch(p, w, log), Acquired{0, 3, 1})
	if p.InFlight() != 10 {
		t.Errorf("%d in flight, want the batch", p.InFlight())
	}
	expectAcquired(t, fetch(p, w, log), Acquired{4, 7, 1})
	expectAcquired(t, fetch(p, w, log), Acquired{8, 9, 1}, Acquired{10, 11, 1})
}

func TestNoMoreRecordsAreInFlightThanAllowed(t *testing.T) {
	s := DefaultSettings()
	s.MaxLocks = 15
	p := load(t, s, 0)
	log := batches(0, 10, 10, 10)
	expectAcquired(t, fetch(p, Want{}, log), Acquired{0, 19, 1}) // whole batches
	if p.CanAcquire() {
		t.Error("there is room with 20 of 15 in flight")
	}
	if _, err := p.Acknowledge(start, "m", []Acknowledgement{{First: 5, Last: 7, Types: []AcknowledgeType{Release}}}); err != nil {
		t.Fatal(err)
	}
	written(t, p)
	if !p.CanAcquire() {
		t.Error("records 5 to 7 were given back")
	}
	expectAcquired(t, fetch(p, Want{}, log), Acquired{5, 7, 2}) // and not 20 to 29
}

// A batch that fails again and again is delivered in ever smaller parts, so that the record is found that fails it.
func TestABatchThatIsDeliveredOftenComesInParts(t *testing.T) {
	s := DefaultSettings()
	s.MaxDeliveries = 10
	p := load(t, s, 0)
	log := batches(0, 500, 100)
	var seen []string
	for range 30 {
		var parts []string
		for _, got := range fetch(p, Want{}, log[:1]) {
			parts = append(parts, fmt.Sprintf("%d-%d#%d", got.First, got.Last, got.Deliveries))
		}
		if len(parts) == 0 {
			break
		}
		if seen = append(seen, strings.Join(parts, " ")); len(seen) == 12 {
			break
		}
		expire(p)
	}
	want := []string{"0-499#1", "0-499#2", "0-499#3", "0-499#4", "0-499#5",
		"0-249#6", "0-124#7", "0-61#8", "0-30#9", "0-0#10", "1-1#10", "2-2#10"}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("delivered\n%v\nwant\n%v", seen, want)
	}
}

func TestARecordThatIsIsolatedComesWithoutOthers(t *testing.T) {
	p := load(t, DefaultSettings(), 0, StateBatch{0, 3, Available, 1}, StateBatch{4, 7, Available, 3})
	log := batches(0, 8, 8)
	expectAcquired(t, fetch(p, Want{}, log), Acquired{0, 3, 2})
	expectAcquired(t, fetch(p, Want{}, log), Acquired{4, 5, 4})
	expectAcquired(t, fetch(p, Want{}, log), Acquired{6, 7, 4})
	expectAcquired(t, fetch(p, Want{}, log), Acquired{8, 15, 1})
}

func TestARecordDeliveredOftenEnoughIsArchived(t *testing.T) {
	s := DefaultSettings()
	s.MaxDeliveries = 2
	p := load(t, s, 0)
	log := batches(0, 3)
	expectAcquired(t, fetch(p, Want{}, log), Acquired{0, 2, 1})
	expire(p)
	expectAcquired(t, fetch(p, Want{}, log), Acquired{0, 2, 2})
	expire(p)
	expectAcquired(t, fetch(p, Want{}, log))
	if p.Start() != 3 || p.InFlight() != 0 {
		t.Errorf("start is %d with %d in flight", p.Start(), p.InFlight())
	}
	if w := written(t, p); w.Start != 3 {
		t.Errorf("written is %+v", w)
	}
}

// After a change of leaders, what was in flight without ever having been acknowledged is read again.
func TestWhatTheCoordinatorDoesNotKnowIsReadAgain(t *testing.T) {
	p := load(t, DefaultSettings(), 10, StateBatch{15, 17, Acknowledged, 1}, StateBatch{20, 24, Available, 2}, StateBatch{30, 30, Archived, 5})
	log := batches(8, 4, 6, 7, 6, 4)
	if p.NextFetch() != 10 || p.InFlight() != 21 {
		t.Errorf("next is %d, %d in flight", p.NextFetch(), p.InFlight())
	}
	got := p.Acquire(start, Want{Member: "m", MaxRecords: 500, BatchSize: 500}, Read{From: 10, Batches: log[:3]})
	expectAcquired(t, got, Acquired{10, 14, 1}, Acquired{18, 19, 1}, Acquired{20, 24, 3})
	if p.NextFetch() != 25 {
		t.Errorf("next is %d", p.NextFetch())
	}
	expectAcquired(t, fetch(p, Want{}, log), Acquired{25, 29, 1}, Acquired{31, 34, 1})
	if p.NextFetch() != 35 {
		t.Errorf("next is %d", p.NextFetch())
	}
}

func TestRecordsThatWereCompactedAreNotWaitedFor(t *testing.T) {
	p := load(t, DefaultSettings(), 0, StateBatch{10, 14, Available, 1}, StateBatch{20, 24, Available, 1})
	got := p.Acquire(start, Want{Member: "m", MaxRecords: 500, BatchSize: 500}, Read{From: 0, Batches: batches(22, 5)})
	expectAcquired(t, got, Acquired{22, 24, 2}, Acquired{25, 26, 1})
	if p.Start() != 22 || p.NextFetch() != 27 {
		t.Errorf("start is %d, next %d", p.Start(), p.NextFetch())
	}
}

func TestOnlyWhatWasReadIsForgotten(t *testing.T) {
	p := load(t, DefaultSettings(), 0, StateBatch{20, 20, Available, 1})
	got := p.Acquire(start, Want{Member: "m", MaxRecords: 1, BatchSize: 1}, Read{From: 5, Batches: batches(10, 4, 4)})
	expectAcquired(t, got, Acquired{10, 13, 1})
	for _, want := range []kafka.Offset{0, 14, 19} {
		if p.NextFetch() != want {
			t.Errorf("the next fetch is at %d, want %d", p.NextFetch(), want)
		}
		fetch(p, Want{}, batches(want, 5))
	}
}

// With as many records in flight as there may be, those that are no longer in the log make room.
func TestCompactedRecordsDoNotFillTheLimit(t *testing.T) {
	s := DefaultSettings()
	s.MaxLocks = 10
	p := load(t, s, 0)
	expectAcquired(t, fetch(p, Want{}, batches(0, 10)), Acquired{0, 9, 1})
	expire(p)
	got := p.Acquire(start, Want{Member: "m", MaxRecords: 500, BatchSize: 500}, Read{From: 0, Batches: batches(12, 3)})
	expectAcquired(t, got, Acquired{12, 14, 1})
	if p.Start() != 12 {
		t.Errorf("start is %d", p.Start())
	}
}

func TestRecordsOfAbortedTransactionsAreNotDelivered(t *testing.T) {
	log := []LogBatch{
		{First: 0, Last: 4, Producer: 7, Transactional: true},
		{First: 5, Last: 9, Producer: 8, Transactional: true},
		{First: 10, Last: 10, Producer: 7, Transactional: true, AbortMarker: true},
		{First: 11, Last: 14, Producer: 7, Transactional: true},
		{First: 15, Last: 15, Producer: 7},
	}
	p := load(t, DefaultSettings(), 0)
	aborted := []AbortedTransaction{{Producer: 7, First: 0}}
	got := p.Acquire(start, Want{Member: "m", MaxRecords: 500, BatchSize: 500}, Read{Batches: log, Aborted: aborted})
	expectAcquired(t, got, Acquired{5, 15, 1})
	if p.Start() != 5 {
		t.Errorf("start is %d", p.Start())
	}

	p = load(t, DefaultSettings(), 2)
	got = p.Acquire(start, Want{Member: "m", MaxRecords: 500, BatchSize: 500}, Read{From: 2, Batches: log[:1], Aborted: aborted})
	expectAcquired(t, got)
	if p.Start() != 5 || p.NextFetch() != 5 {
		t.Errorf("start is %d, next %d", p.Start(), p.NextFetch())
	}
}

func TestTheLogStartTakesRecordsInFlightAlong(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	expectAcquired(t, fetch(p, Want{}, batches(0, 10)), Acquired{0, 9, 1})
	p.MoveLogStart(4)
	if p.Start() != 4 || p.InFlight() != 6 {
		t.Errorf("start is %d with %d in flight", p.Start(), p.InFlight())
	}
	// The member does not know: what is gone counts as acknowledged.
	change, err := p.Acknowledge(start, "m", []Acknowledgement{{First: 0, Last: 5, Types: []AcknowledgeType{Accept}}})
	if err != nil || change == 0 {
		t.Errorf("change %d, %v", change, err)
	}
	if w := written(t, p); w.Start != 6 || len(w.Batches) != 0 {
		t.Errorf("written is %+v", w)
	}
	p.MoveLogStart(50)
	if p.Start() != 50 || p.InFlight() != 0 || p.NextFetch() != 50 || !p.NextExpiry().IsZero() {
		t.Errorf("start is %d, next %d, %d in flight", p.Start(), p.NextFetch(), p.InFlight())
	}
}

func TestStateThatMakesNoSenseIsRefused(t *testing.T) {
	for _, batches := range [][]StateBatch{
		{{4, 6, Available, 1}},
		{{5, 4, Available, 1}},
		{{5, 6, Available, 1}, {6, 7, Available, 2}},
		{{5, 6, 1, 1}},
		{{5, 6, 9, 1}},
	} {
		if _, err := Load(DefaultSettings(), State{Start: 5, Batches: batches}); err == nil {
			t.Errorf("%v was loaded", batches)
		}
	}
	if _, err := Load(DefaultSettings(), State{Start: -1}); err == nil {
		t.Error("a start of -1 was loaded")
	}
}

package share

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// written has the next write succeed, and returns it.
func written(t *testing.T, p *Partition) Write {
	t.Helper()
	w, ok := p.NextWrite()
	if !ok {
		t.Error("nothing to write")
	}
	p.Settle(start, nil)
	return w
}

func ack(first, last kafka.Offset, types ...AcknowledgeType) []Acknowledgement {
	return []Acknowledgement{{First: first, Last: last, Types: types}}
}

func TestAcknowledgementsThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		acks  []Acknowledgement
		renew bool
		ok    bool
	}{
		{ack(0, 0, Accept), false, true},
		{ack(0, 9, Gap), false, true},
		{ack(0, 2, Accept, Release, Reject), false, true},
		{ack(1, 0, Accept), false, false},
		{ack(0, 1), false, false},
		{ack(0, 2, Accept, Accept), false, false},
		{ack(0, 1, Accept, Accept, Accept), false, false},
		{ack(0, 0, 5), true, false},
		{ack(0, 0, -1), true, false},
		{ack(0, 0, Renew), false, false},
		{ack(0, 0, Renew), true, true},
		{append(ack(0, 5, Accept), ack(4, 6, Accept)...), false, false},
		{append(ack(0, 5, Accept), ack(5, 6, Accept)...), false, true}, // Apache Kafka finds that out later
		{ack(-1<<63, 1<<62, Accept, Accept), false, false},
	} {
		err := CheckAcknowledgements(c.acks, c.renew)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("%v: %v", c.acks, err)
		}
	}
}

func TestAcknowledgementsThatTheStateRefuses(t *testing.T) {
	settings := DefaultSettings()
	settings.Renew = false
	empty := load(t, settings, 100)
	p := load(t, settings, 0)
	log := batches(0, 10, 10, 10)
	fetch(p, Want{}, log[:1])
	fetch(p, Want{Member: "other"}, log[:2])
	if _, err := p.Acknowledge(start, "m", ack(8, 8, Accept)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   *Partition
		acks []Acknowledgement
		err  error
	}{
		{p, ack(10, 10, Accept), kerr.InvalidRecordState}, // another member's
		{p, ack(5, 12, Accept), kerr.InvalidRecordState},
		{p, ack(8, 8, Accept), kerr.InvalidRecordState}, // being acknowledged
		{p, ack(0, 0, Renew), kerr.InvalidRecordState},  // not in this group
		{p, append(ack(0, 5, Accept), ack(5, 6, Accept)...), kerr.InvalidRecordState},
		{p, ack(15, 20, Accept), kerr.InvalidRequest}, // past what is in flight
		{p, ack(25, 26, Accept), kerr.InvalidRequest},
		{empty, ack(100, 101, Accept), kerr.InvalidRecordState},
		{empty, ack(90, 101, Accept), kerr.InvalidRecordState},
		{empty, ack(90, 99, Accept), nil}, // long done
		{p, ack(0, 7, Accept), nil},
	} {
		change, err := c.of.Acknowledge(start, "m", c.acks)
		if !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %v", c.acks, err, c.err)
		}
		if err != nil && change != 0 {
			t.Errorf("%v: change %d with an error", c.acks, change)
		}
	}
}

func TestARefusedRequestChangesNothing(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 10))
	if _, err := p.Acknowledge(start, "m", append(ack(0, 4, Accept), ack(5, 20, Accept)...)); err == nil {
		t.Fatal("more was acknowledged than is in flight")
	}
	if w, ok := p.NextWrite(); ok {
		t.Errorf("%+v is to be written", w)
	}
}

func TestEachTypeOfAcknowledgement(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 6))
	if _, err := p.Acknowledge(start, "m", ack(1, 5, Release, Accept, Reject, Gap, Renew)); err != nil {
		t.Fatal(err)
	}
	w := written(t, p)
	want := []StateBatch{{1, 1, Available, 1}, {2, 2, Acknowledged, 1}, {3, 4, Archived, 1}}
	if w.Start != 0 || w.DeliveryComplete != 3 || !reflect.DeepEqual(w.Batches, want) {
		t.Errorf("written is %+v", w)
	}
	expectAcquired(t, fetch(p, Want{Member: "other"}, batches(0, 6)), Acquired{1, 1, 2})
}

func TestARenewedLockLastsLonger(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 2))
	if change, err := p.Acknowledge(start.Add(20*time.Second), "m", ack(0, 0, Renew)); err != nil || change != 0 {
		t.Fatal(change, err)
	}
	if at := p.NextExpiry(); at != start.Add(30*time.Second) {
		t.Errorf("the first lock ends at %v", at)
	}
	p.Expire(start.Add(40 * time.Second))
	expectAcquired(t, fetch(p, Want{Member: "other"}, batches(0, 2)), Acquired{1, 1, 2})
	if at := p.NextExpiry(); at != start.Add(30*time.Second) {
		t.Errorf("the next lock ends at %v", at)
	}
}

func TestWhatIsAcknowledgedDuringAWriteGoesWithTheNext(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 10))
	first, _ := p.Acknowledge(start, "m", ack(0, 2, Accept))
	w, ok := p.NextWrite()
	if !ok || w.Start != 3 || len(w.Batches) != 0 {
		t.Fatalf("written is %+v", w)
	}
	p.Acknowledge(start, "m", ack(5, 5, Accept))
	last, _ := p.Acknowledge(start, "m", ack(3, 3, Accept))
	if w, ok := p.NextWrite(); ok {
		t.Errorf("%+v overtakes a write", w)
	}
	if through := p.Settle(start, nil); through != first {
		t.Errorf("settled up to %d, want %d", through, first)
	}
	w, ok = p.NextWrite()
	if want := []StateBatch{{5, 5, Acknowledged, 1}}; !ok || w.Start != 4 || w.DeliveryComplete != 1 || !reflect.DeepEqual(w.Batches, want) {
		t.Errorf("written is %+v", w)
	}
	if through := p.Settle(start, nil); through != last || p.Start() != 4 {
		t.Errorf("settled up to %d, want %d; start is %d", through, last, p.Start())
	}
}

func TestAWriteThatFailsLeavesTheRecordsWithTheirMember(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 10))
	p.Acknowledge(start, "m", ack(0, 4, Accept))
	p.Acknowledge(start.Add(20*time.Second), "m", ack(9, 9, Renew))
	p.Acknowledge(start, "m", ack(9, 9, Accept))
	p.NextWrite()
	expectAcquired(t, fetch(p, Want{Member: "other"}, batches(0, 10)))
	p.Expire(start.Add(40 * time.Second)) // 5 to 8; what is being written does not expire
	expectAcquired(t, fetch(p, Want{Member: "other"}, batches(0, 10)), Acquired{5, 8, 2})
	p.Settle(start.Add(40*time.Second), kerr.CoordinatorNotAvailable)
	// The locks on 0 to 4 have ended meanwhile, that on 9 has not.
	expectAcquired(t, fetch(p, Want{Member: "other"}, batches(0, 10)), Acquired{0, 4, 2})
	if _, err := p.Acknowledge(start, "m", ack(9, 9, Accept)); err != nil {
		t.Error(err)
	}
}

// The share coordinator may have taken in a write that failed, and have forgotten what is below the start that it had.
func TestAfterAFailedWriteEverythingIsSaidAgain(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 10))
	p.Acknowledge(start, "m", append(ack(3, 4, Accept), ack(6, 6, Release)...))
	written(t, p)
	p.Acknowledge(start, "m", ack(0, 2, Accept))
	if w, _ := p.NextWrite(); w.Start != 5 {
		t.Fatalf("written is %+v", w)
	}
	p.Settle(start, kerr.RequestTimedOut)
	p.Acknowledge(start, "m", ack(9, 9, Reject))
	w := written(t, p)
	if want := []StateBatch{{3, 4, Acknowledged, 1}, {6, 6, Available, 1}, {9, 9, Archived, 1}}; w.Start != 0 || !reflect.DeepEqual(w.Batches, want) {
		t.Errorf("written is %+v", w)
	}
}

func TestASessionThatEndsGivesItsRecordsBack(t *testing.T) {
	p := load(t, DefaultSettings(), 0)
	fetch(p, Want{}, batches(0, 10))
	fetch(p, Want{Member: "other"}, batches(0, 10, 5))
	p.Acknowledge(start, "m", ack(2, 3, Accept))
	if change := p.Release("m"); change == 0 {
		t.Fatal("nothing was given back")
	}
	w := written(t, p)
	want := []StateBatch{{0, 1, Available, 1}, {2, 3, Acknowledged, 1}, {4, 9, Available, 1}}
	if !reflect.DeepEqual(w.Batches, want) {
		t.Errorf("written is %+v", w)
	}
	if p.Release("m") != 0 {
		t.Error("something was given back twice")
	}
}

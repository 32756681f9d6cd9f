package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

// check compares the topic with what the inbox asks for: each record once, in the order of places, none early, and of the
// cancelled ones only those that had been moved before.
func (w *world) check() {
	w.t.Helper()
	movedAt := map[kafka.Offset]kafka.Offset{} // of the first Move in the inbox that names the record
	for at := range w.inbox {
		if w.inbox[at].move == nil {
			continue
		}
		m, _ := ReadMove(w.inbox[at].move)
		for _, o := range m.Offsets {
			if _, ok := movedAt[o]; !ok {
				movedAt[o] = kafka.Offset(at)
			}
		}
	}
	got := map[kafka.Offset]bool{}
	last, plain := Place{Offset: -1}, kafka.NoOffset
	for _, b := range w.topic {
		if n := len(b.move.Offsets); n > w.config.Records || n > 1 && 20*n > w.config.Bytes {
			w.t.Fatalf("a move of %d records, %d bytes", n, 20*n)
		}
		for _, o := range b.move.Offsets {
			r := &w.inbox[o]
			place := Place{max(r.due, r.stamp), o}
			switch {
			case got[o]:
				w.t.Fatalf("record %d is there twice", o)
			case place.Due > b.now:
				w.t.Fatalf("record %d is due at %d, and came at %d", o, place.Due, b.now)
			case place.Compare(last) <= 0:
				w.t.Fatalf("record %d at %v comes after %v", o, place, last)
			case w.cancelled(o, movedAt[o]):
				w.t.Fatalf("record %d was cancelled before it was moved", o)
			case r.plain && o < plain:
				w.t.Fatalf("record %d comes after %d, and both ask for nothing", o, plain)
			}
			if r.plain {
				plain = o
			}
			got[o], last = true, place
		}
	}
	for o := range kafka.Offset(len(w.inbox)) {
		r := &w.inbox[o]
		if r.move == nil && !r.cancel && !got[o] && !w.cancelled(o, w.end()) && !w.lostTopic {
			w.t.Fatalf("record %d, due at %d, is lost", o, r.due)
		}
	}
}

func (w *world) cancelled(o, before kafka.Offset) bool {
	for at := o + 1; at < before; at++ {
		if w.inbox[at].cancel && w.inbox[at].key == w.inbox[o].key {
			return true
		}
	}
	return false
}

func TestEachRecordLeavesOnceInOrderWhateverDies(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 300
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 400 {
				w.step()
				if n := len(w.p.near); n > w.config.Near {
					t.Fatalf("%d places in memory, %d allowed", n, w.config.Near)
				}
			}
			w.drain()
			w.check()
			if low := w.p.Low(); w.p.moveAt >= 0 && low < min(w.p.moveAt, slices.Min(w.p.move.Offsets)) {
				t.Fatalf("nothing waits, and the inbox is kept from %d on, the last move being at %d", low, w.p.moveAt)
			}
		})
	}
}

func TestATopicThatLostRecordsTakesTheNextOnes(t *testing.T) {
	for seed := range uint64(500) {
		w := newWorld(t, seed)
		for range 200 {
			w.step()
		}
		w.drain()
		// Replicas that were not in sync lead both: moves are gone from the topic.
		w.lostTopic = true
		w.topic = w.topic[:w.rng.IntN(len(w.topic)+1)]
		w.topicSafe, w.late = len(w.topic), nil
		w.elect()
		came := w.end()
		for range 30 {
			w.append(inboxRecord{due: w.time() + w.rng.Int64N(100)})
		}
		w.drain()
		w.check()
		got := 0
		for _, b := range w.topic {
			for _, o := range b.move.Offsets {
				if o >= came {
					got++
				}
			}
		}
		if got != 30 {
			t.Fatalf("seed %d: %d of 30 records came", seed, got)
		}
	}
}

func TestAnInboxThatLostMovesDoesNotUseTheirSequencesAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.config = Config{Near: 10, Records: 10, Bytes: 1000}
	w.p = New(w.config, 0)
	w.append(inboxRecord{})
	w.drain()
	w.inbox, w.safe = nil, 0
	w.elect()
	w.append(inboxRecord{})
	w.drain()
	if len(w.topic) != 2 {
		t.Fatalf("the topic took %d moves, want 2", len(w.topic))
	}
	if m := w.topic[1].move; m.Epoch != 1 || m.Sequence != 0 {
		t.Errorf("the second has epoch %d and sequence %d, want 1 and 0", m.Epoch, m.Sequence)
	}
}

func TestAClockThatIsBehindHoldsNothingUp(t *testing.T) {
	p := New(Config{Near: 10, Records: 10, Bytes: 1000}, 0)
	p.Take(Waiting{Place: Place{Offset: 0}}, 9000)
	if m, ok := p.Decide(1000, 1); !ok || m.Cursor.Due != 9000 {
		t.Errorf("a record of a leader whose clock was ahead waits: %v, %v", m, ok)
	}
	if got := p.Stamp(1000); got != 9000 {
		t.Errorf("the next record is stamped %d, want 9000", got)
	}
}

func TestWhatWasTakenInIsPassedOver(t *testing.T) {
	p := New(Config{Near: 10, Records: 10, Bytes: 1000}, 0)
	for range 2 {
		p.Take(Waiting{Place: Place{Offset: 0}, Key: KeyOf([]byte("a"))}, 100)
		p.Take(Waiting{Place: Place{Offset: 1}, Key: KeyOf(nil)}, 100)
		p.TakeCancel(2, KeyOf([]byte("a")), 100)
		p.TakeCancel(3, KeyOf(nil), 100)
	}
	if m, _ := p.Decide(100, 4); len(m.Offsets) != 1 || m.Offsets[0] != 1 {
		t.Errorf("moves %v, want the record at 1", m.Offsets)
	}
}

func TestWhatComesAfterTheNearestWereCancelledIsNotTakenForThem(t *testing.T) {
	p := New(Config{Near: 1, Records: 10, Bytes: 1000}, 0)
	tell := func() {
		p.Take(Waiting{Place: Place{5, 0}, Key: KeyOf([]byte("a"))}, 1)
		p.Take(Waiting{Place: Place{1000, 1}}, 1)
		p.TakeCancel(2, KeyOf([]byte("a")), 1)
	}
	tell()
	if _, ok := p.Decide(2, 3); ok || p.Wants() != 0 {
		t.Fatalf("wants %d, want to be told of the one due at 1000 again", p.Wants())
	}
	tell()
	p.Take(Waiting{Place: Place{100, 3}}, 2)
	if m, ok := p.Decide(100, 4); !ok || m.Cursor.Offset != 3 {
		t.Errorf("moves %v, %v; want the record at 3", m, ok)
	}
	if due, ok := p.Wake(); due != 100 || !ok {
		t.Errorf("wakes at %d, %v", due, ok)
	}
}

func TestARecordLargerThanAMoveLeavesAlone(t *testing.T) {
	p := New(Config{Near: 10, Records: 10, Bytes: 1000}, 0)
	for o := range kafka.Offset(2) {
		p.Take(Waiting{Place: Place{Offset: o}, Size: 5000}, 1)
	}
	if m, ok := p.Decide(1, 2); !ok || len(m.Offsets) != 1 {
		t.Errorf("moves %v, %v; want one record", m, ok)
	}
}

func TestWhatTheTopicHasDecidesWhatBecomesOfTheOpenMove(t *testing.T) {
	const appendIt, done, renew = 0, 1, 2
	none := Last{kafka.NoProducerEpoch, kafka.NoSequence}
	for _, c := range []struct {
		epoch    kafka.ProducerEpoch
		sequence int32
		last     Last
		want     int
	}{
		{0, 0, none, appendIt},
		{0, 0, Last{0, 1}, done},
		{0, 0, Last{0, 7}, renew},
		{0, 4, Last{0, 3}, appendIt},
		{0, 4, Last{0, 5}, done},
		{0, 4, Last{0, 2}, renew},
		{0, 4, Last{0, 9}, renew},
		{0, 4, none, renew},
		{2, 0, Last{1, 7}, appendIt},
		{2, 4, Last{1, 7}, renew},
		{2, 4, Last{3, 7}, renew},
		{0, 1<<31 - 1, Last{0, 1<<31 - 2}, appendIt},
		{0, 1<<31 - 1, Last{0, 0}, done},
	} {
		p := New(Config{Near: 10, Records: 10, Bytes: 1000}, 0)
		p.TakeMove(5, Move{Epoch: c.epoch, Sequence: c.sequence, Cursor: Place{10, 4}, Offsets: []kafka.Offset{3, 4}}, 10)
		m, renewed := p.Reached(c.last)
		_, open := p.Open(6)
		got := appendIt
		switch {
		case renewed:
			got = renew
			if m.Epoch <= max(c.epoch, c.last.Epoch) || m.Sequence != 0 || len(m.Offsets) != 2 || m.Cursor != (Place{10, 4}) {
				t.Errorf("epoch %d, sequence %d, topic at %v: renewed as %v", c.epoch, c.sequence, c.last, m)
			}
		case !open:
			got = done
		}
		if got != c.want {
			t.Errorf("epoch %d, sequence %d, topic at %v: %d, want %d", c.epoch, c.sequence, c.last, got, c.want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	p := New(Config{Near: 8192, Records: 500, Bytes: 1 << 20}, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	at := kafka.Offset(0)
	for b.Loop() {
		p.Take(Waiting{Place: Place{rng.Int64N(1 << 40), at}}, 0)
		if at++; at%8192 == 0 {
			p.near, p.far = p.near[:0], false
		}
	}
}

func TestManyThatWaitTakeLittleMemoryAndAFewReads(t *testing.T) {
	const records, near = 100_000, 4096
	p := New(Config{Near: near, Records: 500, Bytes: 1 << 20}, 0)
	due := func(o kafka.Offset) int64 { return 1000 + int64(o)*7919%records }
	reads, left, capacity := 0, 0, 0
	moves := map[kafka.Offset]Move{}
	end := kafka.Offset(records)
	for {
		for at := p.Wants(); at < end; at++ {
			if m, ok := moves[at]; ok {
				p.TakeMove(at, m, 0)
			} else {
				p.Take(Waiting{Place: Place{due(at), at}, Size: 100}, 0)
			}
			reads++
			capacity = max(capacity, cap(p.near))
		}
		m, ok := p.Decide(1<<40, end)
		if !ok {
			if p.Wants() == end {
				break
			}
			continue
		}
		moves[end] = m
		p.TakeMove(end, m, 0)
		p.Moved()
		end++
		left += len(m.Offsets)
	}
	if capacity > 2*near || p.near != nil || left != records || reads > records*(records/near+2) {
		t.Errorf("%d of %d left, places for %d in memory, %d reads", left, records, capacity, reads)
	}
}

func TestMovesGoRound(t *testing.T) {
	m := Move{Epoch: 3, Sequence: 1<<31 - 2, Cursor: Place{5000, 7}, Offsets: []kafka.Offset{90, 3, 7}}
	got, err := ReadMove(AppendMove(nil, m))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(m) || m.last() != 0 {
		t.Errorf("read %v, %v; wrote %v; last sequence %d", got, err, m, m.last())
	}
}

func FuzzReadMove(f *testing.F) {
	f.Add(AppendMove(nil, Move{Epoch: 3, Sequence: 9, Cursor: Place{5000, 7}, Offsets: []kafka.Offset{90, 3, 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMove(b)
		if err != nil {
			return
		}
		again, err := ReadMove(AppendMove(nil, m))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Errorf("read %v, wrote and read %v, %v", m, again, err)
		}
	})
}

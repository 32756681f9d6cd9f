package share

import (
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Write is what the share coordinator is to be told (WriteShareGroupState), as it will be when this has succeeded.
type Write struct {
	StateEpoch       int32
	LeaderEpoch      kafka.LeaderEpoch
	Start            kafka.Offset
	DeliveryComplete int32 // records from Start on that are done with
	Batches          []StateBatch
}

// NextWrite is what to write now, if there is anything. Only one write is in flight, and what is acknowledged meanwhile
// goes along with the next one: so writes cannot overtake each other, and the start that a write has is that of its success.
func (p *Partition) NextWrite() (Write, bool) {
	if p.inFlight || p.lastChange == p.settled && !p.unwritten {
		return Write{}, false
	}
	p.inFlight, p.writing, p.unwritten = true, p.lastChange, false
	w := Write{StateEpoch: p.stateEpoch, LeaderEpoch: p.leaderEpoch, Start: p.startWhenWritten()}
	for _, b := range p.batches {
		for i := range b.runs {
			r := &b.runs[i]
			if r.first < w.Start {
				r.unwritten = false // the start says it
				continue
			}
			if p.doneWhenWritten(&r.record) {
				w.DeliveryComplete += int32(r.len())
			}
			if s, ok := p.toWrite(&r.record); ok {
				w.Batches = AppendState(w.Batches, StateBatch{First: r.first, Last: r.last, State: s.state(), Deliveries: s.deliveries})
			}
			r.unwritten = false
		}
		b.join()
	}
	return w, true
}

// toWrite is the record as it is to be written, if it is.
func (p *Partition) toWrite(r *record) (record, bool) {
	switch {
	case r.change != 0:
		return record{status: r.to, deliveries: r.deliveries}, true
	case r.unwritten && r.status == acquired:
		return record{status: available, deliveries: r.deliveries - 1}, true // as it was before it was acquired again
	}
	return *r, r.unwritten
}

func (r *record) state() DeliveryState {
	switch r.status {
	case acknowledged:
		return Acknowledged
	case archived:
		return Archived
	}
	return Available
}

// AppendState adds b to batches, whose last one it may continue.
func AppendState(batches []StateBatch, b StateBatch) []StateBatch {
	if n := len(batches); n > 0 {
		if before := &batches[n-1]; before.Last+1 == b.First && before.State == b.State && before.Deliveries == b.Deliveries {
			before.Last = b.Last
			return batches
		}
	}
	return append(batches, b)
}

func (p *Partition) doneWhenWritten(r *record) bool {
	return r.done() || r.change != 0 && (r.to == acknowledged || r.to == archived)
}

// startWhenWritten is the start once all that is to be written is.
func (p *Partition) startWhenWritten() kafka.Offset {
	for _, b := range p.batches {
		if first, ok := b.firstNotDone(p.doneWhenWritten); ok {
			return first
		}
	}
	return p.next
}

// Settle ends the write in flight, with an error when it failed: then its records are acquired as before, except that locks
// may have ended. It returns the last Change that is settled by it.
func (p *Partition) Settle(now time.Time, err error) Change {
	p.alter(p.start, p.next, func(r *record) {
		switch {
		case r.change == 0 || r.change > p.writing:
		case err == nil:
			*r = record{status: r.to, deliveries: r.deliveries}
		case r.until.After(now):
			r.change, r.to = 0, 0
		default:
			p.release(r)
		}
		if err != nil {
			r.unwritten = r.worthWriting()
		}
	})
	p.inFlight, p.settled = false, p.writing
	p.advance()
	return p.settled
}

// worthWriting tells that there is something to say of the record. After a write that failed all of it is said again: the
// share coordinator may have taken the write in, and have forgotten what is below the start that the write had.
func (r *record) worthWriting() bool {
	switch r.status {
	case available:
		return r.deliveries > 0
	case acquired:
		return r.deliveries > 1
	}
	return r.done()
}

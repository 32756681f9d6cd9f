package schedule

import (
	"math"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// Move says that records leave the inbox for the topic: as one batch, in this order, under this sequence.
type Move struct {
	Epoch    kafka.ProducerEpoch
	Sequence int32 // of the first
	Cursor   Place // that of the last
	Offsets  []kafka.Offset
}

// last is the sequence of the last record, next that of the first one after it.
func (m *Move) last() int32 { return before(m.next()) }
func (m *Move) next() int32 { return batch.AddSequence(m.Sequence, int32(len(m.Offsets))) }

// Decide is the Move to be written to the inbox now, if there is one, when the inbox ends at end. It is for the caller to append
// it and to tell it to TakeMove; until then nothing has changed. The records need not be safe in the inbox yet: they lie
// before the Move, and it is not acted on before it is.
func (p *Partition) Decide(now int64, end kafka.Offset) (m Move, ok bool) {
	if p.next < end || !p.done {
		return m, false
	}
	if len(p.near) == 0 && p.far {
		p.again()
		return m, false
	}
	now = p.Stamp(now)
	m.Epoch, m.Sequence = p.epoch, p.sequence
	size := 0
	for i := range p.near {
		w := &p.near[i]
		size += int(w.Size)
		if w.Place.Due > now || i == p.config.Records || i > 0 && size > p.config.Bytes {
			break
		}
		m.Offsets, m.Cursor = append(m.Offsets, w.Place.Offset), w.Place
	}
	return m, len(m.Offsets) > 0
}

// again has the inbox told again from low. Nothing is near, so all before the horizon is gone.
func (p *Partition) again() {
	p.low = max(p.low, p.seen)
	p.gone, p.passed = p.horizon, p.next
	p.next, p.seen, p.far = p.low, kafka.NoOffset, false
}

// Open is the Move that the topic is not known to have, once it is safe in the inbox.
func (p *Partition) Open(safe kafka.Offset) (m Move, ok bool) {
	return p.move, !p.done && p.moveAt < safe
}

// Moved notes that the topic has the Move that is open, on all replicas in sync.
func (p *Partition) Moved() { p.done = true }

// Last is the newest batch that the topic has of the inbox's producer.
type Last struct {
	Epoch    kafka.ProducerEpoch // kafka.NoProducerEpoch if there is none
	Sequence int32               // of its last record
}

// Reached compares the inbox with the topic. It is called when a leader has been told all of the inbox, before it decides anything, and
// when the topic refused the sequence of a Move. The answer has to come from a leader of the topic's partition that was confirmed
// to be it after it was asked.
//
// Only where replicas that were not in sync were elected can the two disagree. Then the topic may have lost what had
// left, or have sequences that the inbox no longer knows of, and would take new records for old ones. So the Move
// that is open is to be written to the inbox again, as renewed, for an epoch in which nothing was appended.
func (p *Partition) Reached(last Last) (renewed Move, ok bool) {
	if p.moveAt == kafka.NoOffset {
		p.epoch = max(p.epoch, last.Epoch+1)
		return renewed, false
	}
	switch {
	case p.done, last == Last{p.move.Epoch, before(p.move.Sequence)}:
		return renewed, false
	case last == Last{p.move.Epoch, p.move.last()}:
		p.done = true
		return renewed, false
	case p.move.Sequence == 0 && last.Epoch < p.move.Epoch:
		return renewed, false
	}
	renewed = p.move
	renewed.Epoch, renewed.Sequence = max(last.Epoch, p.epoch)+1, 0
	return renewed, true
}

// before is the sequence before seq: they go round.
func before(seq int32) int32 { return batch.AddSequence(seq, math.MaxInt32) }

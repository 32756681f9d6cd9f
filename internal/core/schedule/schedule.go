// Package schedule decides what leaves the inbox of one partition whose records are delivered when they are due, as a pure
// machine. The leader of the inbox has a Partition, and calls it under the mutex under which it appends to the inbox. A
// Partition reads no log and writes nothing: what the inbox holds is told to it in the order of offsets, and what is to be
// appended comes from it.
//
// All records of an inbox are in one order, that of their places: by the time they are due, then by offset. What has
// left is said by one place, the cursor: all up to it has left or was cancelled, nothing beyond it has. For that to stay true no
// record may come to lie before the cursor, so a record is due no sooner than it was stamped on arrival, and stamps in
// the inbox never go back (Stamp).
//
// Records leave in moves. A Move is first written to the inbox and made safe there, then its records are appended to the topic
// under the sequence that it names, then the next one may be decided. Who leads the inbox next finds the last Move in the log, and
// appends it again: the sequence keeps the topic from taking it twice.
package schedule

import (
	"cmp"
	"crypto/sha256"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Config is the measure of a Partition.
type Config struct {
	Near    int // records whose places are held in memory, those that are due first
	Records int // records of one Move
	Bytes   int // size of one Move, which a single record may exceed
}

// Place is where a record stands in the order in which records leave.
type Place struct {
	Due    int64 // milliseconds since 1970
	Offset kafka.Offset
}

// Compare orders places.
func (p Place) Compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Due, o.Due), cmp.Compare(p.Offset, o.Offset))
}

// Key stands for the key of a record. Two keys have the same one only if they are the same; the zero value is no key.
type Key [16]byte

// KeyOf is the Key of a record's key. A null key has none.
func KeyOf(key []byte) Key {
	if key == nil {
		return Key{}
	}
	sum := sha256.Sum256(key)
	return Key(sum[:])
}

// Waiting is a record of the inbox that is to be delivered.
type Waiting struct {
	Place Place
	Key   Key
	Size  int32
}

// Partition is the machine. The inbox below next was told to it.
type Partition struct {
	config Config
	next   kafka.Offset
	stamp  int64 // the newest of the inbox below next
	cursor Place

	// near holds the records that wait beyond the cursor and before the horizon, in order. Beyond the horizon there are others
	// if far is set: they are found by going over the inbox again from low, which is done when near is empty.
	// Invariant: len(near) <= config.Near, and near lacks none that waits before the horizon.
	near    []Waiting
	far     bool
	horizon Place

	// What lies before gone and below passed was found to have left or to be cancelled when the inbox was last gone over.
	// Without that, records that are due first and cancelled later would take up near each time.
	gone   Place
	passed kafka.Offset

	low  kafka.Offset // nothing below waits
	seen kafka.Offset // the lowest that was found waiting since going over the inbox began; none yet: kafka.NoOffset

	// move is the last Move of the inbox, at offset moveAt; done says that the topic has it. The next one is for epoch and sequence.
	move     Move
	moveAt   kafka.Offset
	done     bool
	epoch    kafka.ProducerEpoch
	sequence int32
}

// New is a Partition that was told nothing of an inbox whose log begins at start.
func New(c Config, start kafka.Offset) *Partition {
	return &Partition{
		config: c, next: start, low: start, seen: kafka.NoOffset, cursor: Place{Offset: kafka.NoOffset},
		moveAt: kafka.NoOffset, done: true,
	}
}

// Wants is the offset from which the inbox is to be told on. It goes back when the records that are due first have left, and what
// is due next is no longer in memory.
func (p *Partition) Wants() kafka.Offset { return p.next }

// Stamp is the time with which the next append to the inbox is to be stamped, and by which records are due. It is not now
// where the clock went back, or the last leader's clock was ahead: to wait for the clock would hold up all that comes.
func (p *Partition) Stamp(now int64) int64 { return max(now, p.stamp) }

// Wake is the time, as Stamp tells it, from which Decide may have something to do; not ok if records have to come first.
func (p *Partition) Wake() (due int64, ok bool) {
	if len(p.near) == 0 {
		return 0, p.far
	}
	return p.near[0].Place.Due, true
}

// Low is up to where the inbox may be deleted. The last Move stays, and all that it names: the next leader appends it again.
func (p *Partition) Low() kafka.Offset {
	p.low = max(p.low, p.lowest())
	if p.moveAt == kafka.NoOffset {
		return p.low
	}
	return min(p.low, slices.Min(p.move.Offsets))
}

func (p *Partition) lowest() kafka.Offset {
	if p.far {
		return p.seen
	}
	low := p.next
	for i := range p.near {
		low = min(low, p.near[i].Place.Offset)
	}
	return low
}

// Package share is the leader's side of share groups (KIP-932) as a pure machine: a Partition says which records of one
// topic partition are acquired by which member of one share group, how often each was delivered, and what of it the share
// coordinator has to keep. The leader has one for each group and partition, and calls it under one mutex. A Partition reads
// no log and writes nothing: what was read is told to Acquire, what is to be written comes from NextWrite.
package share

import (
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Settings are the configs of the group that hold for its partitions. They may change at any time; locks that are held
// keep the end that they were given.
type Settings struct {
	MaxLocks      int           // share.partition.max.record.locks: records in flight
	MaxDeliveries int           // share.delivery.count.limit: after as many a record is archived
	LockDuration  time.Duration // share.record.lock.duration.ms
	Renew         bool          // share.renew.acknowledge.enable
}

// DefaultSettings are Kafka's.
func DefaultSettings() Settings {
	return Settings{MaxLocks: 2000, MaxDeliveries: 5, LockDuration: 30 * time.Second, Renew: true}
}

// DeliveryState is the state of a record as the share coordinator keeps it. A record that is acquired is not kept: until
// it is acknowledged, its last state counts.
type DeliveryState int8

// The delivery states, with Kafka's numbers. 1 is acquired, and 3 a record on its way to the dead-letter queue.
const (
	Available    DeliveryState = 0
	Acknowledged DeliveryState = 2
	Archived     DeliveryState = 4
)

// StateBatch is what is kept of the records from First to Last.
type StateBatch struct {
	First, Last kafka.Offset
	State       DeliveryState
	Deliveries  int16
}

// State is what the share coordinator keeps of a Partition. Start is known: that of a group that has not read the partition
// comes from share.auto.offset.reset.
type State struct {
	StateEpoch  int32
	LeaderEpoch kafka.LeaderEpoch
	Start       kafka.Offset
	Batches     []StateBatch // ascending
}

// Partition is the machine. Records below start are done with; those from next on were never read; between the two lie the
// records in flight.
type Partition struct {
	settings    Settings
	stateEpoch  int32
	leaderEpoch kafka.LeaderEpoch

	start, next kafka.Offset
	// batches hold the records in flight, ascending. Offsets between two batches have no record.
	// Invariant: start <= batches[0].first and batches[last].last == next-1; without batches, start == next.
	batches []*batch

	lastChange Change // the newest that was made
	settled    Change // all up to this one are written, or failed
	writing    Change // all up to this one are in the write in flight, when there is one
	inFlight   bool
	unwritten  bool // something besides changes is worth a write
}

// Load makes the Partition of what the share coordinator keeps.
func Load(settings Settings, state State) (*Partition, error) {
	p := &Partition{settings: settings, stateEpoch: state.StateEpoch, leaderEpoch: state.LeaderEpoch, start: state.Start, next: state.Start}
	if state.Start < 0 {
		return nil, fmt.Errorf("share state starts at %d", state.Start)
	}
	for _, b := range state.Batches {
		if b.First < p.next || b.Last < b.First {
			return nil, fmt.Errorf("share state from %d has a batch %d to %d after %d", state.Start, b.First, b.Last, p.next-1)
		}
		s, err := loadedStatus(b.State)
		if err != nil {
			return nil, fmt.Errorf("share state %d to %d: %w", b.First, b.Last, err)
		}
		// Nothing is known of records that were in flight without ever being acknowledged: they have to be read again.
		if b.First > p.next {
			p.batches = append(p.batches, newBatch(p.next, b.First-1, record{status: unread}))
		}
		p.batches = append(p.batches, newBatch(b.First, b.Last, record{status: s, deliveries: b.Deliveries}))
		p.next = b.Last + 1
	}
	p.advance()
	return p, nil
}

func loadedStatus(s DeliveryState) (status, error) {
	switch s {
	case Available:
		return available, nil
	case Acknowledged:
		return acknowledged, nil
	case Archived:
		return archived, nil
	}
	return 0, fmt.Errorf("delivery state %d", s)
}

// Configure has settings hold from now on.
func (p *Partition) Configure(settings Settings) { p.settings = settings }

// Start is the offset below which everything is done with.
func (p *Partition) Start() kafka.Offset { return p.start }

// InFlight counts the offsets in flight, those without a record among them.
func (p *Partition) InFlight() int { return int(p.next - p.start) }

// NextFetch is the offset to read from: that of the first record which can be acquired.
func (p *Partition) NextFetch() kafka.Offset {
	for _, b := range p.batches {
		for _, r := range b.runs {
			if r.acquirable() || r.status == unread {
				return r.first
			}
		}
	}
	return p.next
}

// CanAcquire tells whether reading is of use: a record in flight is available, or there is room for new ones.
func (p *Partition) CanAcquire() bool {
	return p.InFlight() < p.settings.MaxLocks || p.NextFetch() != p.next
}

// NextExpiry is when the first lock ends, zero when no record is locked.
func (p *Partition) NextExpiry() time.Time {
	var first time.Time
	for _, b := range p.batches {
		for _, r := range b.runs {
			if r.status == acquired && r.change == 0 && (first.IsZero() || r.until.Before(first)) {
				first = r.until
			}
		}
	}
	return first
}

// Expire ends the locks whose time is over, and tells whether there were any. Their records are available from now on,
// whether or not that can be written.
func (p *Partition) Expire(now time.Time) bool {
	expired := false
	for _, b := range p.batches {
		b.alter(b.first, b.last, func(r *record) {
			if r.status == acquired && r.change == 0 && !r.until.After(now) {
				p.release(r)
				expired = true
			}
		})
	}
	p.advance()
	return expired
}

// release gives an acquired record back, or archives it when it was delivered often enough.
func (p *Partition) release(r *record) {
	*r = record{status: p.released(r), deliveries: r.deliveries, unwritten: true}
	p.unwritten = true
}

func (p *Partition) released(r *record) status {
	if int(r.deliveries) >= p.settings.MaxDeliveries {
		return archived
	}
	return available
}

// MoveLogStart says that the log now begins at start: records before it are gone, acquired or not. Their members may
// still acknowledge them, to no effect.
func (p *Partition) MoveLogStart(start kafka.Offset) {
	if start <= p.start {
		return
	}
	p.start = start
	gone := 0
	for gone < len(p.batches) && p.batches[gone].last < start {
		gone++
	}
	p.batches = slices.Delete(p.batches, 0, gone)
	if len(p.batches) > 0 {
		p.batches[0].dropBefore(start)
	}
	p.next = max(p.next, start)
	p.unwritten = true
	p.advance()
}

// advance moves the start past the records that are done with.
func (p *Partition) advance() {
	p.start = p.next
	for i, b := range p.batches {
		if first, ok := b.firstNotDone(func(r *record) bool { return r.done() }); ok {
			b.dropBefore(first)
			p.start = first
			p.batches = slices.Delete(p.batches, 0, i)
			return
		}
	}
	p.batches = nil
}

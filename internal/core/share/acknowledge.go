package share

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Change names what a request did to the state of records, in the order of the requests. It is settled when it is written,
// or when that fails. 0 is a request that changed nothing.
type Change uint64

// AcknowledgeType is what a member says of a record.
type AcknowledgeType int8

// The types, with Kafka's numbers.
const (
	Gap     AcknowledgeType = iota // there is no such record
	Accept                         // processed
	Release                        // to be delivered again
	Reject                         // not to be delivered again
	Renew                          // still being processed: the lock begins anew
)

// Acknowledgement is what a member says of the records from First to Last: of each, or of all by one type.
type Acknowledgement struct {
	First, Last kafka.Offset
	Types       []AcknowledgeType
}

// CheckAcknowledgements tells whether the acknowledgements of one partition make sense by themselves. renew tells whether
// the request may have, and says that it has, records to renew. Two that meet in one offset pass, as in Apache Kafka: the
// record is no longer acquired for the second.
func CheckAcknowledgements(acks []Acknowledgement, renew bool) error {
	end := kafka.NoOffset
	for _, a := range acks {
		switch {
		case a.First > a.Last:
			return fmt.Errorf("acknowledgement of %d to %d: %w", a.First, a.Last, kerr.InvalidRequest)
		case a.First < end:
			return fmt.Errorf("acknowledgement of %d after one of %d: %w", a.First, end, kerr.InvalidRequest)
		case len(a.Types) == 0 || len(a.Types) > 1 && int64(a.Last-a.First) != int64(len(a.Types))-1:
			return fmt.Errorf("%d acknowledge types for %d to %d: %w", len(a.Types), a.First, a.Last, kerr.InvalidRequest)
		}
		for _, t := range a.Types {
			if t < Gap || t > Renew || t == Renew && !renew {
				return fmt.Errorf("acknowledge type %d: %w", t, kerr.InvalidRequest)
			}
		}
		end = a.Last
	}
	return nil
}

// Acknowledge takes in what the member says, all of it or, with an error, nothing. The acknowledgements have passed
// CheckAcknowledgements. The request is answered when the Change is settled.
func (p *Partition) Acknowledge(now time.Time, member string, acks []Acknowledgement) (Change, error) {
	if err := p.check(member, acks); err != nil {
		return 0, err
	}
	change := p.lastChange + 1
	for _, a := range acks {
		for first := max(a.First, p.start); first <= a.Last; {
			t, last := a.alike(first)
			p.alter(first, last, func(r *record) {
				if t == Renew {
					r.until = now.Add(p.settings.LockDuration)
				} else {
					r.change, r.to = change, p.after(t, r)
					p.lastChange = change
				}
			})
			first = last + 1
		}
	}
	return p.ifMade(change), nil
}

// alike is what is said of the record at off, and the last one of which the same is said.
func (a Acknowledgement) alike(off kafka.Offset) (AcknowledgeType, kafka.Offset) {
	if len(a.Types) == 1 {
		return a.Types[0], a.Last
	}
	types := a.Types[off-a.First:]
	n := 1
	for n < len(types) && types[n] == types[0] {
		n++
	}
	return types[0], off + kafka.Offset(n) - 1
}

// alter has f change the records in flight from first to last.
func (p *Partition) alter(first, last kafka.Offset, f func(*record)) {
	for _, b := range p.batches {
		if b.last >= first && b.first <= last {
			b.alter(first, last, f)
		}
	}
}

// after is what becomes of an acquired record by an acknowledgement.
func (p *Partition) after(t AcknowledgeType, r *record) status {
	switch t {
	case Accept:
		return acknowledged
	case Release:
		return p.released(r)
	}
	return archived
}

// ifMade is change, when a record is to become something by it.
func (p *Partition) ifMade(change Change) Change {
	if p.lastChange == change {
		return change
	}
	return 0
}

// Release gives back all that the member has acquired and not acknowledged: its session is over.
func (p *Partition) Release(member string) Change {
	change := p.lastChange + 1
	p.alter(p.start, p.next, func(r *record) {
		if r.heldBy(member) {
			r.change, r.to = change, p.released(r)
			p.lastChange = change
		}
	})
	return p.ifMade(change)
}

// check tells whether the member may acknowledge so.
func (p *Partition) check(member string, acks []Acknowledgement) error {
	end := kafka.NoOffset
	for _, a := range acks {
		if a.Last < p.start {
			continue // the records are done with, or gone from the log
		}
		if a.First <= end {
			return fmt.Errorf("offset %d is acknowledged twice: %w", a.First, kerr.InvalidRecordState)
		}
		if err := p.checkBounds(a); err != nil {
			return err
		}
		if err := p.checkHeld(member, a); err != nil {
			return err
		}
		if !p.settings.Renew && slices.Contains(a.Types, Renew) {
			return fmt.Errorf("the group does not renew locks: %w", kerr.InvalidRecordState)
		}
		end = a.Last
	}
	return nil
}

// checkBounds refuses acknowledgements of records that are not in flight.
func (p *Partition) checkBounds(a Acknowledgement) error {
	if len(p.batches) == 0 {
		return fmt.Errorf("nothing is in flight of %d to %d: %w", a.First, a.Last, kerr.InvalidRecordState)
	}
	within := p.batches[0]
	for _, b := range p.batches {
		if b.first <= a.Last {
			within = b
		}
	}
	if within.last < a.First || within.last < a.Last {
		return fmt.Errorf("%d to %d are not in flight, which end at %d: %w", a.First, a.Last, within.last, kerr.InvalidRequest)
	}
	return nil
}

func (p *Partition) checkHeld(member string, a Acknowledgement) error {
	for _, b := range p.batches {
		for _, r := range b.runs {
			if r.last >= a.First && r.first <= a.Last && !r.heldBy(member) {
				return fmt.Errorf("record %d is not acquired by member %q: %w", max(r.first, a.First), member, kerr.InvalidRecordState)
			}
		}
	}
	return nil
}

package share

import (
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Want is what a member asks for.
type Want struct {
	Member     string
	MaxRecords int // the whole of a batch is acquired when it exceeds this, except with RecordLimit
	BatchSize  int // how many records to acquire together at least, except with RecordLimit
	// RecordLimit is the acquire mode of KIP-1206: never more than MaxRecords, and no batches that follow those of the log.
	RecordLimit bool
}

// Read is what was read from the log at From for an Acquire.
type Read struct {
	From    kafka.Offset
	Batches []LogBatch // ascending; the first may begin before From
	// Aborted are the aborted transactions in what was read, for a group with share.isolation.level=read_committed.
	Aborted []AbortedTransaction
}

// Acquired is records that a member now holds, each delivered as often as Deliveries says.
type Acquired struct {
	First, Last kafka.Offset
	Deliveries  int16
}

// Acquire gives the member what it may have of the records that were read. An empty answer says that reading goes on:
// there was nothing, or all of it was of aborted transactions.
func (p *Partition) Acquire(now time.Time, w Want, read Read) []Acquired {
	if w.MaxRecords <= 0 || len(read.Batches) == 0 {
		return nil
	}
	p.forget(read.From, read.Batches[0].First-1)
	p.advance()
	a := acquisition{
		p: p, w: w, log: read.Batches, until: now.Add(p.settings.LockDuration),
		first: max(read.Batches[0].First, p.start), last: read.Batches[len(read.Batches)-1].Last,
	}
	if !a.limit(read.From) {
		return nil
	}
	a.run()
	a.archive(abortedBatches(read.Batches, read.Aborted))
	p.advance()
	return a.out
}

// forget lets go of records that are no longer in the log, the one read at first being after last: they were compacted.
func (p *Partition) forget(first, last kafka.Offset) {
	if first > last {
		return
	}
	for i := 0; i < len(p.batches); i++ {
		b := p.batches[i]
		switch {
		case b.last < first || b.first > last:
		case !b.unread():
			b.alter(first, last, func(r *record) {
				if r.acquirable() {
					*r = record{status: archived, deliveries: r.deliveries}
				}
			})
		case b.first < first:
			p.batches = slices.Insert(p.batches, i+1, b.split(first)) // comes next
		default:
			if b.last > last {
				p.batches = slices.Insert(p.batches, i+1, b.split(last+1))
			}
			*b = *newBatch(b.first, b.last, record{status: archived})
		}
	}
}

// acquisition is an Acquire under way.
type acquisition struct {
	p           *Partition
	w           Want
	log         []LogBatch
	first, last kafka.Offset // what may be acquired
	until       time.Time
	room        int  // how many more records to acquire
	stopped     bool // records that were delivered too often go alone
	out         []Acquired
}

// limit finds out how many records may be acquired, up to which one, and tells whether any.
func (a *acquisition) limit(from kafka.Offset) bool {
	if a.last < a.p.start {
		return false
	}
	a.room = min(a.w.MaxRecords, a.p.settings.MaxLocks-a.p.InFlight())
	if a.room > 0 {
		return true
	}
	// With as many records in flight as there may be, those of them that are available can still be acquired.
	a.room = min(a.w.MaxRecords, int(a.p.next-from))
	a.last = min(a.last, a.p.next-1)
	return a.room > 0 && a.first <= a.last
}

func (a *acquisition) run() {
	p := a.p
	for i := 0; i < len(p.batches) && a.goesOn(); i++ {
		b := p.batches[i]
		switch {
		case b.last < a.first:
		case b.first > a.last:
			return
		case b.unread():
			i += a.fill(i) - 1
		default:
			a.again(b)
		}
	}
	if a.goesOn() && p.next <= a.last {
		first := max(p.next, a.first)
		added, last := a.add(first, a.last)
		if len(p.batches) == 0 {
			p.start = first
		}
		p.batches = append(p.batches, added...)
		p.next = last + 1
	}
}

func (a *acquisition) goesOn() bool { return a.room > 0 && !a.stopped }

// fill puts the batches that were read into the place that batch i holds for them, and returns how many batches the place
// has become.
func (a *acquisition) fill(i int) int {
	b := a.p.batches[i]
	first, end := max(b.first, a.first), b.last
	var parts []*batch
	if b.first < first {
		parts = append(parts, newBatch(b.first, first-1, record{status: unread}))
	}
	added, last := a.add(first, min(a.last, end))
	parts = append(parts, added...)
	if last < end {
		parts = append(parts, newBatch(last+1, end, record{status: unread}))
	}
	a.p.batches = slices.Replace(a.p.batches, i, i+1, parts...)
	return len(parts)
}

// add makes batches of records that were not in flight, from first to last at most, and returns the last offset that they
// have. A batch of the log comes into flight as a whole.
func (a *acquisition) add(first, last kafka.Offset) ([]*batch, kafka.Offset) {
	if end := first + kafka.Offset(a.room) - 1; end < last {
		last = min(last, endOfBatchAt(a.log, end))
	}
	delivered := record{status: acquired, deliveries: 1, member: a.w.Member, until: a.until}
	if a.w.RecordLimit {
		b := newBatch(first, last, delivered)
		if b.size > a.room {
			b.alter(first+kafka.Offset(a.room), last, func(r *record) { *r = record{status: available} })
		}
		a.took(first, b.runs[0].last, 1)
		return []*batch{b}, last
	}
	var added []*batch
	for _, part := range a.parts(first, last) {
		added = append(added, newBatch(part.First, part.Last, delivered))
		a.took(part.First, part.Last, 1)
	}
	return added, last
}

// endOfBatchAt is the last offset of the batch that has off, or off when none has it.
func endOfBatchAt(log []LogBatch, off kafka.Offset) kafka.Offset {
	for _, b := range slices.Backward(log) {
		if b.First <= off {
			return max(b.Last, off)
		}
	}
	return off
}

// parts divides first to last where batches of the log begin, into parts of at least BatchSize.
func (a *acquisition) parts(first, last kafka.Offset) []Acquired {
	var parts []Acquired
	for _, b := range a.log {
		if b.First > last {
			break
		}
		if int(b.First-first) >= max(a.w.BatchSize, 1) {
			parts = append(parts, Acquired{First: first, Last: b.First - 1})
			first = b.First
		}
	}
	return append(parts, Acquired{First: first, Last: last})
}

// took notes that the member has the records from first to last.
func (a *acquisition) took(first, last kafka.Offset, deliveries int16) {
	a.room -= int(last - first + 1)
	a.out = append(a.out, Acquired{First: first, Last: last, Deliveries: deliveries})
}

// again acquires what is available of a batch that is in flight.
func (a *acquisition) again(b *batch) {
	isolate := a.isolates(b)
	if isolate && len(a.out) > 0 {
		a.stopped = true
		return
	}
	whole := b.first >= a.first && b.last <= a.last && len(b.runs) == 1
	if !whole || isolate || a.w.RecordLimit {
		a.some(b)
		a.stopped = isolate && len(a.out) > 0
		return
	}
	if r := b.runs[0]; r.acquirable() {
		a.lock(b, b.first, b.last)
		a.took(b.first, b.last, r.deliveries+1)
	}
}

// isolationAfter is the count of deliveries from which on a record is suspected to be the one that fails its batch.
func (p *Partition) isolationAfter() int { return max(2, (p.settings.MaxDeliveries+1)/2) }

// isolates tells whether b has records that were delivered so often that they are to be found out.
func (a *acquisition) isolates(b *batch) bool {
	return slices.ContainsFunc(b.runs, func(r run) bool {
		return r.acquirable() && r.last >= a.first && r.first <= a.last && int(r.deliveries) >= a.p.isolationAfter()
	})
}

// some acquires single records of b. From the count of deliveries on at which records are isolated, half of the batch is
// acquired, then a quarter, and so on; a record gets its last delivery alone. (Apache Kafka acquires without a bound once
// records that are not suspected, and come first, are more than that.)
func (a *acquisition) some(b *batch) {
	room := b.size
	if a.w.RecordLimit {
		room = min(room, a.room)
	}
	taken, halved := 0, false
	from := len(a.out)
	for _, r := range slices.Clone(b.runs) {
		first, last := max(r.first, a.first), min(r.last, a.last)
		if !r.acquirable() || first > last {
			continue
		}
		lastDelivery := a.p.settings.MaxDeliveries > 2 && int(r.deliveries) == a.p.settings.MaxDeliveries-1
		if over := int(r.deliveries) - a.p.isolationAfter(); over >= 0 && !halved {
			halved = true
			room = min(room, max(1, b.size>>(over+1)))
		}
		if lastDelivery {
			room = min(room, 1)
		}
		if taken >= room {
			break
		}
		last = min(last, first+kafka.Offset(room-taken)-1)
		a.lock(b, first, last)
		taken += int(last - first + 1)
		a.tookNext(from, first, last, r.deliveries+1)
		if taken >= room {
			break
		}
	}
}

// tookNext is took where the records may continue those that came before, since out[from].
func (a *acquisition) tookNext(from int, first, last kafka.Offset, deliveries int16) {
	if n := len(a.out); n > from && a.out[n-1].Last+1 == first && a.out[n-1].Deliveries == deliveries {
		a.out[n-1].Last = last
		a.room -= int(last - first + 1)
		return
	}
	a.took(first, last, deliveries)
}

func (a *acquisition) lock(b *batch, first, last kafka.Offset) {
	b.alter(first, last, func(r *record) {
		*r = record{status: acquired, deliveries: r.deliveries + 1, member: a.w.Member, until: a.until, unwritten: r.unwritten}
	})
}

// archive takes the records in aborted away from the member again: no member gets them.
func (a *acquisition) archive(aborted []LogBatch) {
	for _, span := range aborted {
		var kept []Acquired
		for _, got := range a.out {
			first, last := max(got.First, span.First), min(got.Last, span.Last)
			if first > last {
				kept = append(kept, got)
				continue
			}
			for _, b := range a.p.batches {
				if b.last >= first && b.first <= last {
					b.alter(first, last, func(r *record) { *r = record{status: archived, deliveries: r.deliveries} })
				}
			}
			if got.First < first {
				kept = append(kept, Acquired{First: got.First, Last: first - 1, Deliveries: got.Deliveries})
			}
			if last < got.Last {
				kept = append(kept, Acquired{First: last + 1, Last: got.Last, Deliveries: got.Deliveries})
			}
		}
		a.out = kept
	}
}

package share

import (
	"slices"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// status is what a record in flight is at the moment.
type status int8

const (
	available status = iota
	acquired
	acknowledged
	archived
	// unread is a record that an earlier leader had in flight: whether there is one is known only when it is read again.
	unread
)

// record is what is known of a record in flight, and of its neighbours that are alike.
type record struct {
	status     status
	deliveries int16

	// Of an acquired record: whose it is, and when the lock ends.
	member string
	until  time.Time
	// change, when not 0, is to make the acquired record into to as soon as that is written. Until then it can neither be
	// acknowledged again nor expire.
	change Change
	to     status

	// unwritten says that the share coordinator was not told of the last delivery.
	unwritten bool
}

func (r *record) acquirable() bool { return r.status == available }

// heldBy tells that the record is the member's to acknowledge.
func (r *record) heldBy(member string) bool {
	return r.status == acquired && r.change == 0 && r.member == member
}

// done tells that the record is never delivered again.
func (r *record) done() bool { return r.status == acknowledged || r.status == archived }

// run is records next to each other that are alike.
type run struct {
	first, last kafka.Offset
	record
}

func (r *run) len() int { return int(r.last - r.first + 1) }

// batch is records that were acquired together when they were read first. It stays together, however its records fare,
// since a batch of records whose processing fails is delivered in ever smaller parts.
type batch struct {
	first, last kafka.Offset
	size        int // how many records it had at first
	// runs cover first to last. Invariant: no two neighbours are alike.
	runs []run
}

func newBatch(first, last kafka.Offset, r record) *batch {
	return &batch{first: first, last: last, size: int(last - first + 1), runs: []run{{first: first, last: last, record: r}}}
}

// unread tells that the batch only holds the place of records.
func (b *batch) unread() bool { return b.runs[0].status == unread }

// cut makes a run begin at off.
func (b *batch) cut(off kafka.Offset) {
	for i := range b.runs {
		if r := b.runs[i]; r.first < off && off <= r.last {
			left := r
			left.last = off - 1
			b.runs[i].first = off
			b.runs = slices.Insert(b.runs, i, left)
			return
		}
	}
}

// alter has f change the records from first to last.
func (b *batch) alter(first, last kafka.Offset, f func(*record)) {
	if first > b.first {
		b.cut(first)
	}
	if last < b.last {
		b.cut(last + 1)
	}
	for i := range b.runs {
		if r := &b.runs[i]; r.first >= first && r.last <= last {
			f(&r.record)
		}
	}
	b.join()
}

// join makes one run of neighbours that have become alike.
func (b *batch) join() {
	joined := b.runs[:1]
	for _, r := range b.runs[1:] {
		if before := &joined[len(joined)-1]; before.record == r.record {
			before.last = r.last
		} else {
			joined = append(joined, r)
		}
	}
	clear(b.runs[len(joined):])
	b.runs = joined
}

// firstNotDone is the first record that is not done with, by what done says of records, if there is one.
func (b *batch) firstNotDone(done func(*record) bool) (kafka.Offset, bool) {
	for i := range b.runs {
		if r := &b.runs[i]; !done(&r.record) {
			return r.first, true
		}
	}
	return 0, false
}

// dropBefore forgets the records below off, which is in the batch.
func (b *batch) dropBefore(off kafka.Offset) {
	if off <= b.first {
		return
	}
	b.cut(off)
	b.runs = slices.DeleteFunc(b.runs, func(r run) bool { return r.last < off })
	b.first = off
}

// split makes a batch that only holds a place end before off, and returns the rest of it.
func (b *batch) split(off kafka.Offset) *batch {
	rest := newBatch(off, b.last, b.runs[0].record)
	*b = *newBatch(b.first, off-1, b.runs[0].record)
	return rest
}

// Package machine has the shape that the coordinators share: a Machine holds what one partition of an internal topic says,
// decides on events in Step, and takes durable changes in by Apply alone. node/coord runs machines on the partitions' logs,
// one event at a time. A machine starts no goroutine, reads no clock and does no I/O; nothing that Step or Apply is given
// is kept, so what a machine remembers is copied.
package machine

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Machine is the state of one partition. Durable state changes only by Apply, ApplyTransactional, EndTransaction, Commit
// and Revert; what is live, such as members and their waiting requests, changes by Step and is built again after a load.
type Machine interface {
	// Step decides what follows from ev. It changes nothing durable.
	Step(now time.Time, ev Event) Output
	// Apply takes in the record at off: after Step, at load, and on replicas alike. It fails on a record that the machine
	// cannot read. timestamp is in milliseconds since 1970.
	Apply(off kafka.Offset, key, value []byte, timestamp int64) error
	// ApplyTransactional takes in a record that counts when EndTransaction commits it.
	ApplyTransactional(off kafka.Offset, producer kafka.ProducerID, key, value []byte) error
	// EndTransaction takes in the marker at off that ends the producer's transaction.
	EndTransaction(off kafka.Offset, producer kafka.ProducerID, commit bool)
	// Commit says that everything below upto is committed: Revert no longer reaches it.
	Commit(upto kafka.Offset)
	// Revert undoes what was applied at from and above, none of it being committed: the records are not in the log.
	Revert(from kafka.Offset)
}

// Event is what a Machine steps on: Request, TimerFired, Loaded, Committed, Failed, or one of the machine's own.
type Event any

// Request is a client's request, answered by a Reply with its Ticket in this Step or in a later one. Tickets are not 0
// and not used twice.
type Request struct {
	Ticket     uint64
	ClientID   string
	ClientHost string // as Kafka prints an address: "/127.0.0.1"
	Version    int16
	Req        kmsg.Request
}

// TimerFired says that a Timer's time has come. A timer that was moved or stopped meanwhile must not fire.
type TimerFired struct{ ID TimerID }

// Loaded follows the last Apply of a load.
type Loaded struct{}

// Committed says that the records of the Step that gave out Write are committed, Commit having been called.
type Committed struct{ Write uint64 }

// Failed says that the records of the Step that gave out Write were not appended (Revert having been called) or not
// committed in time. Err is why.
type Failed struct {
	Write uint64
	Err   error
}

// Output is what one Step asks for. The caller appends Records (which may be split over several batches, in order) and
// gives each to Apply at once, before the next Step.
type Output struct {
	Records []Record
	Replies []Reply
	Timers  []Timer
	// Producer, where not nil, is whose transaction Records are part of: they are appended in batches of their own, and taken in by
	// ApplyTransactional.
	Producer *Producer
	// Write, when not 0, asks for a Committed or a Failed event about Records.
	Write uint64
	// Tasks are work outside of the machine, begun as soon as the Step has returned: a machine that wants records committed
	// first asks for them on Committed. What comes of a task comes back as an event of the machine's own.
	Tasks []Task
}

// Producer writes in a transaction.
type Producer struct {
	ID    kafka.ProducerID
	Epoch kafka.ProducerEpoch
}

// Record is a record for the partition. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Reply answers the request with Ticket. AfterCommit means: not before everything applied so far is committed; when that
// fails, the request is refused instead: see coord.Config.
type Reply struct {
	Ticket      uint64
	Response    kmsg.Response
	AfterCommit bool
}

// Timer moves the timer ID to At, or stops it when At is zero.
type Timer struct {
	ID TimerID
	At time.Time
}

// TimerID names a timer; a Machine has at most one running timer of each. Kinds are numbered by the machine.
type TimerID struct {
	Kind   TimerKind
	Of     string // such as a group or a transactional id
	Member string // of the group; "" where the timer is the group's
}

// TimerKind is what a timer waits for.
type TimerKind int8

// Task is work that the machine's surroundings do for it, of a type of the machine's own.
type Task any

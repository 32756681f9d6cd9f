// Package history is what the clients of a run did and saw, and the judgement of it: Check finds what no order of events in a
// correct log can explain. The names of the anomalies are those of Jepsen's kafka workload, with four more for groups, for damaged
// bytes and for records that were read and are gone.
//
// The load writes a History through a Recorder; each client has a log of its own in it, which one goroutine at a time may use. There
// are no goroutines here.
package history

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Value names one record for ever: the process that sent it and how many it had sent before.
type Value uint64

const seqBits = 40

// Damaged is what a reader notes for a record that is not as any client sends them.
const Damaged = ^Value(0)

// NewValue is the n-th record of a process.
func NewValue(process int, n int) Value { return Value(process)<<seqBits | Value(n) }

// Process is the number of the client that sent the record.
func (v Value) Process() int { return int(v >> seqBits) }

// Seq counts the records of one process, from 0.
func (v Value) Seq() int { return int(v & (1<<seqBits - 1)) }

func (v Value) String() string {
	if v == Damaged {
		return "a damaged record"
	}
	return fmt.Sprintf("record %d of producer %d", v.Seq(), v.Process())
}

// What a Send has for an offset if it has none.
const (
	Unacknowledged = -1
	// Somewhere is for a record whose acknowledgement does not say where: it was sent twice, and the second was refused as known.
	Somewhere = -2
)

// Send is one record that a client sent. Phase tells when it was acknowledged.
type Send struct {
	Partition int32
	Phase     int32
	// Txn is the producer's transaction, counted from 1; 0 for a record outside of any.
	Txn    int32
	Offset int64
}

// Producer is one client and its records in the order in which it sent them: those of one partition must land in this order.
type Producer struct {
	id    int
	phase *atomic.Int32
	clock *atomic.Int64

	mu struct {
		sync.Mutex
		sends []Send
		acked int
		txns  []Txn
		open  int32 // the transaction that is open, counted from 1; 0 for none
	}
}

// ID is the number of the process in the names of its records.
func (p *Producer) ID() int { return p.id }

// Send notes a record before it is sent and names it.
func (p *Producer) Send(partition int32) Value {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.sends = append(p.mu.sends, Send{Partition: partition, Txn: p.mu.open, Offset: Unacknowledged})
	return NewValue(p.id, len(p.mu.sends)-1)
}

// Acked notes that a record was acknowledged, at an offset or Somewhere.
func (p *Producer) Acked(v Value, offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.sends[v.Seq()].Offset, p.mu.sends[v.Seq()].Phase = offset, p.phase.Load()
	p.mu.acked++
}

// Read is one record as a consumer was given it.
type Read struct {
	Offset int64
	Value  Value
}

// Kind tells the events of a consumer apart.
type Kind uint8

// The events. The numbers of Begun and Moment order those of a group's members.
const (
	// Assigned: the partition is the consumer's from now on, from Offset, or from where the group was if that is -1.
	Assigned Kind = iota
	// Polled: the consumer was given Reads.
	Polled
	// Committed: a commit of Offset was begun at Begun and acknowledged at Moment; Moment is 0 for one with another outcome.
	Committed
)

// Event is something that happened to a consumer and one partition.
type Event struct {
	Kind      Kind
	Partition int32
	Offset    int64
	Begun     int64
	Moment    int64
	Reads     []Read
}

// Consumer is one client that reads. Those with a Group share the partitions by the group's rules.
type Consumer struct {
	Name  string
	Group string
	// Final is set for readers that read all from the start, after the last fault was healed.
	Final bool
	clock *atomic.Int64

	mu struct {
		sync.Mutex
		events []Event
	}
}

// Now is a moment that is later than all before in this run.
func (c *Consumer) Now() int64 { return c.clock.Add(1) }

// Assigned notes that the consumer reads the partition from now on; offset is -1 where the group's commits say from where.
func (c *Consumer) Assigned(partition int32, offset int64) {
	c.add(Event{Kind: Assigned, Partition: partition, Offset: offset, Moment: c.Now()})
}

// Polled notes records of one poll. It keeps reads.
func (c *Consumer) Polled(partition int32, reads []Read) {
	if len(reads) > 0 {
		c.add(Event{Kind: Polled, Partition: partition, Reads: reads, Moment: c.Now()})
	}
}

// Committed notes a commit that was begun at the given moment, and whether it was acknowledged.
func (c *Consumer) Committed(partition int32, offset, begun int64, acked bool) {
	e := Event{Kind: Committed, Partition: partition, Offset: offset, Begun: begun}
	if acked {
		e.Moment = c.Now()
	}
	c.add(e)
}

func (c *Consumer) add(e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.events = append(c.mu.events, e)
}

// Recorder collects the logs of all clients of a run.
type Recorder struct {
	clock atomic.Int64
	phase atomic.Int32 // index of the last of phases, plus one
	mu    struct {
		sync.Mutex
		phases    []string
		producers []*Producer
		consumers []*Consumer
	}
}

// Phase begins a part of the run, such as a fault; what is found missing is told with the phase in which it was acknowledged.
func (r *Recorder) Phase(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.phases = append(r.mu.phases, name)
	r.phase.Store(int32(len(r.mu.phases)))
}

// Producer adds a client that sends.
func (r *Recorder) Producer() *Producer {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &Producer{id: len(r.mu.producers), phase: &r.phase, clock: &r.clock}
	r.mu.producers = append(r.mu.producers, p)
	return p
}

// Consumer adds a client that reads; group is empty for one that reads what it is told.
func (r *Recorder) Consumer(name, group string) *Consumer {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Consumer{Name: name, Group: group, clock: &r.clock}
	r.mu.consumers = append(r.mu.consumers, c)
	return c
}

// FinalConsumer adds a reader of the last phase.
func (r *Recorder) FinalConsumer(name string) *Consumer {
	c := r.Consumer(name, "")
	c.Final = true
	return c
}

// Counts is how many records were sent and acknowledged so far.
func (r *Recorder) Counts() (sent, acked int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.mu.producers {
		p.mu.Lock()
		sent, acked = sent+len(p.mu.sends), acked+p.mu.acked
		p.mu.Unlock()
	}
	return sent, acked
}

// AckedEnds is one past the highest acknowledged offset of each partition.
func (r *Recorder) AckedEnds() map[int32]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ends := map[int32]int64{}
	for _, p := range r.mu.producers {
		p.mu.Lock()
		for _, s := range p.mu.sends {
			if s.Offset >= 0 {
				ends[s.Partition] = max(ends[s.Partition], s.Offset+1)
			}
		}
		p.mu.Unlock()
	}
	return ends
}

// History is the run as Check judges it. Sends[process][seq] is the record of that name, Txns[process] are the transactions.
type History struct {
	Sends     [][]Send
	Txns      [][]Txn
	Consumers []Log
	Phases    []string
}

// during says in which phase something was acknowledged.
func (h History) during(phase int32) string {
	if phase < 1 || int(phase) > len(h.Phases) {
		return ""
	}
	return ", in " + h.Phases[phase-1]
}

// Log is what happened to one consumer, in order.
type Log struct {
	Name   string
	Group  string
	Final  bool
	Events []Event
}

// History is all that was noted. It shares memory with the recorder, so the clients must have ended.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := History{Phases: r.mu.phases}
	for _, p := range r.mu.producers {
		p.mu.Lock()
		h.Sends = append(h.Sends, p.mu.sends)
		h.Txns = append(h.Txns, p.mu.txns)
		p.mu.Unlock()
	}
	for _, c := range r.mu.consumers {
		c.mu.Lock()
		h.Consumers = append(h.Consumers, Log{Name: c.Name, Group: c.Group, Final: c.Final, Events: c.mu.events})
		c.mu.Unlock()
	}
	return h
}

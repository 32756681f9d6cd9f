package coord

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// state is where a shard is in its life.
type state int8

const (
	loading state = iota
	active
	failed // its log could not be read
	ended
)

// call is a request of a client that waits in Submit.
type call struct {
	machine.Request
	answer chan kmsg.Response // room for the one answer
	gone   bool               // the client gave up; guarded by shard.calls
}

// shard runs one machine on one partition, in one term of leadership.
//
// Its goroutine, run, takes the whole inbox, steps the machine through it, appends the records of all those steps as one
// batch, and parks the answers that wait for it. The machine has the records applied when it takes the next step, so it
// may be ahead of the log by one batch: when the append fails, both go back. Everything below mu and calls belongs to run,
// of which there is never more than one at a time.
//
// mu and calls are never held together.
type shard struct {
	rt    *Runtime
	place Place
	log   PartitionLog
	after <-chan struct{} // closed when the shard before this one has made its last append; may be nil
	done  chan struct{}   // closed when run has ended for good
	kick  chan struct{}   // wakes a run that waits; room for one

	mu struct {
		sync.Mutex
		state   state
		inbox   []machine.Event
		running bool // run is on its way
	}
	// calls are the requests that have no answer yet. Its mutex is held while the machine reads a request, so that after
	// forget nobody does.
	calls struct {
		sync.Mutex
		byTicket map[uint64]*call
	}

	machine   machine.Machine
	timers    timers
	wake      *time.Timer // pokes at wakeAt
	wakeAt    time.Time   // zero when the timer is not set
	next      kafka.Offset
	committed kafka.Offset // the high watermark as the machine knows it
	builder   *batch.Builder
	open      []step // steps whose fate is that of the batch in builder
	parked    []step // steps that are appended and not committed, by offset
}

// step is what waits for the records up to an offset.
type step struct {
	next     kafka.Offset // everything below it must be committed
	replies  []machine.Reply
	write    uint64
	marking  *marking // nil but for a marker, which is a step of its own
	deadline time.Time
}

func newShard(r *Runtime, p int32, log PartitionLog, epoch kafka.LeaderEpoch, after <-chan struct{}) *shard {
	place := Place{Partition: p, Epoch: epoch, Rand: r.shardRand()}
	s := &shard{
		rt: r, place: place, log: log, after: after,
		done: make(chan struct{}), kick: make(chan struct{}, 1),
		machine: r.cfg.New(place),
	}
	s.calls.byTicket = make(map[uint64]*call)
	s.wake = time.AfterFunc(time.Hour, s.poke)
	s.wake.Stop()
	return s
}

// leads tells whether the shard already does what Lead asks for. The epochs of another log do not compare.
func (s *shard) leads(log PartitionLog, epoch kafka.LeaderEpoch) bool {
	return s.log == log && (s.place.Epoch > epoch || s.place.Epoch == epoch && !s.is(ended))
}

func (s *shard) is(st state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.state == st
}

// ask puts what somebody waits for, a queued call or a marking, into the inbox. A full inbox means that the shard is overwhelmed: the error makes clients come back
// without looking for another coordinator.
func (s *shard) ask(ev machine.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.state == loading:
		return kerr.CoordinatorLoadInProgress
	case s.mu.state != active:
		return kerr.NotCoordinator
	case len(s.mu.inbox) >= s.rt.cfg.MaxInbox:
		return kerr.CoordinatorLoadInProgress
	}
	s.mu.inbox = append(s.mu.inbox, ev)
	s.pokeLocked()
	return nil
}

// queued is a call in the inbox.
type queued struct{ *call }

// tell puts an event of the node's own into the inbox, also while the shard loads.
func (s *shard) tell(ev machine.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state == loading || s.mu.state == active {
		s.mu.inbox = append(s.mu.inbox, ev)
		s.pokeLocked()
	}
}

// forget gives up c: when it returns, nobody reads its request.
func (s *shard) forget(c *call) {
	s.calls.Lock()
	defer s.calls.Unlock()
	c.gone = true
	delete(s.calls.byTicket, c.Ticket)
}

// end has run answer everybody and stop. It does not wait.
func (s *shard) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.state != ended {
		s.mu.state = ended
		s.pokeLocked()
	}
}

// poke makes run look at the inbox, the clock and the high watermark.
func (s *shard) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pokeLocked()
}

func (s *shard) pokeLocked() {
	if s.mu.running {
		select {
		case s.kick <- struct{}{}:
		default:
		}
		return
	}
	select {
	case <-s.done: // ended for good
	default:
		s.mu.running = true
		s.rt.wg.Go(s.run)
	}
}

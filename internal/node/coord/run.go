package coord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/core/machine"
)

// run is the shard's goroutine. It ends when the shard has nothing to do, and is started again by poke.
func (s *shard) run() {
	if s.is(loading) {
		s.load()
	}
	for first := true; ; first = false {
		events, st, idle := s.take(first)
		switch {
		case st == ended:
			s.stop(events)
			return
		case idle:
			return
		case st == failed:
			s.dismiss(events)
			continue
		}
		now := time.Now()
		s.advance(now)
		for _, ev := range events {
			s.step(now, ev)
		}
		s.fire(now)
		s.giveUp(now)
		for s.builder != nil {
			s.flush(now)
		}
		s.setWake(now)
		s.wait()
	}
}

// take empties the inbox. idle means that run was to end and has, as far as poke is concerned.
func (s *shard) take(first bool) (events []machine.Event, st state, idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.mu.inbox = s.mu.inbox, nil
	kicked := false
	select {
	case <-s.kick:
		kicked = true
	default:
	}
	idle = !first && !kicked && len(events) == 0 && len(s.parked) == 0 && s.mu.state != ended
	if idle {
		s.mu.running = false
	}
	return events, s.mu.state, idle
}

// wait waits for the oldest parked step to be committed, or for something else to do. Without parked steps there is
// nothing to wait for.
func (s *shard) wait() {
	if len(s.parked) == 0 {
		return
	}
	oldest := s.parked[0].next
	reached, leave := s.log.Reached(oldest)
	select {
	case <-s.kick:
		leave()
	case <-reached:
		if _, hw := s.log.Offsets(); hw < oldest {
			// The partition is no longer ours, although nobody has said so yet: what is parked will not be committed.
			s.end()
		}
	}
}

// step has the machine decide on ev and does what it asks for.
func (s *shard) step(now time.Time, ev machine.Event) {
	if m, ok := ev.(*marking); ok {
		s.mark(now, m)
		return
	}
	out, ok := s.decide(now, ev)
	if !ok {
		return
	}
	s.timers.set(out.Timers)
	for _, t := range out.Tasks {
		s.rt.cfg.Do(s.place, t, s.tell)
	}
	st := step{write: out.Write, deadline: now.Add(s.rt.cfg.WriteTimeout)}
	for _, reply := range out.Replies {
		if reply.AfterCommit {
			st.replies = append(st.replies, reply)
		} else {
			s.answer(reply)
		}
	}
	if err := s.write(now, out.Records, out.Producer); err != nil {
		s.fail(now, st, err)
		return
	}
	st.next = s.next
	switch {
	case len(st.replies) == 0 && st.write == 0 && len(out.Records) == 0:
	case s.builder != nil:
		s.open = append(s.open, st)
	case s.next > s.committed:
		s.parked = append(s.parked, st)
	default:
		s.settle(now, st)
	}
	if out.Producer != nil && s.builder != nil {
		// Nobody else is to fail because this producer's epoch is over.
		_ = s.flush(now) // whose steps were told
	}
}

// decide is the machine's Step, with the request, if ev is one, safe from being given up meanwhile.
func (s *shard) decide(now time.Time, ev machine.Event) (machine.Output, bool) {
	if l, ok := ev.(*look); ok {
		l.at(s.machine)
		return machine.Output{}, false
	}
	q, isCall := ev.(queued)
	if !isCall {
		return s.machine.Step(now, ev), true
	}
	s.calls.Lock()
	defer s.calls.Unlock()
	if q.gone {
		return machine.Output{}, false
	}
	s.calls.byTicket[q.Ticket] = q.call
	return s.machine.Step(now, q.Request), true
}

// fire steps the machine through the timers that are due. What it sets for now meanwhile is for the next round.
func (s *shard) fire(now time.Time) {
	for range s.timers.len() {
		id, ok := s.timers.pop(now)
		if !ok {
			return
		}
		s.step(now, machine.TimerFired{ID: id})
	}
}

// settle is for a step whose records are committed.
func (s *shard) settle(now time.Time, st step) {
	for _, reply := range st.replies {
		s.answer(reply)
	}
	if st.marking != nil {
		st.marking.done <- nil
	}
	if st.write != 0 {
		s.step(now, machine.Committed{Write: st.write})
	}
}

// fail is for a step whose records are not in the log, or not committed in time.
func (s *shard) fail(now time.Time, st step, err error) {
	for _, reply := range st.replies {
		s.refuse(reply.Ticket, err)
	}
	if st.marking != nil {
		st.marking.done <- err
	}
	if st.write != 0 {
		s.step(now, machine.Failed{Write: st.write, Err: err})
	}
}

// advance takes in what the high watermark has passed.
func (s *shard) advance(now time.Time) {
	_, hw := s.log.Offsets()
	if hw <= s.committed {
		return
	}
	s.committed = min(hw, s.next)
	s.machine.Commit(s.committed)
	for len(s.parked) > 0 && s.parked[0].next <= s.committed {
		st := s.parked[0]
		s.parked = s.parked[1:]
		s.settle(now, st)
	}
}

// giveUp fails the steps that have waited too long. Their records are in the log and stay applied.
func (s *shard) giveUp(now time.Time) {
	for len(s.parked) > 0 && !now.Before(s.parked[0].deadline) {
		st := s.parked[0]
		s.parked = s.parked[1:]
		s.fail(now, st, kerr.RequestTimedOut)
	}
}

// setWake has poke called at the next deadline. A timer that is set for earlier is left alone: most deadlines are those
// of sessions, which move with each heartbeat.
func (s *shard) setWake(now time.Time) {
	at := s.timers.next()
	if len(s.parked) > 0 && (at.IsZero() || s.parked[0].deadline.Before(at)) {
		at = s.parked[0].deadline
	}
	if at.IsZero() || s.wakeAt.After(now) && !s.wakeAt.After(at) {
		return
	}
	s.wakeAt = at
	s.wake.Reset(at.Sub(now))
}

func (s *shard) answer(reply machine.Reply) {
	s.calls.Lock()
	defer s.calls.Unlock()
	if c := s.calls.byTicket[reply.Ticket]; c != nil {
		delete(s.calls.byTicket, reply.Ticket)
		c.answer <- reply.Response
	}
}

func (s *shard) refuse(ticket uint64, err error) {
	s.calls.Lock()
	defer s.calls.Unlock()
	if c := s.calls.byTicket[ticket]; c != nil {
		delete(s.calls.byTicket, ticket)
		c.answer <- s.rt.refusal(c.Req, err)
	}
}

// dismiss answers requests that were not stepped on.
func (s *shard) dismiss(events []machine.Event) {
	s.calls.Lock()
	defer s.calls.Unlock()
	for _, ev := range events {
		switch ev := ev.(type) {
		case queued:
			if !ev.gone {
				ev.answer <- s.rt.refusal(ev.Req, kerr.NotCoordinator)
			}
		case *look:
			close(ev.seen)
		case *marking:
			ev.done <- kerr.NotCoordinator
		}
	}
}

// stop ends the shard for good.
func (s *shard) stop(events []machine.Event) {
	s.wake.Stop()
	s.dismiss(events)
	s.calls.Lock()
	for _, c := range s.calls.byTicket {
		c.answer <- s.rt.refusal(c.Req, kerr.NotCoordinator)
	}
	clear(s.calls.byTicket)
	s.calls.Unlock()
	for _, st := range s.parked {
		if st.marking != nil {
			st.marking.done <- kerr.NotCoordinator
		}
	}
	s.machine, s.timers, s.parked, s.open, s.builder = nil, timers{}, nil, nil, nil

	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.running = false
	close(s.done)
}

package liveness

import (
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// sessions is who was heard of when: what the active controller fences silent nodes by. It is pure.
//
// Time is what this process has been awake for. One that was stopped and goes on (SIGSTOP, a virtual machine that was paused)
// finds every session over at once, while the heartbeats that came meanwhile wait in its sockets. So a look that comes late
// moves all sessions by what it is late: nobody is fenced for the silence of the one who listens.
type sessions struct {
	timeout time.Duration
	most    time.Duration // between two looks of a process that is awake
	looked  time.Time     // zero before the first look
	heard   map[kafka.NodeID]time.Time
}

func newSessions(timeout, most time.Duration) *sessions {
	return &sessions{timeout: timeout, most: most, heard: map[kafka.NodeID]time.Time{}}
}

// touch begins a session, or goes on with it.
func (s *sessions) touch(now time.Time, id kafka.NodeID) {
	if now.After(s.heard[id]) {
		s.heard[id] = now
	}
}

// keep has sessions for these nodes alone: one that is new begins now.
func (s *sessions) keep(now time.Time, nodes []kafka.NodeID) {
	next := make(map[kafka.NodeID]time.Time, len(nodes))
	for _, id := range nodes {
		at, ok := s.heard[id]
		if !ok {
			at = now
		}
		next[id] = at
	}
	s.heard = next
}

// nextEnd is when the first session is over that is not over yet; zero where there is none.
func (s *sessions) nextEnd(now time.Time) (first time.Time) {
	for _, at := range s.heard {
		if end := at.Add(s.timeout); end.After(now) && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// due lists the nodes whose session is over.
func (s *sessions) due(now time.Time) (over []kafka.NodeID) {
	if late := now.Sub(s.looked) - s.most; !s.looked.IsZero() && late > 0 {
		for id, at := range s.heard {
			s.heard[id] = at.Add(late)
		}
	}
	s.looked = now
	for id, at := range s.heard {
		if now.Sub(at) >= s.timeout {
			over = append(over, id)
		}
	}
	return over
}

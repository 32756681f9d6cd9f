package coord

import "fmt"

// Limit sets bounds that tests can reach; 0 leaves one as it is.
func (r *Runtime) Limit(maxBatch, maxInbox int) {
	if maxBatch > 0 {
		r.cfg.MaxBatch = maxBatch
	}
	if maxInbox > 0 {
		r.cfg.MaxInbox = maxInbox
	}
}

// Calls counts the requests of a partition that have no answer yet.
func (r *Runtime) Calls(p int32) int {
	s := r.shard(p)
	s.calls.Lock()
	defer s.calls.Unlock()
	return len(s.calls.byTicket)
}

// Idle is an error where a partition is not active, or its goroutine runs.
func (r *Runtime) Idle(p int32) error {
	s := r.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.running || s.mu.state != active {
		return fmt.Errorf("partition %d: running %v, state %d", p, s.mu.running, s.mu.state)
	}
	return nil
}

package liveness

import "time"

// assuranceAge is how old an active controller's knowledge may be that a majority follows it: it steps down after the second of
// raft's election timeouts, a second each, in which it heard of none.
const assuranceAge = 2 * time.Second

// Lapsed tells whether other nodes may lead in this one's place without its knowing. The controller replaces a node whose
// heartbeat it has not had for a session, and it had none after the one that it answered last: so while a session since the
// sending of that is not over, nobody else leads. What a node says after it of where a log ends may be about a log that goes on
// elsewhere.
func (w *Watch) Lapsed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.several && time.Since(w.assured) > w.cfg.Session
}

// assure notes that the controller took a heartbeat that was sent then.
func (w *Watch) assure(sent time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads { // it asked itself
		sent = sent.Add(-min(assuranceAge, 2*w.cfg.Session/3))
	}
	w.assured = sent
}

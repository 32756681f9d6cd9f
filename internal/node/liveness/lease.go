package liveness

import "time"

// assuranceAge is by how much an active controller lapses earlier than other nodes: the next one need not wait for a whole session
// from its election on before it gives away what the one before led, when it has heard nothing of that for so long. What the others
// had confirmed of the one before was so before they elected the next.
const assuranceAge = 2 * time.Second

func (w *Watch) assuranceAge() time.Duration { return min(assuranceAge, 2*w.cfg.Session/3) }

// Lapsed tells whether other nodes may lead in this one's place without its knowing. The controller replaces a node whose
// heartbeat it has not had for a session, and it had none after the one that it answered last: so while a session since the
// sending of that is not over, nobody else leads. What a node says after it of where a log ends may be about a log that goes on
// elsewhere.
func (w *Watch) Lapsed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.several && time.Since(w.assured) >= w.cfg.Session
}

// assure notes that the controller took a heartbeat that was sent then.
func (w *Watch) assure(sent time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads {
		sent = sent.Add(-w.assuranceAge())
	}
	w.assured = sent
}

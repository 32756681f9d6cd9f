package partition

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/storage/commitlog"
)

// mover makes the copies of the replicas that move to one log dir, in turns, on one goroutine.
type mover struct {
	dir  *dir
	pace pace
	bell chan struct{}
	buf  []byte // of one chunk

	mu    sync.Mutex
	moves []*move
}

const (
	// moveChunk is how much is read of a log at a time, or one batch that is larger. Where a rate is set it is a quarter of a second's.
	moveChunk = 1 << 20
	// moveLook is how often a copy that is as far as its log looks for more.
	moveLook = 20 * time.Millisecond
	// moveTell is how often the controller is told where the replica will be, until it knows.
	moveTell = time.Second
	// moveFlush is how much of a copy is written before it is flushed.
	moveFlush = 64 << 20
	// mostMoveRetry is the longest time until what failed is tried again.
	mostMoveRetry = 30 * time.Second
)

func newMover(d *dir) *mover { return &mover{dir: d, bell: make(chan struct{}, 1)} }

func (m *mover) add(mv *move) {
	m.mu.Lock()
	m.moves = append(m.moves, mv)
	m.mu.Unlock()
	m.ring()
}

func (m *mover) ring() {
	select {
	case m.bell <- struct{}{}:
	default:
	}
}

func (m *mover) all() []*move {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.moves)
}

// clearing tells whether the folder of an earlier move of the same partition is to be cleared away yet.
func (m *mover) clearing(mv *move) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.IndexFunc(m.moves, func(o *move) bool { return o.part.tp == mv.part.tp }) < slices.Index(m.moves, mv)
}

// run copies until stop is closed, and clears away then what is over.
func (m *mover) run(stop <-chan struct{}) {
	look := time.NewTimer(moveLook)
	defer look.Stop()
	for {
		moves, more := m.all(), false
		for _, mv := range moves {
			select {
			case <-stop:
				m.end()
				return
			default:
			}
			more = m.turn(mv, stop) || more
		}
		if more {
			continue
		}
		var again <-chan time.Time
		if len(moves) > 0 {
			look.Reset(moveLook)
			again = look.C
		} else {
			m.buf = nil
		}
		select {
		case <-stop:
			m.end()
			return
		case <-m.bell:
		case <-again:
		}
	}
}

// turn goes on with one move. It tells whether there is more to do at once.
func (m *mover) turn(mv *move, stop <-chan struct{}) (more bool) {
	p := mv.part
	switch {
	case mv.counts():
		mv.tell(time.Now())
		return false
	case !p.moves(mv):
		m.discard(mv)
		return false
	case m.dir.offline() != nil || p.dir().offline() != nil:
		m.abandon(mv)
		return false
	case time.Now().Before(mv.wait):
		return false
	}
	chunk := int(min(moveChunk, max(m.dir.set.MoveRate()/4, 1)))
	n, more, err := mv.step(time.Now(), chunk)
	if err != nil {
		mv.failed(err)
		return false
	}
	if mv.tries = 0; n > 0 {
		m.hold(n, stop)
	}
	return more
}

// hold waits as long as the bytes just copied take at the rate that is set.
func (m *mover) hold(bytes int, stop <-chan struct{}) {
	wait := m.pace.next(time.Now(), bytes, m.dir.set.MoveRate())
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	case <-m.bell: // something else is to be looked at; what is owed to the rate is waited for later
	}
}

// moves tells whether mv goes on.
func (p *Partition) moves(mv *move) bool {
	p.role.RLock()
	defer p.role.RUnlock()
	return p.role.move == mv && p.role.ended == nil
}

// counts tells whether the metadata has the replica in the dir of a copy whose move was given up: the copy stays until it does no more.
func (mv *move) counts() bool {
	p := mv.part
	p.role.RLock()
	defer p.role.RUnlock()
	over := p.role.move != mv && p.role.ended == nil && p.set.Moved != nil
	return over && p.dir() != mv.to && mv.to.offline() == nil && p.role.given.Directory(p.set.Node) == mv.to.id()
}

// tell has the controller told where the replica is, or will be.
func (mv *move) tell(now time.Time) {
	if now.Sub(mv.told) >= moveTell {
		mv.told = now
		mv.part.set.Moved(mv.part)
	}
}

// failed notes that a step could not be made. Only an error of the copy's disk is one that the move does not get over.
func (mv *move) failed(err error) {
	p := mv.part
	if offline := p.dir().offline(); offline != nil {
		p.dir().fail(offline)
	}
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		mv.to.full(err)
	case mv.to.offline() != nil:
		mv.to.fail(err)
	case errors.Is(err, kerr.CorruptMessage):
		p.role.RLock()
		if mv.cut == notCut { // else it may have been read while the log was cut and appended to
			p.hurt(err)
		}
		p.role.RUnlock()
	case mv.tries == 0:
		p.set.Log.Warn("a replica could not be copied on to another log dir, and will be tried again", "partition", p.tp.String(),
			"to", mv.to.Path(), "err", err)
	}
	if l := mv.copied.Load(); l != nil && l.Failed() != nil && !errors.Is(l.Failed(), commitlog.ErrClosed) {
		mv.to.fail(l.Failed())
	}
	mv.wait = time.Now().Add(min(retryAfter<<min(mv.tries, 10), mostMoveRetry))
	mv.tries++
}

// discard removes the copy of a move that is over.
func (m *mover) discard(mv *move) {
	l := mv.copied.Swap(nil)
	err := m.dir.DeleteFuture(mv.folder, mv.part.tp, l)
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		mv.copied.Store(l)
		return // there may be room the next time
	case err != nil && l != nil:
		m.dir.Abandon(l)
	case err != nil:
		m.dir.set.Log.Error("a copy of a replica was not deleted", "partition", mv.part.tp.String(), "folder", mv.folder, "err", err)
	}
	if offline := m.dir.offline(); offline != nil {
		m.dir.fail(offline)
	}
	m.leave(mv)
}

// abandon gives a move up whose dir, or whose partition's, failed. The copy stays: the next start goes on with it.
func (m *mover) abandon(mv *move) {
	p := mv.part
	p.role.Lock()
	if p.role.move == mv {
		p.role.move = nil
		p.tellDir()
	}
	p.role.Unlock()
	if l := mv.copied.Swap(nil); l != nil {
		m.dir.Abandon(l)
	}
	p.set.Log.Error("a replica does not move to another log dir, as one of the two failed", "partition", p.tp.String(),
		"from", p.dir().Path(), "to", m.dir.Path())
	m.leave(mv)
}

// leave forgets a move.
func (m *mover) leave(mv *move) {
	m.mu.Lock()
	m.moves = slices.DeleteFunc(m.moves, func(o *move) bool { return o == mv })
	m.mu.Unlock()
	if mv.held {
		m.dir.set.cleaners.resume(mv.part, false)
	}
	close(mv.gone)
}

// end clears away what is over. The copies that go on, or stay, are closed with the dir.
func (m *mover) end() {
	for _, mv := range m.all() {
		if !mv.part.moves(mv) && !mv.counts() {
			m.discard(mv)
		}
	}
}

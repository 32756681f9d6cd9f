package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// turn is one Step under way: its time and what it has asked for so far.
type turn struct {
	s   *Shard
	now time.Time
	out machine.Output
	way []machine.Record // those in out that remove a group for another of its id
}

// waiter is a parked request; ticket 0 means none.
type waiter struct {
	ticket  uint64
	version int16
}

func (w waiter) waits() bool { return w.ticket != 0 }

// pendingWrite is what a group does when the records of a Step are committed, or when they are not.
type pendingWrite interface {
	committed(t *turn)
	failed(t *turn, err error)
}

// watch has w told about the fate of this turn's records. A turn has at most one.
func (t *turn) watch(w pendingWrite) {
	t.s.lastWrite++
	t.out.Write = t.s.lastWrite
	t.s.writes[t.out.Write] = w
}

func (t *turn) settle(write uint64) (pendingWrite, bool) {
	w, ok := t.s.writes[write]
	delete(t.s.writes, write)
	return w, ok
}

func (t *turn) record(key, value []byte) {
	t.out.Records = append(t.out.Records, machine.Record{Key: key, Value: value})
}

// reply answers at once.
func (t *turn) reply(w waiter, resp kmsg.Response) { t.answer(w, resp, false) }

// replyAfterCommit answers when everything up to the records of this turn is committed.
func (t *turn) replyAfterCommit(w waiter, resp kmsg.Response) { t.answer(w, resp, true) }

func (t *turn) answer(w waiter, resp kmsg.Response, afterCommit bool) {
	if !w.waits() {
		return
	}
	resp.SetVersion(w.version)
	t.out.Replies = append(t.out.Replies, machine.Reply{Ticket: w.ticket, Response: resp, AfterCommit: afterCommit})
}

// fail answers r with err in the shape of its own response.
func (t *turn) fail(r machine.Request, err error) {
	t.reply(waiterOf(r), ErrorResponse(r.Req, r.Version, err))
}

func waiterOf(r machine.Request) waiter { return waiter{ticket: r.Ticket, version: r.Version} }

func (t *turn) arm(id machine.TimerID, after time.Duration) {
	t.out.Timers = append(t.out.Timers, machine.Timer{ID: id, At: t.now.Add(max(after, 0))})
}

func (t *turn) disarm(id machine.TimerID) {
	t.out.Timers = append(t.out.Timers, machine.Timer{ID: id})
}

// millis is this turn's time as records have it.
func (t *turn) millis() int64 { return t.now.UnixMilli() }

// group finds a group, or returns nil. Groups with members are live; of others what is saved is enough, so the group
// returned is only for reading unless it is taken into live.
func (s *Shard) group(id string) *group {
	if g, ok := s.live[id]; ok {
		return g
	}
	if saved, ok := s.saved.Get(id); ok {
		return saved.restore(id)
	}
	return nil
}

// drop forgets what is live of a group.
func (t *turn) drop(g *group) {
	delete(t.s.live, g.id)
	t.disarm(g.timer(JoinTimer))
	t.disarm(g.timer(SyncTimer))
	for _, m := range g.members {
		t.disarm(g.session(m.id))
	}
	for id := range g.pendingJoin {
		t.disarm(g.session(id))
	}
}

func (g *group) timer(kind machine.TimerKind) machine.TimerID {
	return machine.TimerID{Kind: kind, Of: g.id}
}

func (g *group) session(member string) machine.TimerID {
	return machine.TimerID{Kind: SessionTimer, Of: g.id, Member: member}
}

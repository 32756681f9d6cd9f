package txn

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// turn is one Step under way.
type turn struct {
	s   *Shard
	now time.Time
	out machine.Output
}

// waiter is a request that is to be answered; ticket 0 means nobody.
type waiter struct {
	ticket  uint64
	version int16
}

// reply answers at once: for what the state has no part in.
func (t *turn) reply(w waiter, resp kmsg.Response) { t.answer(w, resp, false) }

// replyAfterCommit answers when everything up to the records of this turn is committed. Whatever follows from the state waits for that,
// refusals too: a producer that was told that it is fenced, by a record that came to nothing, would give up.
func (t *turn) replyAfterCommit(w waiter, resp kmsg.Response) { t.answer(w, resp, true) }

func (t *turn) answer(w waiter, resp kmsg.Response, afterCommit bool) {
	if w.ticket == 0 {
		return
	}
	resp.SetVersion(w.version)
	t.out.Replies = append(t.out.Replies, machine.Reply{Ticket: w.ticket, Response: resp, AfterCommit: afterCommit})
}

func (t *turn) arm(id machine.TimerID, after time.Duration) {
	t.out.Timers = append(t.out.Timers, machine.Timer{ID: id, At: t.now.Add(max(after, 0))})
}

func (t *turn) disarm(kind machine.TimerKind, id string) {
	t.out.Timers = append(t.out.Timers, machine.Timer{ID: machine.TimerID{Kind: kind, Of: id}})
}

func (t *turn) armTimeout(id string, x transaction) {
	end := time.UnixMilli(x.started + int64(x.timeout))
	t.arm(machine.TimerID{Kind: TimeoutTimer, Of: id}, end.Sub(t.now))
}

func (t *turn) millis() int64 { return t.now.UnixMilli() }

// save writes what becomes of a transactional id.
func (t *turn) save(id string, x transaction) {
	x.updated = t.millis()
	t.out.Records = append(t.out.Records, machine.Record{Key: keyOf(id), Value: x.value()})
}

// watch writes what becomes of a transactional id, and hears of what becomes of that: see finish and failed. A turn does so once.
func (t *turn) watch(id string, x transaction) {
	t.save(id, x)
	t.s.lastWrite++
	t.out.Write = t.s.lastWrite
	t.s.writes[t.out.Write] = id
}

// decide writes the end of a transaction, and has its markers written once that is committed.
func (t *turn) decide(id string, x transaction) {
	t.watch(id, x)
	t.disarm(TimeoutTimer, id)
}

func (s *Shard) sorted() []string {
	ids := make([]string, 0, s.saved.Len())
	for id := range s.saved.All() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *Shard) lastEpoch(id string) kafka.ProducerEpoch {
	if e, ok := s.lastEpochs.Get(id); ok {
		return e
	}
	return kafka.NoProducerEpoch
}

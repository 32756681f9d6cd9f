package txn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
)

// world runs a Shard as node/coord does: records are applied at once, and committed, or lost, when the test says so.
type world struct {
	t         *testing.T
	s         *Shard
	now       time.Time
	epoch     kafka.LeaderEpoch
	log       []machine.Record
	committed int
	appended  int // what lies below is in the log, committed or not, and only a move may lose it
	waiting   []waitingStep
	timers    map[machine.TimerID]time.Time
	tasks     []machine.Task
	answers   map[uint64]kmsg.Response
	asked     map[uint64]kmsg.Request
	tickets   uint64
	nextID    kafka.ProducerID
}

// waitingStep waits for the records below next.
type waitingStep struct {
	next    int
	replies []machine.Reply
	write   uint64
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.UnixMilli(1_000_000), epoch: 3, timers: map[machine.TimerID]time.Time{},
		answers: map[uint64]kmsg.Response{}, asked: map[uint64]kmsg.Request{}, nextID: 1000}
	w.s = w.shard()
	return w
}

func (w *world) shard() *Shard {
	return New(Config{Epoch: w.epoch, MaxTimeout: 15 * time.Minute, Expiration: 7 * 24 * time.Hour, Sweep: time.Hour,
		GroupPartition: func(group string) int32 { return int32(len(group)) }})
}

func (w *world) step(ev machine.Event) {
	out := w.s.Step(w.now, ev)
	for _, timer := range out.Timers {
		if timer.At.IsZero() {
			delete(w.timers, timer.ID)
		} else {
			w.timers[timer.ID] = timer.At
		}
	}
	w.tasks = append(w.tasks, out.Tasks...)
	for _, r := range out.Records {
		if err := w.s.Apply(kafka.Offset(len(w.log)), r.Key, r.Value, w.now.UnixMilli()); err != nil {
			w.t.Fatal(err)
		}
		w.log = append(w.log, r)
	}
	st := waitingStep{next: len(w.log), write: out.Write}
	for _, r := range out.Replies {
		if r.AfterCommit {
			st.replies = append(st.replies, r)
		} else {
			w.answers[r.Ticket] = r.Response
		}
	}
	w.waiting = append(w.waiting, st)
	if w.committed == len(w.log) {
		w.commit()
	}
}

// commit has all that was written committed, and what follows from that written.
func (w *world) commit() {
	w.committed = len(w.log)
	w.s.Commit(kafka.Offset(w.committed))
	done := w.waiting
	w.waiting = nil
	for _, st := range done {
		for _, r := range st.replies {
			w.answers[r.Ticket] = r.Response
		}
		if st.write != 0 {
			w.step(machine.Committed{Write: st.write})
		}
	}
}

// settle commits until there is nothing more to write.
func (w *world) settle() {
	for w.committed < len(w.log) || len(w.waiting) > 0 {
		w.commit()
	}
}

// lose has the append of what is not in the log yet fail.
func (w *world) lose() {
	kept := max(w.committed, w.appended)
	w.log = w.log[:kept]
	w.s.Revert(kafka.Offset(kept))
	w.refuseAll(kerr.NotLeaderForPartition)
}

// late has what is not committed take too long: it stays in the log.
func (w *world) late() {
	w.appended = len(w.log)
	w.refuseAll(kerr.RequestTimedOut)
}

func (w *world) refuseAll(err error) {
	failed := w.waiting
	w.waiting = nil
	for _, st := range failed {
		for _, r := range st.replies {
			w.answers[r.Ticket] = Refuse(w.asked[r.Ticket], w.asked[r.Ticket].GetVersion(), err)
		}
		if st.write != 0 {
			w.step(machine.Failed{Write: st.write, Err: err})
		}
	}
}

// move has another node take over, with the records below keep and those that are committed, and nothing that was live. A negative keep is for
// none but those that are committed: the state must be the same then.
func (w *world) move(keep int) {
	w.log = w.log[:min(max(keep, w.committed), len(w.log))]
	w.waiting, w.tasks = nil, nil
	clear(w.timers)
	w.epoch++
	before := dump(w.s)
	w.s = w.shard()
	for i, r := range w.log {
		if err := w.s.Apply(kafka.Offset(i), r.Key, r.Value, 0); err != nil {
			w.t.Fatal(err)
		}
	}
	w.committed, w.appended = len(w.log), 0
	w.s.Commit(kafka.Offset(w.committed))
	if after := dump(w.s); keep < 0 && after != before {
		w.t.Fatalf("loaded:\n%s\nwas:\n%s", after, before)
	}
	w.step(machine.Loaded{})
}

// dump shows what is committed.
func dump(s *Shard) string {
	var lines []string
	for id, x := range s.saved.AllCommitted() {
		lines = append(lines, fmt.Sprintf("%s %+v", id, x))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// pass lets time go by, with the timers on the way.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		var first machine.TimerID
		at := end.Add(1)
		for id, t := range w.timers {
			if t.Before(at) || t.Equal(at) && fmt.Sprint(id) < fmt.Sprint(first) {
				first, at = id, t
			}
		}
		if at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		delete(w.timers, first)
		w.step(machine.TimerFired{ID: first})
	}
	w.now = end
}

func (w *world) ask(req kmsg.Request) uint64 {
	w.tickets++
	w.asked[w.tickets] = req
	w.step(machine.Request{Ticket: w.tickets, Version: req.GetVersion(), Req: req})
	return w.tickets
}

// work does the oldest task.
func (w *world) work() (markers WriteMarkers, done bool) {
	task := w.tasks[0]
	w.tasks = w.tasks[1:]
	switch task := task.(type) {
	case NewProducerID:
		w.nextID++
		w.step(GotProducerID{Number: task.Number, ID: w.nextID})
		return WriteMarkers{}, false
	case WriteMarkers:
		w.step(MarkersWritten{task.Marker})
		return task, true
	}
	panic("no such task")
}

// all works until nothing is left, and returns the markers that were written.
func (w *world) all() (markers []WriteMarkers) {
	w.settle()
	for len(w.tasks) > 0 {
		if m, ok := w.work(); ok {
			markers = append(markers, m)
		}
		w.settle()
	}
	return markers
}

func (w *world) answer(ticket uint64) kmsg.Response {
	w.t.Helper()
	resp, ok := w.answers[ticket]
	if !ok {
		w.t.Fatal("no answer")
	}
	return resp
}

func initReq(id string, version int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = version, &id, 60_000
	return req
}

func (w *world) init(req *kmsg.InitProducerIDRequest) (kafka.ProducerID, kafka.ProducerEpoch, error) {
	w.t.Helper()
	ticket := w.ask(req)
	w.all()
	resp := w.answer(ticket).(*kmsg.InitProducerIDResponse)
	return kafka.ProducerID(resp.ProducerID), kafka.ProducerEpoch(resp.ProducerEpoch), kerr.ErrorForCode(resp.ErrorCode)
}

func (w *world) mustInit(id string) (kafka.ProducerID, kafka.ProducerEpoch) {
	w.t.Helper()
	p, e, err := w.init(initReq(id, 5))
	if err != nil {
		w.t.Fatal(err)
	}
	return p, e
}

func addReq(id string, p kafka.ProducerID, e kafka.ProducerEpoch, version int16, verify bool, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = version
	if version < 4 {
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, int64(p), int16(e)
		req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}}
		return req
	}
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{{TransactionalID: id, ProducerID: int64(p), ProducerEpoch: int16(e), VerifyOnly: verify,
		Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: "t", Partitions: partitions}}}}
	return req
}

// addErr is the error of the first partition.
func addErr(resp kmsg.Response) error {
	r := resp.(*kmsg.AddPartitionsToTxnResponse)
	if len(r.Transactions) > 0 {
		return kerr.ErrorForCode(r.Transactions[0].Topics[0].Partitions[0].ErrorCode)
	}
	return kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
}

func (w *world) add(id string, p kafka.ProducerID, e kafka.ProducerEpoch, version int16, partitions ...int32) error {
	w.t.Helper()
	ticket := w.ask(addReq(id, p, e, version, false, partitions...))
	w.settle()
	return addErr(w.answer(ticket))
}

func (w *world) verify(id string, p kafka.ProducerID, e kafka.ProducerEpoch, partition int32) error {
	w.t.Helper()
	ticket := w.ask(addReq(id, p, e, 5, true, partition))
	w.settle()
	return addErr(w.answer(ticket))
}

func endReq(id string, p kafka.ProducerID, e kafka.ProducerEpoch, version int16, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = version, id, int64(p), int16(e), commit
	return req
}

// end asks for an end, without any markers being written.
func (w *world) end(id string, p kafka.ProducerID, e kafka.ProducerEpoch, version int16, commit bool) (kafka.ProducerID, kafka.ProducerEpoch, error) {
	w.t.Helper()
	ticket := w.ask(endReq(id, p, e, version, commit))
	w.settle()
	for len(w.tasks) > 0 { // for a producer id
		if _, ok := w.tasks[0].(NewProducerID); !ok {
			break
		}
		w.work()
		w.settle()
	}
	resp := w.answer(ticket).(*kmsg.EndTxnResponse)
	return kafka.ProducerID(resp.ProducerID), kafka.ProducerEpoch(resp.ProducerEpoch), kerr.ErrorForCode(resp.ErrorCode)
}

func (w *world) state(id string) State {
	w.t.Helper()
	x, ok := w.s.saved.Get(id)
	if !ok {
		w.t.Fatalf("%s is not known", id)
	}
	return x.state
}

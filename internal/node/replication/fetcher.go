package replication

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

// answerTime is how long the answer to a fetch may take beyond the wait that was asked for.
const answerTime = 30 * time.Second

// fetcher follows one leader: it goes round by round, each of one request, one answer and one wait for the disk. A round
// appends what came of all partitions, waits until all of it is safe, which is one group commit, and asks from there on: the
// offsets of the next request are the follower's word that it has all before them.
//
// It has two goroutines. run goes the rounds and has the session. admit opens the logs of partitions that are to be
// followed, which may have to be recovered, so that no partition holds up the others; and since a round of an idle session
// waits at the leader for a good while, it has the leader answer at once when there is a partition for the next one: a new
// leader would otherwise wait for its followers for that long.
type fetcher struct {
	r      *Replicas
	of     source
	log    *slog.Logger
	ctx    context.Context
	end    context.CancelFunc
	bell   chan struct{} // wakes run
	queued chan struct{} // wakes admit

	// following and failing are the sizes of session.parts and delayed, for Stats.
	following, failing atomic.Int32

	mu struct {
		sync.Mutex
		// wanted is what is to be followed, as the metadata says. queue are the partitions of which something changed: those
		// that are not wanted are to be given up.
		wanted map[key]*wanted
		queue  []key
		ready  []admitted // for run
		// round is the request under way that may wait at the leader; its epoch is 0 when there is none.
		round   round
		hurried bool // the leader was asked to answer it
	}

	// What follows is run's.
	session  *session
	conn     Conn
	failures int // in a row, of whole rounds
	delayed  map[key]*followed
	nextDue  time.Time // the least of delayed's; zero when there are none
	appended []*followed
	moved    []*followed
	taken    []admitted
}

type wanted struct {
	part          *partition.Partition
	fresh, queued bool // the metadata is news since it was admitted last; it is in the queue
}

// admitted is a partition whose log is open, or could not be opened; part is nil for one to be given up.
type admitted struct {
	key   key
	part  *partition.Partition
	fresh bool
	err   error
}

type round struct{ id, epoch int32 }

func newFetcher(r *Replicas, of source) *fetcher {
	f := &fetcher{
		r: r, of: of, log: r.Log.With("leader", int32(of.leader)), bell: make(chan struct{}, 1), queued: make(chan struct{}, 1),
		session: newSession(r.Self), delayed: map[key]*followed{},
	}
	f.mu.wanted = map[key]*wanted{}
	f.ctx, f.end = context.WithCancel(r.ctx)
	return f
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

func (f *fetcher) wake() { ring(f.bell) }

// follow has a partition followed, or looked at again since its metadata changed.
func (f *fetcher) follow(p *partition.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := keyOf(p)
	w := f.mu.wanted[k]
	if w == nil {
		w = &wanted{}
		f.mu.wanted[k] = w
	}
	w.part, w.fresh = p, true
	f.enqueue(k, w)
}

// leave has it followed no longer.
func (f *fetcher) leave(p *partition.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := keyOf(p)
	delete(f.mu.wanted, k)
	f.mu.queue = append(f.mu.queue, k)
	ring(f.queued)
}

// enqueue has admit look at a partition; mu is locked.
func (f *fetcher) enqueue(k key, w *wanted) {
	if !w.queued {
		w.queued = true
		f.mu.queue = append(f.mu.queue, k)
		ring(f.queued)
	}
}

// hurryAfter is how long admitted partitions may wait for others before the leader is asked to answer for them.
const hurryAfter = 10 * time.Millisecond

func (f *fetcher) admit() {
	for {
		select {
		case <-f.queued:
		case <-f.ctx.Done():
			return
		}
		begun := time.Now()
		for {
			a, ok := f.next()
			if !ok || f.ctx.Err() != nil {
				break
			}
			if a.part != nil {
				_, _, a.err = a.part.FetchState()
			}
			f.mu.Lock()
			f.mu.ready = append(f.mu.ready, a)
			f.mu.Unlock()
			f.wake()
			if time.Since(begun) > hurryAfter {
				f.hurry()
				begun = time.Now()
			}
		}
		f.hurry()
	}
}

// next takes a partition from the queue.
func (f *fetcher) next() (admitted, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.queue) == 0 {
		f.mu.queue = nil
		return admitted{}, false
	}
	k := f.mu.queue[0]
	f.mu.queue = f.mu.queue[1:]
	w := f.mu.wanted[k]
	if w == nil {
		return admitted{key: k}, true
	}
	a := admitted{key: k, part: w.part, fresh: w.fresh}
	w.fresh, w.queued = false, false
	return a, true
}

// hurry has the leader answer the request under way, if there is something for the next one. It is asked on the connection that all
// share, by a request that names the session and the epoch of the one that waits; the negative wait says what it is for. If it
// is not heard, the round takes as long as it may.
func (f *fetcher) hurry() {
	f.mu.Lock()
	of := f.mu.round
	needed := of.epoch != 0 && !f.mu.hurried && len(f.mu.ready) > 0
	f.mu.hurried = f.mu.hurried || needed
	f.mu.Unlock()
	if !needed {
		return
	}
	req := kmsg.NewPtrFetchRequest()
	req.Version = fetchVersion
	req.ReplicaState.ID, req.ReplicaState.Epoch = int32(f.r.Self), f.r.registration(f.r.Image())
	req.SessionID, req.SessionEpoch, req.MaxWaitMillis = of.id, of.epoch, -1
	ctx, cancel := context.WithTimeout(f.ctx, f.r.Settings().FetchWait)
	defer cancel()
	if _, err := f.r.Request(ctx, f.of.leader, req); err != nil {
		f.log.Debug("the leader was not asked to answer at once", "err", err)
	}
}

// The pauses after failures, of rounds and of single partitions, double from the least on.
const (
	leastPause = 10 * time.Millisecond
	mostPause  = time.Second
)

func pauseAfter(failures int, most time.Duration) time.Duration {
	return max(min(leastPause<<min(failures-1, 16), most), leastPause)
}

func (f *fetcher) run() {
	defer f.disconnect()
	for f.ctx.Err() == nil {
		now := time.Now()
		f.take(now)
		switch {
		case len(f.session.parts) > 0:
			if err := f.round(f.wait(now)); err != nil {
				f.failed(err)
			}
		case len(f.delayed) > 0:
			f.rest(f.nextDue.Sub(now))
		default:
			f.disconnect()
			f.rest(-1)
		}
	}
}

// rest waits until the bell rings or d is over; a negative d never is.
func (f *fetcher) rest(d time.Duration) {
	var over <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-f.bell:
	case <-over:
	case <-f.ctx.Done():
	}
}

// wait is how long the next request may wait at the leader.
func (f *fetcher) wait(now time.Time) time.Duration {
	if f.session.epoch == 0 && !f.session.none {
		return 0 // it cannot be hurried: the session has no name yet
	}
	d := f.r.Settings().FetchWait
	if !f.nextDue.IsZero() {
		d = min(d, max(f.nextDue.Sub(now), time.Millisecond))
	}
	return d
}

// round fetches once. After an error the session begins anew.
func (f *fetcher) round(wait time.Duration) error {
	if f.conn == nil {
		conn, err := f.r.Dial(f.ctx, f.of.leader)
		if err != nil {
			return err
		}
		f.conn = conn
	}
	req := f.session.request(f.r.registration(f.r.Image()), wait, f.r.Settings())
	wait = f.waits(round{req.SessionID, req.SessionEpoch}, wait)
	req.MaxWaitMillis = int32(wait.Milliseconds())
	ctx, cancel := context.WithTimeout(f.ctx, wait+answerTime)
	defer cancel()
	resp, err := f.conn.Request(ctx, req)
	f.waits(round{}, 0)
	if err != nil {
		f.disconnect()
		f.session.lost(f.session.id)
		return err
	}
	answer := resp.(*kmsg.FetchResponse)
	if err := f.session.answered(answer); err != nil {
		return err
	}
	f.failures = 0
	f.handle(answer)
	return nil
}

// waits notes which request waits at the leader. If there is something for the next one already, it need not wait.
func (f *fetcher) waits(of round, wait time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.ready) > 0 {
		of, wait = round{}, 0
	}
	f.mu.round, f.mu.hurried = of, false
	return wait
}

// failed waits after a failed round, longer from one to the next.
func (f *fetcher) failed(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.failures++
	level := slog.LevelDebug
	if f.failures == tellAfter {
		level = slog.LevelWarn
	}
	f.log.Log(f.ctx, level, "leader cannot be followed", "partitions", len(f.session.parts), "failures", f.failures, "err", err)
	f.rest(pauseAfter(f.failures, mostPause))
}

func (f *fetcher) disconnect() {
	if f.conn != nil {
		f.conn.Close()
		f.conn = nil
	}
}

// take takes over what admit made ready, and has looked at again what was delayed until now.
func (f *fetcher) take(now time.Time) {
	f.mu.Lock()
	f.taken, f.mu.ready = f.mu.ready, f.taken[:0]
	f.mu.Unlock()
	for _, a := range f.taken {
		f.accept(now, a)
	}
	clear(f.taken)
	if !f.nextDue.IsZero() && !now.Before(f.nextDue) {
		f.retry(now)
	}
	f.count()
}

func (f *fetcher) count() {
	f.following.Store(int32(len(f.session.parts)))
	f.failing.Store(int32(len(f.delayed)))
}

// retry has admitted again what is due.
func (f *fetcher) retry(now time.Time) {
	f.nextDue = time.Time{}
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, p := range f.delayed {
		switch w := f.mu.wanted[k]; {
		case w == nil: // it is in the queue to be given up
		case p.due.IsZero(): // it was admitted again, and is on its way
		case now.Before(p.due):
			f.dueBy(p.due)
		default:
			p.due = time.Time{}
			f.enqueue(k, w)
		}
	}
}

func (f *fetcher) dueBy(t time.Time) {
	if f.nextDue.IsZero() || t.Before(f.nextDue) {
		f.nextDue = t
	}
}

// accept begins to fetch a partition, or goes on after its metadata changed.
func (f *fetcher) accept(now time.Time, a admitted) {
	p := f.session.parts[a.key]
	if p == nil {
		p = f.delayed[a.key]
	}
	if a.part == nil {
		f.giveUp(a.key)
		return
	}
	if p == nil || p.part != a.part {
		p = &followed{key: a.key, part: a.part}
	}
	if a.fresh {
		p.failures = 0
	}
	if a.err != nil {
		f.delay(now, p, a.err)
		return
	}
	f.refresh(now, p)
}

func (f *fetcher) giveUp(k key) {
	f.session.drop(k)
	delete(f.delayed, k)
}

// refresh has a partition fetched from where its log stands. What admit found may be old by now; this goroutine alone appends.
func (f *fetcher) refresh(now time.Time, p *followed) {
	at, ok, err := p.part.FetchState()
	switch {
	case err != nil:
		f.delay(now, p, err)
	case !ok || at.Leader != f.of.leader: // the metadata has moved on: Apply is about to say where
		f.giveUp(p.key)
	case f.hold(now, p):
	default:
		delete(f.delayed, p.key)
		if p.at != at || f.session.parts[p.key] != p {
			p.at = at
			f.session.put(p)
		}
	}
}

// hold leaves a partition alone for as long as its throttle says (follower.replication.throttled.rate), and tells whether it does.
func (f *fetcher) hold(now time.Time, p *followed) bool {
	if !p.part.ThrottledFrom() {
		return false
	}
	wait := f.r.fetched.Over(now, f.r.Settings().Throttle.Follower)
	if wait <= 0 {
		return false
	}
	f.session.drop(p.key)
	p.due = now.Add(wait)
	f.delayed[p.key] = p
	f.dueBy(p.due)
	return true
}

// tellAfter is how many failures in a row are worth a warning; those before may be metadata on its way.
const tellAfter = 8

// delay has a partition fetched no longer for a while, so that the others go on.
func (f *fetcher) delay(now time.Time, p *followed, err error) {
	f.session.drop(p.key)
	p.failures++
	p.due = now.Add(pauseAfter(p.failures, f.r.Settings().FetchBackoff))
	f.delayed[p.key] = p
	f.dueBy(p.due)
	level := slog.LevelDebug
	if p.failures == tellAfter {
		level = slog.LevelWarn
	}
	f.log.Log(f.ctx, level, "partition not fetched", "partition", p.part.Name().String(), "failures", p.failures, "err", err)
}

// keyIn is a partition of an answer.
func keyIn(t *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) key {
	return key{kafka.TopicID(t.TopicID), p.Partition}
}

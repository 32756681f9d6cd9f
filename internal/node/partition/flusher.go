package partition

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// flushAtOnce bounds the goroutines of one round; the disk orders them anyhow.
const flushAtOnce = 8

// flusher makes the appends of one log dir durable, in rounds. A round covers all that was appended before it began, by any
// number of producers: while it runs, more gather for the next. That is group commit: a lone append is flushed at once, and the
// more come, the more share a flush. Only of producers that send little each, a round waits for a few: see company.
type flusher struct {
	dir    *dir
	fs     vfs.FS
	choice choice
	wake   chan struct{}
	delay  *time.Timer // until the next round is due; only run uses it
	waits  atomic.Bool // the next round is not due yet

	mu      sync.Mutex
	dirty   []*Partition
	due     time.Time // when the next round begins, if any is dirty
	company company
	taken   []*Partition // of the last round: its memory is used again
	stalled []*Partition // for whose flush there was no room
	retry   *time.Timer  // runs while stalled has any
}

// retryAfter is how long a flush that there was no room for waits for the next attempt.
const retryAfter = 250 * time.Millisecond

func newFlusher(d *dir, fs vfs.FS, method FlushMethod) *flusher {
	f := &flusher{dir: d, fs: fs, choice: choice{method: method}, wake: make(chan struct{}, 1)}
	f.retry, f.delay = time.NewTimer(retryAfter), time.NewTimer(maxDelay)
	f.retry.Stop()
	f.delay.Stop()
	return f
}

// add queues p for the next round, which waits at most as company allows after its producer's pause. The flag is cleared when a
// round takes p, before it looks at the log's end: an append that finds it set is covered by a round that has not begun.
// One that cannot wait, and finds the flag set by one that can and has not come to queue p yet, waits as long as that one: some
// milliseconds at most.
func (f *flusher) add(p *Partition, pause time.Duration) {
	queued := p.dirty.Swap(true)
	if queued && (!f.waits.Load() || mayWait(pause) > 0) || !f.queue(p, queued, time.Now(), pause) {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// queue tells whether the next round begins earlier for p, which is queued already or not. One whose producer cannot wait
// hastens the round for which p waits; it may find that this has just begun.
func (f *flusher) queue(p *Partition, queued bool, now time.Time, pause time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := now
	if !queued {
		due = now.Add(f.company.delay(now, pause))
		f.dirty = append(f.dirty, p)
	}
	if !due.Before(f.due) && (queued || len(f.dirty) > 1) {
		return false
	}
	f.due = due
	f.waits.Store(due.After(now))
	return true
}

// wait returns when the next round is due, or stop is closed.
func (f *flusher) wait(stop <-chan struct{}) {
	for {
		f.mu.Lock()
		d := time.Until(f.due)
		f.mu.Unlock()
		if d <= 0 {
			return
		}
		f.delay.Reset(d)
		select {
		case <-f.delay.C:
		case <-f.wake:
		case <-stop:
			return
		}
	}
}

// take begins a round. What it returns is valid until the next call.
func (f *flusher) take() []*Partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.taken)
	f.dirty, f.taken = f.taken[:0], f.dirty
	f.waits.Store(false)
	for _, p := range f.taken {
		p.dirty.Store(false)
	}
	return f.taken
}

// drop forgets what waits for a round; one that runs goes on.
func (f *flusher) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty, f.stalled = nil, nil
}

// run flushes until stop is closed, and once more then.
func (f *flusher) run(stop <-chan struct{}) {
	for {
		select {
		case <-f.wake:
			f.wait(stop)
			f.begin(f.take())
		case <-f.retry.C:
			f.again()
		case <-stop:
			f.retry.Stop()
			f.again()
			f.begin(f.take())
			return
		}
	}
}

// begin runs and times a round.
func (f *flusher) begin(ps []*Partition) {
	start := time.Now()
	whole := f.choice.whole(start, len(ps))
	f.dir.set.upkeep.timed(len(ps), func() { f.round(ps, whole) })
	now := time.Now()
	f.choice.took(now, len(ps), whole, now.Sub(start))
}

// round flushes ps, by a sync of the whole file system or file by file. Whoever waits on one of them is woken as soon as it
// is durable.
func (f *flusher) round(ps []*Partition, whole bool) {
	switch {
	case len(ps) == 0 || f.dir.offline() != nil:
	case whole:
		f.syncAll(ps)
	case len(ps) == 1:
		f.syncOne(ps[0])
	default:
		f.syncEach(ps)
	}
}

func (f *flusher) syncEach(ps []*Partition) {
	together(len(ps), func(i int) { f.syncOne(ps[i]) })
}

// together calls do with 0 to n-1, some at the same time, and returns when all have ended.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(n, flushAtOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

func (f *flusher) syncOne(p *Partition) {
	log := p.openLogIn(f.dir)
	if log == nil {
		return
	}
	_, err := log.Flush()
	if err != nil {
		f.notFlushed(p, err)
		return
	}
	f.dir.roomy()
	p.flushed()
}

// notFlushed takes the log dir offline for a flush that failed. One that there was no room for is tried again, soon and with
// the next append; who waits for it hears of it now.
func (f *flusher) notFlushed(p *Partition, err error) {
	switch {
	case errors.Is(err, commitlog.ErrNoRoom):
		f.dir.full(err)
		p.stall(err)
		f.later(p)
	case !errors.Is(err, commitlog.ErrClosed):
		f.dir.fail(err)
	}
}

// later queues p for a round after retryAfter.
func (f *flusher) later(p *Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stalled = append(f.stalled, p); len(f.stalled) == 1 {
		f.retry.Reset(retryAfter)
	}
}

// again queues what had no room.
func (f *flusher) again() {
	f.mu.Lock()
	ps := f.stalled
	f.stalled = nil
	f.mu.Unlock()
	for _, p := range ps {
		f.add(p, 0)
	}
}

// syncAll notes where each log ends, syncs the file system, and then knows each to be durable up to there. Where a log begins
// an epoch, Dirty writes and syncs a small file: after a crash all of them do, so they do it together.
func (f *flusher) syncAll(ps []*Partition) {
	logs, ends := make([]*commitlog.Log, len(ps)), make([]kafka.Offset, len(ps))
	together(len(ps), func(i int) {
		if logs[i] = ps[i].openLogIn(f.dir); logs[i] == nil {
			return
		}
		var err error
		if ends[i], err = logs[i].Dirty(); err != nil {
			f.notFlushed(ps[i], err)
			logs[i] = nil
		}
	})
	if f.dir.offline() != nil {
		return
	}
	if err := f.fs.SyncFS(f.dir.Path()); err != nil {
		if vfs.Refused(err) {
			err = fmt.Errorf("%w: %w", commitlog.ErrNoRoom, err)
		}
		for _, p := range ps {
			f.notFlushed(p, err)
		}
		return
	}
	f.dir.roomy()
	for i, log := range logs {
		if log != nil {
			log.MarkFlushed(ends[i])
			ps[i].flushed()
		}
	}
}

package partition

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// errCleaningStopped ends the cleaning of a partition that is to end.
var errCleaningStopped = errors.New("cleaning was stopped")

// cleaners compact the logs of a Set: as many goroutines as log.cleaner.threads says take the dirtiest log each, and look
// again after log.cleaner.backoff.ms when there was none.
type cleaners struct {
	set  *Set
	pace pace

	mu      sync.Mutex
	running int // goroutines
	// busy are the partitions that one of them has. A partition that ends waits until it has none; see leave.
	busy map[*Partition]*cleaningRun
	free *sync.Cond // a partition was given back
}

// cleaningRun is one cleaning that goes on. Its fields are guarded by cleaners.mu.
type cleaningRun struct {
	began   time.Time
	all     int64 // bytes to go through, about
	done    int64
	stopped chan struct{} // closed when the partition ends
}

// cleaned is what a partition remembers of its compaction. It is guarded by cleaners.mu.
type cleaned struct {
	last       CleaningRun
	failed     error     // why it cannot be cleaned: what the log holds is damaged
	retryAfter time.Time // when the last try could not be made, for want of room or an error of the disk
	failures   int
	ended      bool
	paused     int // by how many: the log is being closed, and will be opened again, or it is being copied
}

// CleaningRun tells of one compaction of a partition.
type CleaningRun struct {
	Ended    time.Time // zero: there was none
	Duration time.Duration
	cleaner.Counts
}

// CleaningStats is how the compaction of one partition stands.
type CleaningStats struct {
	Partition   *Partition
	DirtyBytes  int64 // that could be cleaned
	CleanBytes  int64
	Ratio       float64 // of the dirty bytes
	Overdue     time.Duration
	Last        CleaningRun
	Running     bool
	Progress    float64 // of the cleaning that goes on, from 0 to 1
	Uncleanable error   // why it is not cleaned any more before the next start
}

func newCleaners(s *Set) *cleaners {
	c := &cleaners{set: s, busy: map[*Partition]*cleaningRun{}}
	c.free = sync.NewCond(&c.mu)
	return c
}

// supervise starts goroutines as the number of them is raised; those that are too many end by themselves.
func (c *cleaners) supervise() {
	for {
		conf := c.set.Cleaner()
		c.mu.Lock()
		for c.running < conf.Threads {
			c.running++
			c.set.helpers.Go(c.work)
		}
		c.mu.Unlock()
		if !c.set.pause(max(conf.Backoff, time.Millisecond)) {
			return
		}
	}
}

// pause waits; it tells whether the Set goes on.
func (s *Set) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

func (c *cleaners) work() {
	for c.wanted() {
		conf := c.set.Cleaner()
		p := c.take(time.Now())
		if p == nil {
			if !c.set.pause(max(conf.Backoff, time.Millisecond)) {
				break
			}
			continue
		}
		n, err := c.clean(p, conf)
		c.giveBack(p, n, err)
	}
	c.mu.Lock()
	c.running--
	c.mu.Unlock()
}

// wanted tells whether the calling goroutine is one that should be.
func (c *cleaners) wanted() bool {
	select {
	case <-c.set.stop:
		return false
	default:
	}
	threads := c.set.Cleaner().Threads
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running <= threads
}

// take finds the dirtiest log that is due, and makes it the caller's.
func (c *cleaners) take(now time.Time) *Partition {
	var best *Partition
	var state cleaner.State
	for _, p := range c.set.All() {
		s, ok := c.due(p, now)
		if ok && (best == nil || s.Dirtier(state)) {
			best, state = p, s
		}
	}
	if best == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[best] != nil || best.cleaned.ended || best.cleaned.paused > 0 {
		return nil // another took it meanwhile
	}
	c.busy[best] = &cleaningRun{began: now, all: 2*state.DirtyBytes + state.CleanBytes, stopped: make(chan struct{})}
	return best
}

func (c *cleaners) due(p *Partition, now time.Time) (cleaner.State, bool) {
	if !p.settings.Load().topic.Retention.Compact || p.dir().offline() != nil {
		return cleaner.State{}, false
	}
	c.mu.Lock()
	skip := c.busy[p] != nil || p.cleaned.ended || p.cleaned.paused > 0 || p.cleaned.failed != nil || now.Before(p.cleaned.retryAfter)
	c.mu.Unlock()
	if skip {
		return cleaner.State{}, false
	}
	s, err := p.cleanable(now)
	return s, err == nil && s.Due()
}

// cleanable looks at an open log; one that nothing has used has nothing new to clean.
func (p *Partition) cleanable(now time.Time) (cleaner.State, error) {
	log := p.openLog()
	if log == nil {
		return cleaner.State{}, commitlog.ErrClosed
	}
	return log.Cleanable(now, stable(log, p.HighWatermark()))
}

func (c *cleaners) clean(p *Partition, conf conf.CleanerConfig) (cleaner.Counts, error) {
	log := p.openLog()
	if log == nil {
		return cleaner.Counts{}, commitlog.ErrClosed
	}
	threads := max(conf.Threads, 1)
	n, err := log.Clean(time.Now(), stable(log, p.HighWatermark()), cleaner.Resources{
		MapBytes: conf.DedupeBytes / int64(threads), MapLoad: conf.LoadFactor, BufferBytes: conf.BufferBytes / threads / 2,
		Throttle: func(bytes int) error { return c.progress(p, bytes) },
	})
	if err == nil {
		c.set.checkpointCleaned(p, log)
	}
	return n, err
}

// checkpointCleaned writes down how far the log is clean. Without it the same would be done again after a crash.
func (s *Set) checkpointCleaned(p *Partition, log *commitlog.Log) {
	switch err := p.dir().Checkpoint([]*commitlog.Log{log}, s.watermark); {
	case errors.Is(err, commitlog.ErrNoRoom):
		p.dir().full(err)
	case err != nil:
		p.dir().fail(err)
	}
}

// progress counts bytes that were read or are to be written, and waits as the limit on them says. Its error ends the
// cleaning.
func (c *cleaners) progress(p *Partition, bytes int) error {
	c.mu.Lock()
	run := c.busy[p]
	run.done += int64(bytes)
	c.mu.Unlock()
	wait := time.NewTimer(c.pace.next(time.Now(), bytes, c.set.Cleaner().BytesPerSecond))
	defer wait.Stop()
	select {
	case <-run.stopped:
		return errCleaningStopped
	case <-c.set.stop:
		return errCleaningStopped
	default:
	}
	select {
	case <-wait.C:
		return nil
	case <-run.stopped:
	case <-c.set.stop:
	}
	return errCleaningStopped
}

// giveBack notes what came of a cleaning.
func (c *cleaners) giveBack(p *Partition, n cleaner.Counts, err error) {
	c.tell(p, n, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	now, run := time.Now(), c.busy[p]
	delete(c.busy, p)
	c.free.Broadcast()
	switch {
	case err == nil:
		p.cleaned.last, p.cleaned.failures = CleaningRun{Ended: now, Duration: now.Sub(run.began), Counts: n}, 0
	case errors.Is(err, cleaner.ErrCorrupt):
		p.cleaned.failed = err
	default:
		p.cleaned.failures++
		p.cleaned.retryAfter = now.Add(min(time.Second<<min(p.cleaned.failures, 10), maxCleaningRetry))
	}
}

// maxCleaningRetry is the longest time between two tries to clean a log that could not be.
const maxCleaningRetry = 5 * time.Minute

// tell logs the outcome. A log that failed is offline, and so is its dir.
func (c *cleaners) tell(p *Partition, n cleaner.Counts, err error) {
	log := c.set.Log.With("partition", p.tp.String())
	switch {
	case err == nil:
		log.Info("log compacted", "read", n.BytesRead, "written", n.BytesWritten, "records", n.RecordsRead, "kept", n.RecordsKept,
			"keyless", n.Keyless, "keys", n.Keys, "segments", n.SegmentsBefore, "now", n.SegmentsAfter)
	case errors.Is(err, errCleaningStopped), errors.Is(err, commitlog.ErrCleaningEnded), errors.Is(err, commitlog.ErrClosed):
	case errors.Is(err, cleaner.ErrCorrupt):
		p.role.RLock()
		defer p.role.RUnlock()
		p.hurt(err)
		log.Error("log is not compacted any more: it holds what cannot be read; all else of it is served", "dir", p.dir().Path(), "err", err)
	case errors.Is(err, commitlog.ErrOffline): // for want of room, too
		p.dir().fail(err)
	case vfs.Refused(err):
		p.dir().full(err)
	default:
		log.Error("log was not compacted, and stays as it was until the next try", "dir", p.dir().Path(), "err", err)
	}
}

// leave ends what cleaning of p goes on, waits for its end and keeps it from beginning again: its log is about to be closed,
// and its folder may go.
func (c *cleaners) leave(p *Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopRun(p)
	p.cleaned.ended = true
	c.await(p)
}

// stopRun has what cleaning of p goes on end soon; mu is locked.
func (c *cleaners) stopRun(p *Partition) {
	if run := c.busy[p]; run != nil && !p.cleaned.ended && p.cleaned.paused == 0 {
		close(run.stopped)
	}
}

func (c *cleaners) await(p *Partition) {
	for c.busy[p] != nil {
		c.free.Wait()
	}
}

// pause is leave until resume.
func (c *cleaners) pause(p *Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopRun(p)
	p.cleaned.paused++
	c.await(p)
}

// resume has the log cleaned again. cut says that something was cut off: what kept it from being cleaned is gone then.
func (c *cleaners) resume(p *Partition, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.cleaned.paused--
	if cut {
		p.cleaned.failed = nil
	}
}

// CleaningStats tells how the compaction of each compacted partition stands, the dirtiest first.
func (s *Set) CleaningStats(now time.Time) []CleaningStats {
	var all []CleaningStats
	for _, p := range s.All() {
		if p.settings.Load().topic.Retention.Compact {
			all = append(all, s.cleaners.stats(p, now))
		}
	}
	slices.SortStableFunc(all, func(a, b CleaningStats) int { return cmp.Compare(b.Ratio, a.Ratio) })
	return all
}

func (c *cleaners) stats(p *Partition, now time.Time) CleaningStats {
	st := CleaningStats{Partition: p}
	if s, err := p.cleanable(now); err == nil {
		st.DirtyBytes, st.CleanBytes, st.Ratio, st.Overdue = s.DirtyBytes, s.CleanBytes, s.Ratio(), s.Overdue
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Last, st.Uncleanable = p.cleaned.last, p.cleaned.failed
	if run := c.busy[p]; run != nil {
		st.Running, st.Progress = true, min(float64(run.done)/float64(max(run.all, 1)), 1)
	}
	return st
}

// pace holds the sum of what all cleanings read and write to a rate.
type pace struct {
	mu   sync.Mutex
	free time.Time // when what was let through until now is paid for
}

// paceSlack is how much time may be saved up: a pause is not made up for by a burst.
const paceSlack = 100 * time.Millisecond

// next tells how long to wait for bytes more at the given rate a second.
func (p *pace) next(now time.Time, bytes int, rate float64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-paceSlack); p.free.Before(earliest) {
		p.free = earliest
	}
	seconds := min(float64(bytes)/max(rate, 1), 3600)
	p.free = p.free.Add(time.Duration(seconds * float64(time.Second)))
	return max(p.free.Sub(now), 0)
}

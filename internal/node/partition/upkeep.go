package partition

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

func (s *Set) start() {
	for _, d := range s.dirs {
		s.flush.Go(func() { d.flusher.run(s.last) })
	}
	if len(s.dirs) > 1 {
		for _, d := range s.dirs {
			s.helpers.Go(func() { d.mover.run(s.stop) })
		}
	}
	for range s.OpenAtOnce {
		s.helpers.Go(s.openLoop)
	}
	s.helpers.Go(s.janitor)
	s.helpers.Go(s.cleaners.supervise)
	s.helpers.Go(func() { s.every(s.RetentionInterval, s.retain) })
	s.helpers.Go(func() { s.every(s.WatermarkInterval, s.checkpointer()) })
}

// every calls f at each interval until the Set stops.
func (s *Set) every(interval time.Duration, f func(now time.Time)) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			f(now)
		case <-s.stop:
			return
		}
	}
}

// openLoop opens partitions ahead of their first use. Those that wait for a sync of what was recovered wait together.
func (s *Set) openLoop() {
	for {
		p := s.toOpen.next(s.stop)
		if p == nil {
			return
		}
		if p.cleared != nil {
			select {
			case <-p.cleared:
			case <-s.stop:
				return
			}
		}
		o, err := p.load()
		if err != nil || o.log == nil || !p.unsafe(o) {
			p.opens(o, err)
			continue
		}
		s.settling <- struct{}{}
		s.helpers.Go(func() {
			p.opens(o, nil)
			<-s.settling
		})
	}
}

// opens takes up what was loaded, or says why there is nothing.
func (p *Partition) opens(o opened, err error) {
	if err == nil && o.log != nil {
		err = p.takeUp(o)
	}
	if err != nil && p.alive() {
		p.set.Log.Error("partition not opened", "partition", p.tp.String(), "err", err)
	}
}

// openQueue is the partitions that were not opened yet, in the order of their coming.
type openQueue struct {
	mu    sync.Mutex
	parts []*Partition
	more  chan struct{} // holds one token while parts may be there
}

func newOpenQueue() *openQueue { return &openQueue{more: make(chan struct{}, 1)} }

func (q *openQueue) add(p *Partition) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.parts = append(q.parts, p)
	q.signal()
}

func (q *openQueue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// next waits for a partition; nil when stop is closed.
func (q *openQueue) next(stop <-chan struct{}) *Partition {
	for {
		select {
		case <-stop:
			return nil
		case <-q.more:
		}
		if p := q.pop(); p != nil {
			return p
		}
	}
}

func (q *openQueue) pop() *Partition {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.parts) == 0 {
		q.parts = nil
		return nil
	}
	p := q.parts[0]
	q.parts[0] = nil
	q.parts = q.parts[1:]
	q.signal()
	return p
}

func (p *Partition) alive() bool {
	p.role.RLock()
	defer p.role.RUnlock()
	return p.role.ended == nil
}

// later runs job on the janitor's goroutine. Jobs outlive a stop: a folder half deleted would be found at the next start.
func (s *Set) later(job func()) {
	select {
	case s.jobs <- job:
	default:
		// A burst of deletions beyond the queue gets goroutines of its own rather than blocking the metadata.
		s.helpers.Go(job)
	}
}

func (s *Set) janitor() {
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-s.stop:
			for {
				select {
				case job := <-s.jobs:
					job()
				default:
					return
				}
			}
		}
	}
}

// retain rolls and deletes what is due, a partition after the other. Only open logs are looked at: a log that nothing has
// used since the start gets opened by the opener, sooner or later.
func (s *Set) retain(now time.Time) {
	for _, p := range s.All() {
		log, err := p.use()
		if err != nil {
			continue
		}
		if err := p.retain(log, now); err != nil {
			s.Log.Error("retention failed", "partition", p.tp.String(), "err", err)
			p.failedUpkeep(err)
		}
		p.role.RUnlock()
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

func (p *Partition) retain(log *commitlog.Log, now time.Time) error {
	defer log.DeleteExpiredFiles(now)
	p.age(log)
	if err := log.RollIfDue(now); err != nil {
		return err
	}
	n, err := log.Retain(now, p.HighWatermark())
	if n > 0 {
		p.set.upkeep.retired.Add(uint64(n))
		p.set.Log.Info("segments deleted by retention", "partition", p.tp.String(), "segments", n, "start", int64(log.Start()))
	}
	return err
}

// failedUpkeep takes the log dir offline if the log has failed for good.
func (p *Partition) failedUpkeep(err error) {
	if errors.Is(err, commitlog.ErrOffline) && !errors.Is(err, commitlog.ErrClosed) {
		p.dir().fail(err)
	}
}

// checkpointer writes the high watermarks at each tick, and at every so many the recovery points and log starts with them.
func (s *Set) checkpointer() func(now time.Time) {
	every := max(int(s.CheckpointInterval/s.WatermarkInterval), 1)
	ticks := 0
	return func(time.Time) {
		ticks++
		for _, d := range s.dirs {
			if d.offline() != nil {
				continue
			}
			if ticks%every == 0 {
				s.flushIdle(d)
			}
			s.checkpoint(d)
		}
	}
}

// flushIdle flushes what durability=os left to the operating system, so that a crash long after has little to recover.
func (s *Set) flushIdle(d *dir) {
	for _, p := range s.in(d) {
		if s.flushes(p) {
			continue
		}
		if log := p.openLog(); log != nil && log.Flushed() < log.End() {
			d.flusher.add(p, 0)
		}
	}
}

func (s *Set) checkpoint(d *dir) {
	switch err := d.Checkpoint(nil, s.watermark); {
	case errors.Is(err, commitlog.ErrNoRoom):
		d.full(err) // the one before still holds, and the next tick tries again
	case err != nil:
		d.fail(err)
	}
}

// watermark is the high watermark of a partition for the checkpoint file, or -1 for one that is not hosted.
func (s *Set) watermark(tp kafka.TopicPartition) kafka.Offset {
	p, err := s.Get(tp)
	if err != nil {
		return kafka.NoOffset
	}
	return p.HighWatermark()
}

// Close ends the goroutines, flushes and closes every log, and leaves the marker of a clean stop, with the epoch that the
// node is registered under, where all went well. Nothing may call the Set any more; whoever still waits is told that the
// node is shutting down.
func (s *Set) Close(now time.Time, brokerEpoch int64) error {
	close(s.stop)
	s.helpers.Wait()
	close(s.last)
	s.flush.Wait()
	var all error
	for _, d := range s.dirs {
		all = errors.Join(all, s.closeDir(d, now, brokerEpoch))
	}
	return all
}

// Abandon ends the goroutines and lets go of the files as a crash would: nothing is flushed, no marker is left. For tests.
func (s *Set) Abandon() {
	close(s.stop)
	s.helpers.Wait()
	for _, d := range s.dirs {
		d.flusher.drop()
	}
	close(s.last)
	s.flush.Wait()
	for _, p := range s.All() {
		if log := p.end(errShutdown); log != nil {
			log.CloseAbrupt()
		}
	}
	for _, d := range s.dirs {
		for _, m := range d.mover.all() {
			if l := m.copied.Load(); l != nil {
				l.CloseAbrupt()
			}
		}
		_ = d.Dir.Close() // a crash tells nobody
	}
}

// closeDir closes the logs of one dir, several at a time since each waits for its flush.
func (s *Set) closeDir(d *dir, now time.Time, brokerEpoch int64) error {
	var wg sync.WaitGroup
	room := make(chan struct{}, flushAtOnce)
	for _, p := range s.in(d) {
		log := p.end(errShutdown)
		if log == nil {
			continue
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			// A failure is remembered by the dir: it then leaves no marker, and says why.
			if err := d.CloseLog(now, log, p.HighWatermark()); err != nil {
				s.Log.Error("log not closed", "partition", p.tp.String(), "err", err)
			}
		})
	}
	wg.Wait()
	for tp, f := range s.found {
		if f.dir == d {
			d.Leave(tp)
		}
	}
	for _, f := range s.futures {
		if f.dir == d {
			d.Leave(f.tp)
		}
	}
	return d.CloseClean(now, brokerEpoch, s.watermark)
}

// errShutdown makes clients look for another leader, and try again here later.
var errShutdown = fmt.Errorf("the node is shutting down: %w", kerr.NotLeaderForPartition)

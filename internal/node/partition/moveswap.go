package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// finish ends a move whose copy is as far as the log, when the controller knows of it.
func (mv *move) finish(now time.Time, log, to *commitlog.Log) error {
	p := mv.part
	if !mv.caught.Load() {
		if err := mv.claim(to); err != nil {
			return err
		}
		mv.caught.Store(true)
	}
	if !mv.assigned() {
		mv.tell(now)
		return nil
	}
	if _, err := to.Flush(); err != nil {
		return err
	}
	if err := mv.claim(to); err != nil {
		return err
	}
	if _, err := mv.copyChunk(now, log, to, moveChunk); err != nil { // what came meanwhile need not be copied by swap
		return err
	}
	former, left, err := mv.swap(now, to)
	if err != nil || left == nil {
		return err
	}
	mv.to.mover.leave(mv)
	p.set.clear(p, former, mv.to, left)
	return nil
}

// claim notes on the disk that the copy is to replace the replica. Of a replica without records there is no folder yet, nor of its copy.
func (mv *move) claim(to *commitlog.Log) error {
	p, made := mv.part, to.Made()
	if err := mv.to.Claim(to, p.dir().Dir, p.HighWatermark()); err != nil {
		return err
	}
	mv.claimed = made
	return nil
}

// assigned tells whether the metadata has the replica where it moves to.
func (mv *move) assigned() bool {
	p := mv.part
	if p.set.Moved == nil {
		return true
	}
	p.role.RLock()
	defer p.role.RUnlock()
	return p.role.given.Directory(p.set.Node) == mv.to.id()
}

// swap makes the copy the partition's log, and returns the one that was. It waits for the disk with the role held alone: that is seldom,
// and nothing may come in between.
func (mv *move) swap(now time.Time, to *commitlog.Log) (former *dir, log *commitlog.Log, err error) {
	p := mv.part
	p.opening.Lock()
	defer p.opening.Unlock()
	p.role.Lock()
	defer p.role.Unlock()
	log = p.role.log
	switch {
	case p.role.move != mv || p.role.ended != nil || log == nil || p.role.cut || p.damage.Load() != nil:
		return nil, nil, nil
	case log.Failed() != nil || p.dir().offline() != nil:
		return nil, nil, nil
	}
	cut := mv.cut
	mv.cut = notCut
	if err := mv.cutTo(to, cut); err != nil {
		mv.cut = min(mv.cut, cut)
		return nil, nil, err
	}
	for to.End() < log.End() {
		if _, err := mv.copyChunk(now, log, to, moveChunk); err != nil {
			return nil, nil, err
		}
	}
	if err := mv.trim(now, log, to); err != nil {
		return nil, nil, err
	}
	fresh, err := mv.change(now, log, to)
	if err != nil {
		return nil, nil, err
	}
	former = p.dir()
	hw := p.HighWatermark()
	fresh.Replicated(hw)
	p.place.Store(mv.to)
	p.role.log, p.role.move = fresh, nil
	p.stalled.Store(nil)
	p.nowSafe(fresh)
	return former, log, nil
}

// change has the folders change places; role is held alone.
func (mv *move) change(now time.Time, log, to *commitlog.Log) (*commitlog.Log, error) {
	p := mv.part
	settings := p.settings.Load().log
	if to.Made() && !mv.claimed { // its first record has come just now
		if err := mv.claim(to); err != nil {
			return nil, err
		}
	}
	mv.copied.Store(nil)
	if !log.Made() { // nothing was ever written, and there is no folder
		if err := mv.to.DeleteFuture(mv.folder, p.tp, to); err != nil {
			return nil, err
		}
		fresh, err := mv.to.OpenReplica(logdir.TakeAnyEnd, p.tp, p.id, settings, now, p.set.rand())
		if err != nil {
			return nil, err
		}
		return fresh, fresh.Inherit(log)
	}
	if err := to.Inherit(log); err != nil {
		mv.copied.Store(to)
		return nil, err
	}
	fresh, err := mv.to.Promote(now, to, settings, log.Cleaned(), p.HighWatermark(), p.set.rand())
	if err != nil {
		if mv.to.offline() != nil { // its folder may have the partition's name
			err = errors.Join(err, p.dir().Keep(p.tp, mv.to.Dir))
		}
		return nil, err
	}
	if !fresh.Made() {
		err = fresh.Inherit(log)
	}
	return fresh, err
}

// clear removes the folder that a replica left.
func (s *Set) clear(p *Partition, from, to *dir, log *commitlog.Log) {
	s.Log.Info("a replica has moved to another log dir", "partition", p.tp.String(), "from", from.Path(), "to", to.Path())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[p.tp] == p {
		p.countIn(to)
	}
	s.clearLocked(p.tp, func() error {
		if err := from.delete(p.tp, log); err != nil {
			if from.offline() != nil {
				from.Abandon(log)
			}
			return fmt.Errorf("delete what %v left in %s: %w", p.tp, from.Path(), err)
		}
		for _, d := range s.dirs {
			if d.offline() != nil {
				return nil // it may have a folder of this partition yet
			}
		}
		return to.settle(p)
	})
}

// settle forgets where a partition was before, if it is still here.
func (d *dir) settle(p *Partition) error {
	p.role.RLock()
	defer p.role.RUnlock()
	if p.role.ended != nil || p.dir() != d {
		return nil
	}
	err := d.Settle(p.tp)
	if offline := d.offline(); offline != nil {
		d.fail(offline)
	}
	return err
}

package partition

import (
	"fmt"
	"path/filepath"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// What an earlier process left of moves between log dirs is put right, or gone on with, as the partitions are found and hosted.

// foundFuture is a copy of a replica that was found at the start.
type foundFuture struct {
	dir    *dir
	folder string
	tp     kafka.TopicPartition // the topic's name may have been cut short
	id     kafka.TopicID
}

// settleTwice takes away one of two folders of a partition, if a move explains them, and tells which dir has the other. They were
// alike when they came to be two; see logdir.Promote.
func (s *Set) settleTwice(tp kafka.TopicPartition, a, b *dir) (stays *dir, err error) {
	goes := a
	switch {
	case a.Outlives(b.Dir, tp):
		stays, goes = a, b
	case b.Outlives(a.Dir, tp):
		stays = b
	case a.Supersedes(b.Dir, tp):
		stays, goes = a, b
	case b.Supersedes(a.Dir, tp):
		stays = b
	default:
		return nil, fmt.Errorf("%v is both in %s and in %s: move one of the folders away", tp, a.Path(), b.Path())
	}
	s.Log.Warn("a partition was found in two log dirs, as a move from one to the other was cut short: one folder is removed",
		"partition", tp.String(), "stays", stays.Path(), "goes", goes.Path())
	if err := goes.Delete(tp, nil); err != nil {
		return nil, fmt.Errorf("remove what a move between log dirs left: %w", err)
	}
	return stays, nil
}

func (s *Set) listFutures() error {
	for _, d := range s.dirs {
		if d.offline() != nil {
			continue
		}
		futures, err := d.Futures()
		if err != nil {
			return err
		}
		for _, f := range futures {
			if f.Err != nil || f.TopicID.IsZero() {
				s.Log.Warn("ignoring the copy of a partition that was being moved here, as it is not known whose it is", "folder", f.Dir, "err", f.Err)
				d.Leave(f.Partition)
				continue
			}
			s.futures = append(s.futures, foundFuture{d, filepath.Base(f.Dir), f.Partition, f.TopicID})
		}
	}
	return nil
}

// resumeMove goes on with a move of a partition that is about to be hosted, and begins with what is there of it already. there says
// that its folder was found. Where it was not, and the metadata has the partition where the copy is, the copy is all there is: the
// controller knew of the move, and the dir in which the partition was is broken or was taken away. s.mu is locked.
func (s *Set) resumeMove(p *Partition, there bool) {
	left := s.futures[:0]
	for _, f := range s.futures {
		here := f.id == p.id && f.tp.Partition == p.tp.Partition
		if here && f.tp != p.tp {
			f.dir.Leave(f.tp) // there is none of the name that was cut short
		}
		switch {
		case !here:
			left = append(left, f)
		case !there && f.dir == p.dir() && f.dir.id() == p.role.given.Directory(s.Node):
			p.takesUp = f.folder
		case !there:
			s.Log.Warn("the copy of a partition is left alone that was being moved here, as the partition is not to be found",
				"partition", p.tp.String(), "folder", f.folder, "dir", f.dir.Path())
			left = append(left, f)
		case f.dir == p.dir() || p.role.move != nil:
			s.later(func() {
				if err := f.dir.RemoveFuture(f.folder); err != nil {
					s.Log.Error("what a move between log dirs left was not removed", "folder", f.folder, "dir", f.dir.Path(), "err", err)
				}
			})
		default:
			m := newMove(p, f.dir, f.folder)
			m.resumed = true
			p.beginMove(m)
		}
	}
	s.futures = left
}

// endMoving is end for a partition that is to be deleted: the copy of one that moves goes too.
func (p *Partition) endMoving(why error) (*commitlog.Log, *move) {
	p.role.RLock()
	m := p.role.move
	p.role.RUnlock()
	return p.end(why), m
}

// awaitGone waits until nothing is left of a move's copy.
func (s *Set) awaitGone(m *move) {
	if m == nil {
		return
	}
	select {
	case <-m.gone:
	case <-s.stop:
	}
}

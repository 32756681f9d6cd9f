package partition

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// A replica moves from one log dir to another (KIP-113) while it is served. Its log is copied into a future folder in the other dir by
// that dir's mover, chunk by chunk and without any of the partition's locks, until the copy is as far as the log. Then:
//
//   - The controller is told that the replica is in the other dir (Assignment). It must know before it is so: did it not, and the
//     node came back without the other dir, the replica would begin anew, empty, in the one where it was, and count as in sync. Until
//     the metadata shows it, the copy follows the log. If the move is given up then, the copy stays until the metadata has the replica
//     where it is.
//   - With the role held alone, the rest is copied, and the folders change places: see logdir.Promote. All that was appended is
//     durable then, and the partition goes on in the other dir. The former folder is deleted in the background.
//
// What happens to the log meanwhile:
//
//   - Appends and retention: the copy follows.
//   - Truncation, which holds the role alone, leaves in move.cut how far the log went back; the mover cuts the copy before it reads on.
//     What it had read before and appends after that lies beyond, and goes with the next cut. A process that took up a copy of an earlier
//     one compares the leader epochs, as a follower does.
//   - Compaction does not begin before the end of the move: a copy that had an older record of a key already would miss the tombstone
//     that was compacted away before the copy came there. For the same reason a copy of a compacted log is begun anew by the next process.
//   - A flush of the former log, under way when the folders change places, finds it closed; see Partition.openLogIn.
//   - Damage: the copy waits until the replica is healed.
//   - The dir of the copy fails: the move is given up. The dir of the log fails: likewise, and the partition is as any in a failed dir.
//
// move is one replica on its way. The move that goes on is Partition.role.move; any other is over, and its mover clears it away.
type move struct {
	part   *Partition
	to     *dir
	folder string // the name of the future folder in to
	// resumed says that the folder was there when the process began, and that it was not compared with the log yet.
	resumed bool
	caught  atomic.Bool // the copy was as far as the log
	copied  atomic.Pointer[commitlog.Log]
	gone    chan struct{} // closed when nothing is done in the folder any more
	// cut is the lowest end that the log was cut to since the mover took the last; role is held, alone.
	cut kafka.Offset

	// What follows is the mover's.
	held      bool // the partition is not compacted
	claimed   bool // the copy is marked as what is to replace the replica
	tries     int  // failures since the last success
	wait      time.Time
	told      time.Time // when the controller was told last
	unflushed int
}

// notCut stands for a log that was not cut.
const notCut kafka.Offset = 1<<63 - 1

func newMove(p *Partition, to *dir, folder string) *move {
	return &move{part: p, to: to, folder: folder, gone: make(chan struct{}), cut: notCut}
}

// ErrUnknownDir is the error of a log dir that this node does not have.
var ErrUnknownDir = fmt.Errorf("the node has no such log dir in log.dirs: %w", kerr.LogDirNotFound)

// MoveTo has a partition move to the log dir with the given path, one of this Set's (KIP-113). It returns when that is under way. A
// move to another dir ends, and one to the dir in which the partition is only does that. A partition of which there is no replica here
// begins there, should there come to be one. Of one that does not exist nothing is remembered, unlike in Apache Kafka: that would have
// no bound.
func (s *Set) MoveTo(tp kafka.TopicPartition, path string) error {
	to := s.dirAt(path)
	if to == nil {
		return fmt.Errorf("%s: %w", path, ErrUnknownDir)
	}
	if err := to.offline(); err != nil {
		return err
	}
	p, err := s.Get(tp)
	if err != nil {
		return s.prefer(tp, to)
	}
	if err := p.dir().offline(); err != nil {
		return err
	}
	return p.moveTo(to)
}

// Online tells whether a path is that of a log dir which has not failed.
func (s *Set) Online(path string) bool {
	d := s.dirAt(path)
	return d != nil && d.offline() == nil
}

func (s *Set) dirAt(path string) *dir {
	for _, d := range s.dirs {
		if sameDir(d.Path(), path) {
			return d
		}
	}
	return nil
}

// sameDir compares a path as configured, perhaps a relative one, with one that a client names.
func sameDir(own, named string) bool {
	if own == named {
		return true
	}
	abs, err := filepath.Abs(own)
	return err == nil && abs == named
}

// prefer has a partition that is not here begin in a dir. It always has an error for who asked, as nothing moves.
func (s *Set) prefer(tp kafka.TopicPartition, d *dir) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if img := s.image.Load(); img != nil {
		if _, exists := img.Partition(tp); exists {
			s.preferred[tp] = d
			return fmt.Errorf("%v: %w", tp, kerr.ReplicaNotAvailable)
		}
	}
	return fmt.Errorf("%v: %w", tp, kerr.UnknownTopicOrPartition)
}

func (p *Partition) moveTo(to *dir) error {
	p.role.Lock()
	defer p.role.Unlock()
	now := p.role.move
	switch {
	case p.role.ended != nil:
		return fmt.Errorf("%v: %w", p.tp, kerr.ReplicaNotAvailable)
	case now != nil && now.to == to:
		return nil
	case now != nil:
		p.dropMove()
		p.tellDir()
	}
	if p.dir() == to {
		return nil
	}
	// A folder of this partition in a dir that is offline could not be told from the one that is made now.
	for _, d := range p.set.dirs {
		if err := d.offline(); err != nil {
			return err
		}
	}
	p.beginMove(newMove(p, to, logdir.FutureName(p.tp, p.id)))
	return nil
}

// beginMove gives the move to its mover; role is held alone.
func (p *Partition) beginMove(m *move) {
	p.role.move = m
	p.set.Log.Info("a replica moves to another log dir", "partition", p.tp.String(), "from", p.dir().Path(), "to", m.to.Path())
	m.to.mover.add(m)
}

// dropMove ends the move that goes on, if any; role is held alone.
func (p *Partition) dropMove() {
	m := p.role.move
	if m == nil {
		return
	}
	p.role.move = nil
	m.to.mover.ring()
}

// tellDir has the controller told where the replica is, if it knows otherwise. role may be held: this is done soon.
func (p *Partition) tellDir() {
	if tell := p.set.Moved; tell != nil {
		p.set.later(func() { tell(p) })
	}
}

// cutMove tells the mover that the log was cut, or is another one; role is held alone.
func (p *Partition) cutMove(log *commitlog.Log) {
	if m := p.role.move; m != nil {
		m.cut = min(m.cut, log.End())
		m.to.mover.ring()
	}
}

// FutureReplica is a replica's copy in another log dir.
type FutureReplica struct {
	Dir       string
	Size, Lag int64 // the lag is in offsets
}

// Future tells of the copy of a partition that moves.
func (p *Partition) Future() (f FutureReplica, moves bool) {
	p.role.RLock()
	defer p.role.RUnlock()
	m := p.role.move
	if m == nil {
		return f, false
	}
	f.Dir = m.to.Path()
	end := kafka.Offset(0)
	if l := m.copied.Load(); l != nil {
		f.Size, end = l.Size(), l.End()
	}
	if f.Lag = -1; p.role.log != nil {
		f.Lag = int64(p.role.log.End() - end)
	}
	return f, true
}

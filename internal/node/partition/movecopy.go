package partition

import (
	"fmt"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// step copies a chunk, and ends the move when that was all there was. It returns the number of bytes copied, and whether there are more.
func (mv *move) step(now time.Time, chunk int) (n int, more bool, err error) {
	p := mv.part
	log := p.openLog()
	if log == nil || p.Damaged() {
		return 0, false, nil
	}
	if !mv.held {
		p.set.cleaners.pause(p)
		mv.held = true
	}
	to, err := mv.copy(now)
	if err != nil {
		return 0, false, err
	}
	if mv.resumed {
		if err := mv.compare(log, to); err != nil {
			return 0, false, err
		}
		mv.resumed = false
	}
	if err := mv.takeCut(to); err != nil {
		return 0, false, err
	}
	end := log.End()
	if n, err = mv.copyChunk(now, log, to, chunk); err != nil {
		return 0, false, err
	}
	if err := mv.trim(now, log, to); err != nil {
		return n, false, err
	}
	if to.End() < end {
		return n, true, mv.flushSome(to, n)
	}
	return n, false, mv.finish(now, log, to)
}

// flushSome keeps what is not flushed of a copy from growing without a bound.
func (mv *move) flushSome(to *commitlog.Log, n int) (err error) {
	if mv.unflushed += n; mv.unflushed >= moveFlush {
		mv.unflushed = 0
		_, err = to.Flush()
	}
	return err
}

// copy opens the copy's log, if it is not open.
func (mv *move) copy(now time.Time) (*commitlog.Log, error) {
	if l := mv.copied.Load(); l != nil {
		return l, nil
	}
	p := mv.part
	if mv.to.mover.clearing(mv) {
		return nil, fmt.Errorf("the folder of an earlier move of %v is being removed yet", p.tp)
	}
	l, err := mv.to.OpenFuture(mv.folder, p.tp, p.id, p.settings.Load().log, now, p.set.rand())
	if err != nil {
		return nil, err
	}
	mv.copied.Store(l)
	return l, nil
}

// compare cuts a copy that an earlier process made back to what it has in common with the log.
func (mv *move) compare(log, to *commitlog.Log) error {
	if mv.part.settings.Load().log.Compact || log.Cleaned() > 0 {
		return to.TruncateFullyAndStartAt(log.Start())
	}
	for {
		end := min(to.End(), log.End())
		if last := to.LatestEpoch(); last != kafka.NoLeaderEpoch {
			var theirs, own replica.EpochEnd
			theirs.Epoch, theirs.End = log.EndOffsetForEpoch(last)
			if theirs.Epoch == kafka.NoLeaderEpoch {
				return to.TruncateFullyAndStartAt(log.Start())
			}
			own.Epoch, own.End = to.EndOffsetForEpoch(theirs.Epoch)
			end = min(end, replica.TruncationPoint(theirs, own, to.End()))
		}
		before, last := to.End(), to.LatestEpoch()
		if err := to.TruncateTo(end); err != nil {
			return err
		}
		if to.End() == before && to.LatestEpoch() == last {
			return mv.to.Checkpoint([]*commitlog.Log{to}, nil)
		}
	}
}

// takeCut cuts the copy as far as the log was.
func (mv *move) takeCut(to *commitlog.Log) error {
	p := mv.part
	p.role.Lock()
	cut := mv.cut
	mv.cut = notCut
	p.role.Unlock()
	err := mv.cutTo(to, cut)
	if err != nil { // it is to be cut the next time
		p.role.Lock()
		mv.cut = min(mv.cut, cut)
		p.role.Unlock()
	}
	return err
}

func (mv *move) cutTo(to *commitlog.Log, cut kafka.Offset) error {
	if cut >= to.End() {
		return nil
	}
	if err := to.TruncateTo(cut); err != nil {
		return err
	}
	return mv.to.Checkpoint([]*commitlog.Log{to}, nil)
}

// copyChunk appends what follows in the log to its copy, and tells how many bytes. A copy that ends before the log's start begins anew
// there.
func (mv *move) copyChunk(now time.Time, log, to *commitlog.Log, chunk int) (int, error) {
	off, start, end := to.End(), log.Start(), log.End()
	if off >= end {
		return 0, nil
	}
	plan, err := log.Read(max(off, start), end, chunk, true)
	if err != nil {
		return 0, err
	}
	defer plan.Release()
	if off < start && (plan.First == kafka.NoOffset || plan.First > off) {
		begin := start
		if plan.First != kafka.NoOffset {
			begin = plan.First // of a batch of which the first records were deleted
		}
		if err := to.TruncateFullyAndStartAt(begin); err != nil {
			return 0, err
		}
	}
	if plan.Bytes == 0 {
		return 0, to.SkipTo(now, end)
	}
	b, err := plan.ReadAll(mv.to.mover.buf[:0])
	mv.to.mover.buf = b
	if err != nil {
		return 0, err
	}
	_, err = to.AppendFollower(now, b)
	return len(b), err
}

// trim has the copy begin where the log does. Files that it had before go when it is time, whether there are more or not.
func (mv *move) trim(now time.Time, log, to *commitlog.Log) error {
	to.DeleteExpiredFiles(now)
	start := min(log.Start(), to.End())
	if start <= to.Start() {
		return nil
	}
	if err := to.AdvanceStart(start); err != nil {
		return err
	}
	_, err := to.Retain(now, start) // and nothing that is not before the start
	return err
}

package commitlog

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/producers"
	"github.com/headrace/headrace/internal/storage/segment"
)

// ErrUnexpectedOffset is the error of a follower's append that does not begin at or after the log's end.
var ErrUnexpectedOffset = errors.New("unexpected offset in append")

// writeBackBytes is how much is appended before the system is asked to begin writing it: a flush then never meets a
// gigabyte of dirty pages.
const writeBackBytes = 4 << 20

// AppendLeader gives the batch the offset at the log's end and the leader's epoch, in place, and appends it. Batches of
// idempotent producers are checked as origin says; one that was appended before is answered with its first place.
func (l *Log) AppendLeader(now time.Time, v batch.Validated, epoch kafka.LeaderEpoch, origin Origin) (Appended, error) {
	l.mu.Lock()
	a, err := l.appendLeader(now, v, epoch, origin)
	back := l.writeBack()
	l.mu.Unlock()
	back.run()
	return a, err
}

func (l *Log) appendLeader(now time.Time, v batch.Validated, epoch kafka.LeaderEpoch, origin Origin) (Appended, error) {
	if l.mu.failed != nil {
		return Appended{}, l.mu.failed
	}
	if err := l.fitsSegment(len(v.Batch)); err != nil {
		return Appended{}, err
	}
	h := v.Header
	var marker producers.Marker
	if h.HasProducer() {
		verdict, m, err := l.checkProducer(h, v.Batch, origin)
		if err != nil {
			return Appended{}, err
		}
		if verdict.Duplicate {
			return Appended{First: verdict.Original.FirstOffset(), Last: verdict.Original.LastOffset, LogAppendTime: verdict.Original.Timestamp,
				LogStart: l.Start(), Duplicate: true, End: l.End()}, nil
		}
		marker = m
	}
	first := l.End()
	h.BaseOffset, h.LeaderEpoch = first, epoch
	batch.StampOffset(v.Batch, first, epoch)
	if err := l.ensureMade(); err != nil {
		return Appended{}, err
	}
	if err := l.rollFor(now, h, int64(len(v.Batch)), first); err != nil {
		return Appended{}, err
	}
	if err := l.write(v.Batch); err != nil {
		return Appended{}, err
	}
	if err := l.added(h, marker); err != nil {
		return Appended{}, err
	}
	return Appended{First: first, Last: h.LastOffset(), LogAppendTime: v.LogAppendTime, LogStart: l.Start(), End: l.End()}, nil
}

func (l *Log) fitsSegment(n int) error {
	if int64(n) > l.mu.config.SegmentBytes {
		return fmt.Errorf("batch of %d bytes is larger than a segment of %d: %w", n, l.mu.config.SegmentBytes, kerr.RecordListTooLarge)
	}
	return nil
}

// checkProducer asks the producer's state. A sequence that does not fit may be a repetition that the state forgot in a
// restart, when only the last batch of each producer is kept: then the windows are completed from the log, and it is
// asked once more. Nothing of a transaction is taken that its coordinator may not know of.
func (l *Log) checkProducer(h batch.Header, whole []byte, origin Origin) (producers.Verdict, producers.Marker, error) {
	if h.Attributes.IsControl() {
		m, err := l.checkMarker(h, whole, origin)
		return producers.Verdict{}, m, err
	}
	checks := producers.CheckNothing
	switch origin {
	case OriginClient:
		checks = producers.CheckAll
	case OriginCoordinator, OriginCoordinatorV2:
		checks = producers.CheckEpoch
	}
	v, err := l.mu.producers.Check(h, checks)
	if err != nil && v.Older {
		if cerr := l.completeWindows(); cerr != nil {
			return v, producers.Marker{}, l.readError(cerr)
		}
		v, err = l.mu.producers.Check(h, checks)
	}
	if l.mu.config.VerifyTransactions && h.Attributes.IsTransactional() && checks != producers.CheckNothing && !v.Duplicate {
		if err := l.mu.producers.CheckVerified(h, checks); err != nil {
			return v, producers.Marker{}, err
		}
	}
	return v, producers.Marker{}, err
}

func (l *Log) checkMarker(h batch.Header, whole []byte, origin Origin) (producers.Marker, error) {
	m, ok, err := producers.ParseMarker(h, whole)
	if err != nil || !ok {
		return noMarker, err
	}
	if origin == OriginReplication || origin == OriginRaft {
		return m, nil
	}
	return m, l.mu.producers.CheckMarker(m, origin.txnVersion())
}

// write is the one write of an append. When it fails, part of the batch may be in the file beyond the segment's end;
// nobody is shown it, and it is cut off at once, or by recovery.
func (l *Log) write(b []byte) error {
	l.mu.changed = true
	if err := l.active().Write(b); err != nil {
		return l.cutBack(fmt.Errorf("append at offset %d: %w", l.End(), err))
	}
	return nil
}

// added makes a batch that was written part of the log: epochs, indexes, producers, and last the end, which shows it.
func (l *Log) added(h batch.Header, m producers.Marker) error {
	if h.LeaderEpoch != l.mu.epochs.LatestEpoch() {
		l.assignEpoch(h.LeaderEpoch, h.BaseOffset)
	}
	if err := l.active().Added(h, l.mu.config.IndexIntervalBytes); err != nil {
		return l.fail(fmt.Errorf("index of offset %d: %w", h.BaseOffset, err))
	}
	if h.HasProducer() {
		if err := l.addProducer(l.active(), h, m); err != nil {
			return l.fail(err)
		}
	}
	l.mu.gaps = l.mu.gaps || h.BaseOffset != l.End() || sparse(h)
	l.mu.snapshots.grown += int64(h.Size())
	l.end.Store(int64(h.NextOffset()))
	return nil
}

// noMarker is that of a batch without one, or of a control batch without its record.
var noMarker = producers.Marker{ProducerID: kafka.NoProducerID}

// addProducer records the batch, which lies in s, in the producers' state and an aborted transaction in s's index. A control batch
// without marker has noMarker.
func (l *Log) addProducer(s *segment.Segment, h batch.Header, m producers.Marker) error {
	if entry, aborted := l.known(h, m); aborted {
		return l.addAborted(s, entry)
	}
	return nil
}

func (l *Log) addAborted(s *segment.Segment, entry segment.AbortedTxn) error {
	l.dirChanged() // it may be the file's first
	if err := s.AddAborted(entry); err != nil {
		return fmt.Errorf("transaction index at offset %d: %w", entry.Last, err)
	}
	return nil
}

// known records the batch in the producers' state, and gives the entry of the transaction that it aborts, if it does.
func (l *Log) known(h batch.Header, m producers.Marker) (entry segment.AbortedTxn, aborted bool) {
	switch {
	case !h.Attributes.IsControl():
		l.mu.producers.Appended(h)
	case m.ProducerID != kafka.NoProducerID:
		done, stable, ok := l.mu.producers.AppendedMarker(m, h.BaseOffset)
		return segment.AbortedTxn{ProducerID: done.ProducerID, First: done.First, Last: done.Last, Stable: stable}, ok && done.Aborted
	case h.Count == 0:
		l.mu.producers.AppendedEmptied(h)
	}
	return entry, false
}

// AppendFollower appends batches that a leader stamped, as many as there are whole; each must begin at or after the end
// of the one before (compaction leaves gaps). All are checked before the first is written.
func (l *Log) AppendFollower(now time.Time, batches []byte) (Appended, error) {
	l.mu.Lock()
	a, err := l.appendFollower(now, batches)
	back := l.writeBack()
	l.mu.Unlock()
	back.run()
	return a, err
}

func (l *Log) appendFollower(now time.Time, batches []byte) (Appended, error) {
	if l.mu.failed != nil {
		return Appended{}, l.mu.failed
	}
	headers, err := l.checkReplicated(batches)
	if err != nil {
		return Appended{}, err
	}
	a := Appended{First: l.End(), Last: l.End() - 1, LogAppendTime: kafka.NoTimestamp}
	if len(headers) > 0 {
		a.First, a.Last = headers[0].BaseOffset, headers[len(headers)-1].LastOffset()
	}
	for len(headers) > 0 {
		n, size, err := l.startRun(now, headers)
		if err != nil {
			return a, err
		}
		if err := l.appendRun(headers[:n], batches[:size]); err != nil {
			return a, err
		}
		headers, batches = headers[n:], batches[size:]
	}
	a.LogStart, a.End = l.Start(), l.End()
	return a, nil
}

func (l *Log) checkReplicated(batches []byte) ([]batch.Header, error) {
	var headers []batch.Header
	next := l.End()
	for one, err := range batch.Split(batches) {
		if errors.Is(err, batch.ErrShort) {
			break // a fetch response may end within a batch
		}
		if err != nil {
			return nil, err
		}
		h, err := batch.ParseHeader(one)
		if err != nil {
			return nil, err
		}
		if err := batch.CheckCRC(one); err != nil {
			return nil, fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
		}
		if h.LastOffsetDelta < 0 {
			return nil, fmt.Errorf("batch at offset %d has last offset delta %d: %w", h.BaseOffset, h.LastOffsetDelta, kerr.CorruptMessage)
		}
		if h.HasProducer() && h.Attributes.IsControl() {
			if _, err := l.checkMarker(h, one, OriginReplication); err != nil {
				return nil, fmt.Errorf("control batch at offset %d: %w", h.BaseOffset, err)
			}
		}
		if h.BaseOffset < next {
			return nil, fmt.Errorf("batch at offset %d after %d: %w", h.BaseOffset, next-1, ErrUnexpectedOffset)
		}
		if err := l.fitsSegment(len(one)); err != nil {
			return nil, err
		}
		headers, next = append(headers, h), h.NextOffset()
	}
	return headers, nil
}

// startRun makes the log's files if there are none, rolls if the first batch needs it, and counts the batches, and their bytes, that then fit into the active
// segment: they take one write.
func (l *Log) startRun(now time.Time, headers []batch.Header) (n, size int, err error) {
	if err := l.ensureMade(); err != nil {
		return 0, 0, err
	}
	base := l.End()
	if headers[0].LastOffset()-base > maxOffsetDelta {
		base = headers[0].BaseOffset
	}
	if err := l.rollFor(now, headers[0], int64(headers[0].Size()), base); err != nil {
		return 0, 0, err
	}
	size = headers[0].Size()
	for n = 1; n < len(headers); n++ {
		roll, err := l.shouldRoll(now, headers[n], int64(size+headers[n].Size()))
		if err != nil {
			return 0, 0, err
		}
		if roll {
			break
		}
		size += headers[n].Size()
	}
	return n, size, nil
}

func (l *Log) appendRun(headers []batch.Header, b []byte) error {
	if err := l.write(b); err != nil {
		return err
	}
	for _, h := range headers {
		m := noMarker
		if h.HasProducer() && h.Attributes.IsControl() {
			var err error
			if m, err = l.checkMarker(h, b[:h.Size()], OriginReplication); err != nil {
				return l.fail(err)
			}
		}
		if err := l.added(h, m); err != nil {
			return err
		}
		b = b[h.Size():]
	}
	return nil
}

// back is a part of the active segment to hand to WriteBack.
type back struct {
	files  *segment.Files
	off, n int64
}

// writeBack takes what was appended since the last time, if it is enough. The call itself may wait for the disk's queue,
// so it is made without the lock.
func (l *Log) writeBack() back {
	n := l.active().Size() - l.mu.writtenBack
	if n < writeBackBytes {
		return back{}
	}
	b := back{off: l.mu.writtenBack, n: n, files: l.active().Hold()}
	l.mu.writtenBack += n
	return b
}

func (b back) run() {
	if b.files == nil {
		return
	}
	_ = b.files.Log.WriteBack(b.off, b.n) // a hint; the flush reports what goes wrong
	b.files.Release()
}

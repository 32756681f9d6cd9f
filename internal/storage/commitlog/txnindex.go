package commitlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// mendTxns makes the transaction indexes below o again that are damaged. Nobody could read committed records there, and without the
// index what was aborted would look committed.
func (l *Log) mendTxns(now time.Time, o kafka.Offset) error {
	for _, s := range l.mu.segments {
		if s.Base() >= o {
			break
		}
		_, err := s.Aborted()
		if errors.Is(err, kerr.CorruptMessage) {
			l.log.Warn("transaction index is made again from the records", "dir", l.dir, "segment", s.Base(), "err", err)
			if err = l.mendTxnsOf(now, s); err != nil {
				err = fmt.Errorf("make the transaction index at %d again: %w", s.Base(), err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errBeyond = errors.New("beyond the segment")

// mendTxnsOf follows the producers from the newest snapshot before the segment to its end. The producers' state is made anew after that.
func (l *Log) mendTxnsOf(now time.Time, of *segment.Segment) error {
	l.mu.producers.Clear()
	defer l.mu.producers.Clear()
	from, found := l.loadSnapshot(now, of.Base())
	if !found {
		from = l.mu.segments[0].Base()
	}
	var index []byte
	err := l.walk(from, func(s *segment.Segment, h batch.Header, whole func() ([]byte, error)) error {
		if s.Base() > of.Base() {
			return errBeyond
		}
		entry, aborted, err := l.learn(h, whole)
		if aborted && s == of {
			index = entry.AppendAborted(index)
		}
		return err
	})
	if err != nil && !errors.Is(err, errBeyond) {
		return err
	}
	if err := replaceFile(l.fs, filepath.Join(l.dir, segment.FileName(of.Base(), segment.TxnIndexSuffix)), index); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// learn makes a batch that lies in the log known to the producers' state, and gives the entry that it makes in the transaction index, if
// it aborts a transaction.
func (l *Log) learn(h batch.Header, whole func() ([]byte, error)) (entry segment.AbortedTxn, aborted bool, err error) {
	if !h.HasProducer() {
		return entry, false, nil
	}
	m := noMarker
	if h.Attributes.IsControl() {
		b, err := whole()
		if err != nil {
			return entry, false, err
		}
		if m, err = l.checkMarker(h, b, OriginReplication); err != nil {
			return entry, false, err
		}
	}
	entry, aborted = l.known(h, m)
	return entry, aborted, nil
}

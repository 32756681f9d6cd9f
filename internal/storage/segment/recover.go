package segment

import (
	"errors"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Recover loads a segment after a stop that was not clean. Batches below point were flushed: their headers alone are
// followed, from the last index entries that can be trusted. Those from point on are read whole and checked; the first
// that is not right ends the segment, and visit sees those that are.
func (s *Segment) Recover(point kafka.Offset, interval int, visit Visit) (Found, error) {
	if err := s.open(); err != nil {
		return Found{}, err
	}
	c, err := s.trusted(point)
	if err != nil {
		return Found{}, err
	}
	c.checkFrom, c.interval, c.visit = point, interval, visit
	found, err := s.scan(c)
	if errors.Is(err, ErrDamaged) && c.pos > 0 {
		// The index may have led to a place that only looks like a batch. From the beginning there is no doubt.
		found, err = s.scan(scan{checkFrom: point, interval: interval, visit: visit})
	}
	s.loaded = err == nil
	return found, err
}

// Renew writes the segment's bytes over themselves and empties its indexes, which Recover then makes again. After a sync that
// failed the system may hold bytes that are not on the disk and that it does not mean to write any more; written again, they
// are part of the next sync.
func (s *Segment) Renew() error {
	for _, suffix := range []string{IndexSuffix, TimeIndexSuffix} {
		if err := truncateIfLonger(s.fs, s.path(suffix), 0); err != nil {
			return err
		}
	}
	if err := s.open(); err != nil {
		return err
	}
	b := make([]byte, min(s.size, scanBytes))
	for pos := int64(0); pos < s.size; pos += int64(len(b)) {
		b = b[:min(int64(len(b)), s.size-pos)]
		if err := readFull(s.files.Log, b, pos); err != nil {
			return err
		}
		if _, err := s.files.Log.WriteAt(b, pos); err != nil {
			return err
		}
	}
	return nil
}

// trusted finds how much of the index files is right. They are written without being synced, so after a power cut any of
// their pages may be zeros: the entries up to the first that does not grow count, as far as they speak of batches below
// point, and if the batches they name are there. The offset index counts only as far as the time index does, as the
// largest timestamp up to there must be known.
func (s *Segment) trusted(point kafka.Offset) (scan, error) {
	limit := int64(point - s.base)
	if limit <= 0 {
		return scan{}, nil
	}
	maxTs, maxRel := kafka.NoTimestamp, int32(0)
	times, err := s.growing(TimeIndexSuffix, timeWidth, func(e []byte) bool {
		ts, rel := timeEntry(e)
		ok := ts > maxTs && rel >= maxRel && int64(rel) < limit
		if ok {
			maxTs, maxRel = ts, rel
		}
		return ok
	})
	if err != nil || times == 0 {
		return scan{}, err
	}
	prevRel, prevPos := int32(0), int32(0) // no entry names the first batch
	offsets, err := s.growing(IndexSuffix, offsetWidth, func(e []byte) bool {
		rel, pos := offsetEntry(e)
		ok := rel > prevRel && pos > prevPos && int64(pos) < s.size && rel <= maxRel
		if ok {
			prevRel, prevPos = rel, pos
		}
		return ok
	})
	if err != nil {
		return scan{}, err
	}
	return s.anchored(offsets, times, maxTs, s.base+kafka.Offset(maxRel))
}

// anchored goes back in the offset index to an entry that names a batch which is there, and makes sure that the time
// entry (ts, off) does too.
func (s *Segment) anchored(offsets, times int, ts int64, off kafka.Offset) (scan, error) {
	for n := offsets; ; n /= 2 {
		pos, ok, err := s.anchor(n)
		if err != nil {
			return scan{}, err
		}
		if !ok {
			continue
		}
		if ok, err := s.hasTimestamp(pos, off, ts); err != nil || !ok {
			return scan{}, err
		}
		return scan{pos: pos, keepOffsets: n, keepTimes: times, maxTimestamp: ts, maxTimestampOffset: off}, nil
	}
}

// hasTimestamp tells whether the batch that ends at off has the largest timestamp ts, looking from pos on.
func (s *Segment) hasTimestamp(pos int64, off kafka.Offset, ts int64) (bool, error) {
	b := s.files.borrow()
	defer s.files.giveBack(b)
	w := newWalker(s.files.Log, s.size, b)
	for pos < s.size {
		h, err := w.header(pos)
		if err != nil {
			if errors.Is(err, kerr.CorruptMessage) {
				err = nil
			}
			return false, err
		}
		if h.LastOffset() >= off {
			return h.LastOffset() == off && h.MaxTimestamp == ts, nil
		}
		pos += int64(h.Size())
	}
	return false, nil
}

// growing counts the entries at the beginning of an index file that ok accepts.
func (s *Segment) growing(suffix string, width int, ok func(e []byte) bool) (int, error) {
	f, err := s.fs.OpenFile(s.path(suffix), os.O_RDONLY, 0)
	if err != nil {
		if isNotExist(err) {
			err = nil
		}
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	return countGrowing(f, int(min(size, 1<<31-1))/width, width, ok)
}

func countGrowing(f vfs.File, entries, width int, ok func(e []byte) bool) (int, error) {
	const block = 8192
	buf := make([]byte, min(entries, block)*width)
	for i := 0; i < entries; i += block {
		b := buf[:min(entries-i, block)*width]
		if err := readFull(f, b, int64(i)*int64(width)); err != nil {
			return 0, err
		}
		for j := 0; j < len(b)/width; j++ {
			if !ok(b[j*width : (j+1)*width]) {
				return i + j, nil
			}
		}
	}
	return entries, nil
}

// TruncateTo drops the batches that reach offset o or beyond, durably, so that they do not come back after a power cut.
// It returns the offset after the last batch that stays.
func (s *Segment) TruncateTo(o kafka.Offset, interval int) (kafka.Offset, error) {
	if err := s.load(); err != nil {
		return 0, err
	}
	v, err := s.View()
	if err != nil {
		return 0, err
	}
	defer v.Release()
	pos, err := v.EndBefore(o)
	if err != nil || pos == s.size {
		return s.next, err
	}
	if err := roomless(s.writeIndexes()); err != nil { // what is not there is made again
		return 0, err
	}
	c, err := s.trusted(o)
	if err != nil {
		return 0, err
	}
	s.size = pos
	if err := s.Trim(); err != nil {
		return 0, err
	}
	if err := s.TruncateTxns(o); err != nil {
		return 0, err
	}
	if c.pos > pos {
		c = scan{}
	}
	c.checkFrom, c.interval = 1<<62, interval
	_, err = s.scan(c)
	return s.next, err
}

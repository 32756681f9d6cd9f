package segment

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// View is a segment at one moment: what was appended by then can be found and read without the owner's lock, until
// Release, even if the segment is deleted meanwhile.
type View struct {
	Base kafka.Offset
	Next kafka.Offset // offset after the last batch, or a little more
	Size int64

	// The largest timestamp of the batches, and the last offset of the first batch that has it.
	MaxTimestamp       int64
	MaxTimestampOffset kafka.Offset

	files          *Files
	offsets, times tableView
}

// View takes a view. The caller must Release it.
func (s *Segment) View() (View, error) {
	if err := s.load(); err != nil {
		return View{}, err
	}
	if err := s.open(); err != nil {
		return View{}, err
	}
	s.files.Retain()
	return View{Base: s.base, Next: s.next, Size: s.size, MaxTimestamp: s.maxTimestamp, MaxTimestampOffset: s.maxTimestampOffset,
		files: s.files, offsets: s.offsets.view(), times: s.times.view()}, nil
}

// Release lets go of the files.
func (v View) Release() { v.files.Release() }

// Files are the files of the view; one that keeps them beyond the view must Retain them.
func (v View) Files() *Files { return v.files }

// near is a position, of a batch that ends at or before o or of the first, from which walking on leads to offset o soon.
func (v View) near(o kafka.Offset) (int64, error) {
	e, i, err := v.offsets.lastBefore(v.openOffsets, func(e []byte) bool {
		rel, _ := offsetEntry(e)
		return v.Base+kafka.Offset(rel) > o
	})
	if err != nil || i < 0 {
		return 0, err
	}
	return v.verified(e)
}

// verified is the position of an offset entry, or 0 if the batch that the entry speaks of is not there: an index that was
// damaged makes reads slow, not wrong.
func (v View) verified(e []byte) (int64, error) {
	rel, pos := offsetEntry(e)
	if int64(pos) >= v.Size || pos < 0 {
		return 0, nil
	}
	b := v.files.borrow()
	defer v.files.giveBack(b)
	h, err := newWalker(v.files.Log, v.Size, b[:batch.HeaderSize]).header(int64(pos))
	if err == nil && h.LastOffset() == v.Base+kafka.Offset(rel) {
		return int64(pos), nil
	}
	if err != nil && !errors.Is(err, kerr.CorruptMessage) {
		return 0, v.wrap(int64(pos), err)
	}
	return 0, nil
}

func (v View) openOffsets() (vfs.File, error) { return v.files.index(0) }
func (v View) openTimes() (vfs.File, error)   { return v.files.index(1) }

// Find looks for the first batch that reaches offset o; without one pos is the end.
func (v View) Find(o kafka.Offset) (pos int64, h batch.Header, ok bool, err error) {
	pos, err = v.near(o)
	if err != nil {
		return 0, h, false, err
	}
	err = v.walk(pos, func(at int64, x batch.Header) bool {
		pos, h, ok = at, x, x.LastOffset() >= o
		return !ok
	})
	if !ok {
		pos = v.Size
	}
	return pos, h, ok, err
}

// EndBefore is the position after the last batch that ends before limit.
func (v View) EndBefore(limit kafka.Offset) (int64, error) {
	if limit >= v.Next {
		return v.Size, nil
	}
	pos, _, _, err := v.Find(limit)
	return pos, err
}

// Fit is the end of the last batch that fits whole into n bytes from pos on, a batch's beginning, and before end, a
// batch's end.
func (v View) Fit(pos, end int64, n int) (int64, error) {
	if end-pos <= int64(n) {
		return end, nil
	}
	limit := pos + int64(n)
	e, i, err := v.offsets.lastBefore(v.openOffsets, func(e []byte) bool {
		_, at := offsetEntry(e)
		return int64(at) > limit
	})
	if err != nil {
		return 0, err
	}
	fit := pos
	if i >= 0 {
		at, err := v.verified(e)
		if err != nil {
			return 0, err
		}
		fit = max(pos, at)
	}
	err = v.walk(fit, func(at int64, h batch.Header) bool {
		fit = at
		if at+int64(h.Size()) > limit {
			return false
		}
		fit = at + int64(h.Size())
		return true
	})
	return fit, err
}

// OffsetOf is the base offset of the batch at pos, a batch's beginning before the end.
func (v View) OffsetOf(pos int64) (o kafka.Offset, err error) {
	err = v.walk(pos, func(_ int64, h batch.Header) bool {
		o = h.BaseOffset
		return false
	})
	return o, err
}

// walk shows the headers from pos on to fn until it returns false.
func (v View) walk(pos int64, fn func(pos int64, h batch.Header) bool) error {
	b := v.files.borrow()
	defer v.files.giveBack(b)
	w := newWalker(v.files.Log, v.Size, b)
	for pos < v.Size {
		h, err := w.header(pos)
		if err != nil {
			return v.wrap(pos, err)
		}
		if !fn(pos, h) {
			return nil
		}
		pos += int64(h.Size())
	}
	return nil
}

func (v View) wrap(pos int64, err error) error {
	return fmt.Errorf("%s at byte %d: %w", v.files.Log.Name(), pos, err)
}

// Walk shows the batches that reach offset from or beyond to fn, in order, until it fails. whole reads the batch; what it
// returns is valid until the next call.
func (v View) Walk(from kafka.Offset, fn func(h batch.Header, whole func() ([]byte, error)) error) error {
	return v.WalkThrough(make([]byte, min(scanBytes, max(v.Size, batch.HeaderSize))), from, fn)
}

// WalkThrough is Walk with the memory that is read into, at least a header's.
func (v View) WalkThrough(buf []byte, from kafka.Offset, fn func(h batch.Header, whole func() ([]byte, error)) error) error {
	pos, err := v.near(from)
	if err != nil {
		return err
	}
	w := newWalker(v.files.Log, v.Size, buf)
	for pos < v.Size {
		h, err := w.header(pos)
		if err != nil {
			return v.wrap(pos, err)
		}
		if h.LastOffset() >= from {
			if err := fn(h, func() ([]byte, error) { return w.whole(pos, h) }); err != nil {
				return err
			}
		}
		pos += int64(h.Size())
	}
	return nil
}

// OffsetAt is the first offset of a batch at or before the position, near it: for walks bounded in bytes.
func (v View) OffsetAt(pos int64) (kafka.Offset, error) {
	e, i, err := v.offsets.lastBefore(v.openOffsets, func(e []byte) bool {
		_, at := offsetEntry(e)
		return int64(at) > pos
	})
	if err != nil || i < 0 {
		return v.Base, err
	}
	rel, _ := offsetEntry(e)
	return v.Base + kafka.Offset(rel), nil
}

// Record names one record by place and time.
type Record struct {
	Offset    kafka.Offset
	Timestamp int64
	Epoch     kafka.LeaderEpoch
}

// maxInflated bounds what one batch may decompress to when its records are searched.
const maxInflated = 1<<31 - 1

// FindTimestamp looks for the first record at or after offset start whose timestamp is at least ts.
func (v View) FindTimestamp(ts int64, start kafka.Offset) (Record, bool, error) {
	e, i, err := v.times.lastBefore(v.openTimes, func(e []byte) bool {
		at, _ := timeEntry(e)
		return at > ts
	})
	if err != nil {
		return Record{}, false, err
	}
	from := v.Base
	if i >= 0 {
		_, rel := timeEntry(e)
		from += kafka.Offset(rel)
	}
	return v.findRecord(max(from, start), func(h batch.Header) bool { return h.MaxTimestamp >= ts && h.LastOffset() >= start },
		func(r batch.Record) bool { return r.Timestamp >= ts && r.Offset >= start })
}

// Largest looks for the first record that has the largest timestamp of the segment.
func (v View) Largest() (Record, bool, error) {
	if v.MaxTimestamp < 0 {
		return Record{}, false, nil
	}
	return v.findRecord(v.MaxTimestampOffset, func(h batch.Header) bool { return h.MaxTimestamp == v.MaxTimestamp },
		func(r batch.Record) bool { return r.Timestamp == v.MaxTimestamp })
}

func (v View) findRecord(from kafka.Offset, inBatch func(batch.Header) bool, wanted func(batch.Record) bool) (Record, bool, error) {
	pos, err := v.near(from)
	if err != nil {
		return Record{}, false, err
	}
	w := newWalker(v.files.Log, v.Size, make([]byte, walkBytes))
	for pos < v.Size {
		h, err := w.header(pos)
		if err != nil {
			return Record{}, false, v.wrap(pos, err)
		}
		if inBatch(h) {
			whole, err := w.whole(pos, h)
			if err != nil {
				return Record{}, false, v.wrap(pos, err)
			}
			for r, err := range batch.Records(whole, maxInflated) {
				if err != nil {
					return Record{}, false, v.wrap(pos, err)
				}
				if wanted(r) {
					return Record{Offset: r.Offset, Timestamp: r.Timestamp, Epoch: h.LeaderEpoch}, true, nil
				}
			}
		}
		pos += int64(h.Size())
	}
	return Record{}, false, nil
}

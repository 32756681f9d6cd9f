package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// ErrDamaged says that bytes which were flushed before cannot be read as batches any more.
var ErrDamaged = fmt.Errorf("segment is damaged: %w", kerr.CorruptMessage)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Found is what Tail and Recover saw.
type Found struct {
	Scanned int64 // bytes gone through
	Beyond  int64 // bytes beyond the last right batch, for Trim
	Reason  error // why they are not a batch
}

// load learns the indexes of a segment that is not the last, from their sizes and last entries. Indexes that cannot be
// right (missing, of a strange size, with an end of zeros as Kafka leaves after a crash) are made again.
func (s *Segment) load() error {
	if s.loaded {
		return nil
	}
	ok, err := s.loadIndexes(s.next)
	if err != nil {
		return err
	}
	if ok {
		s.loaded = true
		return nil
	}
	_, err = s.scan(scan{checkFrom: math.MaxInt64, whole: true, interval: rebuildInterval})
	s.loaded = err == nil
	if err == nil {
		err = s.Seal()
	}
	if err != nil {
		// Half an index would pass for a whole one at the next start; a time index without entries is made again.
		s.loaded = false
		return errors.Join(err, truncateIfLonger(s.fs, s.path(TimeIndexSuffix), 0))
	}
	return nil
}

// rebuildInterval is the interval of index entries that are made again outside of recovery; any would be right.
const rebuildInterval = 4096

// loadIndexes takes the index files as they are, if their ends look right for records below next.
func (s *Segment) loadIndexes(next kafka.Offset) (bool, error) {
	o, on, err := s.lastEntry(IndexSuffix, offsetWidth)
	if err != nil || on < 0 {
		return false, err
	}
	t, tn, err := s.lastEntry(TimeIndexSuffix, timeWidth)
	if err != nil || tn < 0 || tn == 0 && s.size > 0 {
		return false, err
	}
	pos := int32(0)
	if on > 0 {
		var rel int32
		if rel, pos = offsetEntry(o); rel <= 0 || s.base+kafka.Offset(rel) >= next || pos <= 0 || int64(pos) >= s.size {
			return false, nil
		}
	}
	s.maxTimestamp, s.maxTimestampOffset, s.lastTimeEntry = kafka.NoTimestamp, s.base, kafka.NoTimestamp
	if tn > 0 {
		ts, rel := timeEntry(t)
		if first, err := s.firstTime(); err != nil || tn > 1 && ts <= first {
			return false, err // an end of zeros
		}
		if ts < 0 || rel < 0 || s.base+kafka.Offset(rel) >= next {
			return false, nil
		}
		s.maxTimestamp, s.maxTimestampOffset, s.lastTimeEntry = ts, s.base+kafka.Offset(rel), ts
	}
	s.offsets.onDisk(on)
	s.times.onDisk(tn)
	s.sinceIndexed = int(s.size - int64(pos))
	return true, nil
}

// lastEntry reads the end of an index file. n is the number of entries, or -1 when there is no file or its size is odd.
func (s *Segment) lastEntry(suffix string, width int) (e []byte, n int, err error) {
	info, err := statIfThere(s.fs, s.path(suffix))
	if err != nil || info == nil || info.Size()%int64(width) != 0 || info.Size() > math.MaxInt32 {
		return nil, -1, err
	}
	n = int(info.Size()) / width
	if n == 0 {
		return nil, 0, nil
	}
	f, err := s.fs.OpenFile(s.path(suffix), os.O_RDONLY, 0)
	if err != nil {
		return nil, -1, err
	}
	defer f.Close()
	e = make([]byte, width)
	return e, n, readFull(f, e, int64(n-1)*int64(width))
}

func (s *Segment) firstTime() (int64, error) {
	f, err := s.fs.OpenFile(s.path(TimeIndexSuffix), os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var e [timeWidth]byte
	if err := readFull(f, e[:], 0); err != nil {
		return 0, err
	}
	ts, _ := timeEntry(e[:])
	return ts, nil
}

// Tail loads the last segment after a clean stop: it reads from the last index entry to the end, to learn the next
// offset.
func (s *Segment) Tail(interval int) (Found, error) {
	if err := s.open(); err != nil {
		return Found{}, err
	}
	ok, err := s.loadIndexes(math.MaxInt64)
	if err != nil {
		return Found{}, err
	}
	from := scan{checkFrom: math.MaxInt64, interval: interval}
	if ok {
		pos, anchored, err := s.anchor(s.offsets.count)
		if err != nil {
			return Found{}, err
		}
		if anchored {
			from.pos, from.keepOffsets, from.keepTimes = pos, s.offsets.count, s.times.count
			from.maxTimestamp, from.maxTimestampOffset = s.maxTimestamp, s.maxTimestampOffset
		}
	}
	found, err := s.scan(from)
	s.loaded = err == nil
	return found, err
}

// anchor tells whether the n-th of the offset entries on disk names a batch that is there, and its position; no entry
// names the beginning.
func (s *Segment) anchor(n int) (pos int64, ok bool, err error) {
	if n == 0 {
		return 0, true, nil
	}
	f, err := s.files.index(0)
	if err != nil {
		return 0, false, err
	}
	var e [offsetWidth]byte
	if err := readFull(f, e[:], int64(n-1)*offsetWidth); err != nil {
		return 0, false, err
	}
	rel, at := offsetEntry(e[:])
	if int64(at) >= s.size {
		return 0, false, nil
	}
	h, err := s.headerAt(int64(at))
	if err != nil && !errors.Is(err, kerr.CorruptMessage) {
		return 0, false, err
	}
	return int64(at), err == nil && h.LastOffset() == s.base+kafka.Offset(rel), nil
}

func (s *Segment) headerAt(pos int64) (batch.Header, error) {
	b := s.files.borrow()
	defer s.files.giveBack(b)
	return newWalker(s.files.Log, s.size, b).header(pos)
}

// scan says how to go through a log file and make its indexes again.
type scan struct {
	pos                    int64 // where to begin: the batch of the last kept offset entry, or 0
	keepOffsets, keepTimes int   // entries to keep
	maxTimestamp           int64 // of the batches before pos (used when keepTimes > 0)
	maxTimestampOffset     kafka.Offset
	checkFrom              kafka.Offset // batches that reach here or beyond are read whole and checked
	whole                  bool         // a later segment exists: nothing may be cut off
	interval               int
	visit                  Visit
}

// Visit sees each batch that recovery has checked.
type Visit func(h batch.Header, whole []byte) error

// scan goes through the batches from c.pos on and makes the indexes for them. The first one that is not right ends the
// segment if it lies where batches are checked, or is cut off by the end of the file; elsewhere it is damage.
func (s *Segment) scan(c scan) (Found, error) {
	if err := s.open(); err != nil {
		return Found{}, err
	}
	fileSize, err := s.files.Log.Size()
	if err != nil {
		return Found{}, err
	}
	if err := s.restart(c); err != nil {
		return Found{}, err
	}
	w := newWalker(s.files.Log, fileSize, make([]byte, min(scanBytes, max(fileSize-c.pos, batch.HeaderSize))))
	pos, end, reason, err := s.scanBatches(c, w)
	if err != nil {
		return Found{}, err
	}
	if reason != nil && end < c.checkFrom {
		if !errors.Is(reason, errTorn) || c.whole {
			return Found{}, fmt.Errorf("%s at byte %d: %w: %w", s.files.Log.Name(), pos, ErrDamaged, reason)
		}
		if later, err := s.findBatch(pos+1, fileSize, end); err != nil || later >= 0 {
			return Found{}, errors.Join(fmt.Errorf("%s at byte %d, with a batch at %d: %w: %w", s.files.Log.Name(), pos, later, ErrDamaged, reason), err)
		}
	}
	s.size, s.next = pos, end
	return Found{Scanned: fileSize - c.pos, Beyond: fileSize - pos, Reason: reason}, nil
}

// Trim cuts off, durably, what the file holds beyond the last right batch.
func (s *Segment) Trim() error {
	if err := s.files.Log.Truncate(s.size); err != nil {
		return err
	}
	return s.files.Log.Sync()
}

// restart drops what the index files hold beyond the entries to keep.
func (s *Segment) restart(c scan) error {
	s.offsets.onDisk(c.keepOffsets)
	s.times.onDisk(c.keepTimes)
	s.offsets.synced, s.times.synced = 0, 0 // nobody knows
	s.maxTimestamp, s.maxTimestampOffset, s.lastTimeEntry = kafka.NoTimestamp, s.base, kafka.NoTimestamp
	if c.keepTimes > 0 {
		s.maxTimestamp, s.maxTimestampOffset, s.lastTimeEntry = c.maxTimestamp, c.maxTimestampOffset, c.maxTimestamp
	}
	s.firstKnown, s.sinceIndexed = false, 0
	if err := truncateIfLonger(s.fs, s.path(IndexSuffix), int64(c.keepOffsets)*offsetWidth); err != nil {
		return err
	}
	return truncateIfLonger(s.fs, s.path(TimeIndexSuffix), int64(c.keepTimes)*timeWidth)
}

func (s *Segment) scanBatches(c scan, w *walker) (pos int64, next kafka.Offset, reason, err error) {
	next, pos = s.base, c.pos
	epoch := kafka.NoLeaderEpoch
	for pos < w.end {
		h, err := w.header(pos)
		if err == nil && pos == c.pos && pos > 0 {
			next = h.BaseOffset
		}
		if err == nil {
			err = s.fits(h, next)
		}
		if err == nil && h.LastOffset() >= c.checkFrom && h.LeaderEpoch < epoch && h.LeaderEpoch >= 0 {
			// What a file that was truncated and written again may show after a power cut.
			err = fmt.Errorf("batch of leader epoch %d after %d: %w", h.LeaderEpoch, epoch, kerr.CorruptMessage)
		}
		var whole []byte
		if err == nil && h.LastOffset() >= c.checkFrom {
			if whole, err = w.whole(pos, h); err == nil {
				err = batch.CheckCRC(whole)
			}
		}
		if err != nil {
			torn := errors.Is(err, batch.ErrOldMagic) && next >= c.checkFrom // a header of which a part is zeros
			if !errors.Is(err, kerr.CorruptMessage) && !torn {
				return pos, next, nil, err // an error of reading, or an old format
			}
			return pos, next, err, nil
		}
		if whole != nil && c.visit != nil {
			if err := c.visit(h, whole); err != nil {
				return pos, next, nil, err
			}
		}
		s.account(h, pos, c.interval) // the first batch's own entry, if kept, is not made again: nothing precedes it
		if s.offsets.count-s.offsets.written >= tailEntries {
			if err := roomless(s.writeIndexes()); err != nil {
				return pos, next, nil, err
			}
		}
		pos, next, epoch = pos+int64(h.Size()), h.NextOffset(), h.LeaderEpoch
	}
	return pos, next, nil, nil
}

// fits tells whether h can follow a batch that ends before next.
func (s *Segment) fits(h batch.Header, next kafka.Offset) error {
	switch {
	case h.BaseOffset < next:
		return fmt.Errorf("batch at offset %d after %d: %w", h.BaseOffset, next-1, kerr.CorruptMessage)
	case h.LastOffset()-s.base > math.MaxInt32:
		return fmt.Errorf("batch ends at offset %d, too far from %d: %w", h.LastOffset(), s.base, kerr.CorruptMessage)
	}
	return nil
}

// findBatch looks for a batch with a right checksum, after next, at any byte of [from, end): if there is one, what is
// before it is damage rather than the end of the log. It returns -1 when there is none.
func (s *Segment) findBatch(from, end int64, next kafka.Offset) (int64, error) {
	buf := make([]byte, scanBytes)
	w := newWalker(s.files.Log, end, make([]byte, walkBytes))
	for from+batch.HeaderSize <= end {
		n := int(min(int64(len(buf)), end-from))
		if err := readFull(s.files.Log, buf[:n], from); err != nil {
			return -1, err
		}
		i := 0
		for ; i+batch.HeaderSize <= n; i++ {
			h, err := batch.ParseHeader(buf[i:n])
			if err != nil || h.BaseOffset < next || h.LastOffset()-s.base > math.MaxInt32 || from+int64(i)+int64(h.Size()) > end {
				continue
			}
			if whole, err := w.whole(from+int64(i), h); err == nil && batch.CheckCRC(whole) == nil {
				return from + int64(i), nil
			}
		}
		from += int64(i)
	}
	return -1, nil
}

func truncateIfLonger(fsys vfs.FS, path string, size int64) error {
	info, err := statIfThere(fsys, path)
	if err != nil {
		return err
	}
	if info != nil && info.Size() <= size {
		return nil
	}
	flag := os.O_RDWR
	if info == nil {
		flag |= os.O_CREATE
	}
	f, err := fsys.OpenFile(path, flag, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if info == nil {
		return nil
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

// NextOffset walks the headers of a whole log file and returns the offset after its last batch.
func NextOffset(fsys vfs.FS, path string, base kafka.Offset) (kafka.Offset, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	next := base
	w := newWalker(f, size, make([]byte, min(scanBytes, max(size, batch.HeaderSize))))
	for pos := int64(0); pos < size; {
		h, err := w.header(pos)
		if err != nil {
			return 0, fmt.Errorf("%s at byte %d: %w", path, pos, err)
		}
		pos, next = pos+int64(h.Size()), h.NextOffset()
	}
	return next, nil
}

package commitlog

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// ReadPlan says where whole batches lie that follow one another. It keeps their files open until Release.
type ReadPlan struct {
	Slices []Slice
	Bytes  int          // of all slices
	First  kafka.Offset // base offset of the first batch, which may be below the one asked for; NoOffset when there is none
	Next   kafka.Offset // where to read on

	held []*segment.Files
}

// Release lets go of the files. It may be called more than once.
func (p *ReadPlan) Release() {
	for _, f := range p.held {
		f.Release()
	}
	p.held, p.Slices = nil, nil
}

// ReadAll appends the planned bytes to dst.
func (p *ReadPlan) ReadAll(dst []byte) ([]byte, error) {
	dst = slices.Grow(dst, p.Bytes)
	for _, s := range p.Slices {
		n := len(dst)
		dst = dst[:n+s.Len]
		if got, err := s.File.ReadAt(dst[n:], s.Off); got < s.Len {
			return dst[:n], fmt.Errorf("read %s [%d+%d]: %w: %w", s.File.Name(), s.Off, s.Len, kerr.KafkaStorageError, err)
		}
	}
	return dst, nil
}

// checkBuffer is what Check reads at a time.
const checkBuffer = 64 << 10

var checkBuffers = sync.Pool{New: func() any { return new([checkBuffer]byte) }}

// Check reads the planned batches and compares their checksums. at is the base offset of the first that is not right, or where one
// should begin; the error then is kerr.CorruptMessage.
func (p *ReadPlan) Check() (at kafka.Offset, err error) {
	buf := checkBuffers.Get().(*[checkBuffer]byte)
	defer checkBuffers.Put(buf)
	at = p.First
	for _, s := range p.Slices {
		for pos, end := s.Off, s.Off+int64(s.Len); pos < end; {
			h, err := batch.CheckAt(s.File, pos, end, buf[:])
			if err == nil && h.BaseOffset < at {
				err = fmt.Errorf("batch at offset %d where %d was expected: %w", h.BaseOffset, at, kerr.CorruptMessage)
			}
			if err != nil {
				return at, fmt.Errorf("%s at byte %d: %w", s.File.Name(), pos, err)
			}
			pos, at = pos+int64(h.Size()), h.NextOffset()
		}
	}
	return kafka.NoOffset, nil
}

// readError makes sure that an error of the disk has a meaning for the protocol.
func (l *Log) readError(err error) error {
	var k *kerr.Error
	if err == nil || errors.As(err, &k) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", l.partition, kerr.KafkaStorageError, err)
}

// tries is how often a read looks again when truncation or deletion changed what it looked at.
const tries = 4

// Read plans whole batches, from the one that holds off on, that end at or before limit, in at most maxBytes; with minOne
// the first batch is planned even if it is larger. An offset before the start or after the end is out of range; between
// limit and the end there is nothing to read. Of a log that is offline only what was flushed is read.
func (l *Log) Read(off, limit kafka.Offset, maxBytes int, minOne bool) (ReadPlan, error) {
	for try := 1; ; try++ {
		p, err := l.plan(off, limit, maxBytes, minOne)
		if err == nil {
			return p, nil
		}
		p.Release()
		if !errors.Is(err, segment.ErrStale) || try == tries {
			return ReadPlan{}, l.readError(err)
		}
	}
}

func (l *Log) plan(off, limit kafka.Offset, maxBytes int, minOne bool) (ReadPlan, error) {
	p := ReadPlan{First: kafka.NoOffset, Next: off}
	limit, err := l.readLimit(off, limit)
	if err != nil {
		return p, err
	}
	for at := off; at < limit; {
		v, err := l.view(at)
		if err != nil {
			return p, err
		}
		done, err := p.add(v, at, limit, maxBytes, minOne)
		v.Release()
		if err != nil || done {
			return p, err
		}
		if v.Next <= at { // the log was truncated meanwhile
			return p, nil
		}
		at = v.Next
	}
	return p, nil
}

func (l *Log) readLimit(off, limit kafka.Offset) (kafka.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.End()
	if off < l.Start() || off > end {
		return 0, fmt.Errorf("offset %d is not in %d..%d of %s: %w", off, l.Start(), end, l.partition, kerr.OffsetOutOfRange)
	}
	if l.mu.failed == nil {
		return min(limit, end), nil
	}
	if errors.Is(l.mu.failed, ErrClosed) || off >= l.Flushed() && off < end {
		return 0, l.mu.failed
	}
	return min(limit, l.Flushed()), nil
}

// view takes a view of the segment that holds o.
func (l *Log) view(o kafka.Offset) (segment.View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o < l.Start() { // deleted since the bounds were looked at
		return segment.View{}, fmt.Errorf("offset %d is before %d of %s: %w", o, l.Start(), l.partition, kerr.OffsetOutOfRange)
	}
	i := l.floor(o)
	v, err := l.mu.segments[i].View()
	if err != nil {
		return v, err
	}
	if i+1 < len(l.mu.segments) {
		v.Next = l.mu.segments[i+1].Base()
		l.used(l.mu.segments[i])
	}
	return v, nil
}

// maxRecent is how many sealed segments keep their files open for the next reader.
const maxRecent = 3

// used notes that a sealed segment was read, and lets the one go that was not for the longest time.
func (l *Log) used(s *segment.Segment) {
	if i := slices.Index(l.mu.recent, s); i >= 0 {
		l.mu.recent = append(slices.Delete(l.mu.recent, i, i+1), s)
		return
	}
	l.mu.recent = append(l.mu.recent, s)
	if len(l.mu.recent) > maxRecent {
		oldest := l.mu.recent[0]
		l.mu.recent = slices.Delete(l.mu.recent, 0, 1)
		if !slices.Contains(l.mu.unflushed, oldest) {
			oldest.Idle()
		}
	}
}

// add plans what one segment holds. done says that nothing of the next segment may follow.
func (p *ReadPlan) add(v segment.View, at, limit kafka.Offset, maxBytes int, minOne bool) (done bool, err error) {
	pos, h, ok, err := v.Find(at)
	if err != nil || !ok {
		return false, err
	}
	end, err := v.EndBefore(limit)
	if err != nil || end <= pos {
		return true, err
	}
	fit, err := v.Fit(pos, end, max(maxBytes-p.Bytes, 0))
	if err != nil {
		return true, err
	}
	if fit == pos && minOne && len(p.Slices) == 0 {
		fit = pos + int64(h.Size())
	}
	if fit == pos {
		return true, nil
	}
	if p.First == kafka.NoOffset {
		p.First = h.BaseOffset
	}
	f := v.Files()
	f.Retain()
	p.held = append(p.held, f)
	p.Slices = append(p.Slices, Slice{File: f.Log, Off: pos, Len: int(fit - pos)})
	p.Bytes += int(fit - pos)
	if fit == v.Size {
		p.Next = min(v.Next, limit)
		return false, nil
	}
	p.Next, err = v.OffsetOf(fit)
	return true, err
}

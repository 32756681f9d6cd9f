package segment

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/vfs"
)

// errTorn says that a batch reaches beyond the end of the file.
var errTorn = fmt.Errorf("the file ends within a batch: %w", kerr.CorruptMessage)

// scanBytes is the size of the buffer that goes through a whole segment.
const scanBytes = 256 << 10

// aheadFrom is the size of a buffer from which on its reader goes through the file, and does not look for one batch.
const aheadFrom = 64 << 10

// walker reads the headers of a log file, one batch after the other.
type walker struct {
	f   vfs.File
	end int64 // bytes of the file that may be read
	buf []byte
	// buf[:n] holds the bytes of the file from at on.
	at   int64
	n    int
	hop  int // size of the batch before: large ones are not read between their headers
	body []byte
}

func newWalker(f vfs.File, end int64, buf []byte) *walker { return &walker{f: f, end: end, buf: buf} }

// header reads the header at pos, of a batch that lies in the file as a whole.
func (w *walker) header(pos int64) (batch.Header, error) {
	if pos+batch.HeaderSize > w.end {
		return batch.Header{}, errTorn
	}
	b, err := w.bytes(pos, batch.HeaderSize)
	if err != nil {
		return batch.Header{}, err
	}
	h, err := batch.ParseHeader(b)
	switch {
	case errors.Is(err, batch.ErrShort):
		return h, errTorn
	case err != nil:
		return h, err
	case h.LastOffsetDelta < 0:
		return h, fmt.Errorf("batch has last offset delta %d: %w", h.LastOffsetDelta, kerr.CorruptMessage)
	case pos+int64(h.Size()) > w.end:
		return h, errTorn
	}
	w.hop = h.Size()
	return h, nil
}

// bytes gives n bytes at pos, which lie in the file; n is at most the size of a header.
func (w *walker) bytes(pos int64, n int) ([]byte, error) {
	if pos >= w.at && pos+int64(n) <= w.at+int64(w.n) {
		return w.buf[pos-w.at:][:n], nil
	}
	want := len(w.buf)
	if w.hop > want/2 {
		want = 512 // the next header will not be in the buffer either
	}
	want = int(min(int64(want), w.end-pos))
	if want == len(w.buf) && want >= aheadFrom { // the next is read from the disk while this is looked at
		w.f.ReadAhead(pos, 2*int64(want))
	}
	w.at, w.n = pos, 0
	if err := readFull(w.f, w.buf[:want], pos); err != nil {
		return nil, err
	}
	w.n = want
	return w.buf[:n], nil
}

// whole reads the batch at pos; it is valid until the next call.
func (w *walker) whole(pos int64, h batch.Header) ([]byte, error) {
	size := h.Size()
	if pos >= w.at && pos+int64(size) <= w.at+int64(w.n) {
		return w.buf[pos-w.at:][:size:size], nil
	}
	if size <= len(w.buf) {
		w.hop = 0
		if _, err := w.bytes(pos, min(size, int(w.end-pos))); err != nil {
			return nil, err
		}
		return w.buf[:size:size], nil
	}
	if cap(w.body) < size { // header made sure that the file has so many bytes
		w.body = make([]byte, size)
	}
	return w.body[:size], readFull(w.f, w.body[:size], pos)
}

package transport

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
)

// frame is one request as it came: a buffer of the pool and its part of the budget.
type frame struct {
	buf  []byte // header and body, without the length before them
	hold *Hold
}

// release gives buffer and budget back; nothing may alias the buffer any more. A second call does nothing.
func (f *frame) release() {
	if f.hold == nil {
		return
	}
	recycle(f.buf)
	f.hold.Release()
	f.buf, f.hold = nil, nil
}

// header is a request header (v1, or v2 whose tagged fields are skipped).
type header struct {
	key, version int16
	correlation  int32
	clientID     string
}

var errHeader = errors.New("malformed request header")

// parseHeader splits a frame into its header and its body. The client id alone is not compact in a flexible header.
func parseHeader(b []byte, flexible bool) (header, []byte, error) {
	r := kbin.Reader{Src: b}
	h := header{key: r.Int16(), version: r.Int16(), correlation: r.Int32()}
	if id := r.NullableString(); id != nil {
		h.clientID = *id
	}
	if flexible {
		for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
			r.Uvarint()
			r.Span(int(r.Uvarint()))
		}
	}
	if !r.Ok() {
		return h, nil, errHeader
	}
	return h, r.Src, nil
}

// minFrame is the smallest frame: key, version and correlation id.
const minFrame = 8

// Buffers come in powers of two. A frame up to wholeBuffer gets its buffer at once; a larger one grows as its bytes come,
// so that a length alone does not take memory.
const (
	minBufferBits = 9
	maxBufferBits = 24
	wholeBuffer   = 2 << 20
)

var bufferPools [maxBufferBits + 1]sync.Pool

func buffer(n int) []byte {
	class := max(bits.Len(uint(n-1)), minBufferBits)
	if class > maxBufferBits {
		return make([]byte, n)
	}
	if b, ok := bufferPools[class].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<class)
}

func recycle(b []byte) {
	c := cap(b)
	if c == 0 || c&(c-1) != 0 {
		return
	}
	if class := bits.Len(uint(c)) - 1; class >= minBufferBits && class <= maxBufferBits {
		b = b[:0]
		bufferPools[class].Put(&b)
	}
}

// readBody fills a buffer of size bytes from r.
func readBody(r io.Reader, size int) ([]byte, error) {
	buf := buffer(min(size, wholeBuffer))
	got := 0
	for {
		n, err := io.ReadFull(r, buf[got:])
		got += n
		if err != nil {
			recycle(buf)
			return nil, fmt.Errorf("read a frame of %d bytes: %w", size, err)
		}
		if got == size {
			return buf, nil
		}
		larger := buffer(min(size, 2*len(buf)))
		copy(larger, buf)
		recycle(buf)
		buf = larger
	}
}

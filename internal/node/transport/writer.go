package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// writer gathers answers and sends them, parts that lie in files without copying them through user space where the
// system can. Only the connection's writer goroutine uses it.
type writer struct {
	nc      net.Conn
	buf     []byte
	timeout time.Duration // longest time without progress
	unread  *unread       // of the whole server
	cut     func()        // ends the connection, whose answers take too much
	sendf   func(p Piece) (sent int, err error)
	sent    *atomic.Uint64 // bytes, of the whole server
}

const (
	flushAt   = 64 << 10  // a buffer of answers this large is sent
	keepAt    = 128 << 10 // a larger buffer is not kept
	copyBelow = 32 << 10  // file parts smaller than this are read: one call less than sendfile takes
	sendChunk = 1 << 20
	aheadStep = 256 << 10 // of a file is sent at once while at most twice as much is read ahead
)

func newWriter(nc net.Conn, s *Server, cut func()) *writer {
	w := &writer{nc: nc, timeout: s.StallTime, sent: &s.counters.sent, unread: &s.unread, cut: cut}
	w.sendf = fileSender(nc)
	return w
}

// answer adds one answer to the buffer. A Streamed one is released here, whatever happens.
func (w *writer) answer(correlation int32, tagged bool, r Response) error {
	if s, ok := r.(Streamed); ok {
		defer s.Release()
		w.head(s.Size(), correlation, tagged)
		for _, p := range s.Pieces() {
			if err := w.piece(p); err != nil {
				return err
			}
		}
		return w.flushIfLarge()
	}
	start := len(w.buf)
	w.head(0, correlation, tagged)
	w.buf = r.AppendTo(w.buf)
	binary.BigEndian.PutUint32(w.buf[start:], uint32(len(w.buf)-start-4))
	return w.flushIfLarge()
}

// head writes the length before an answer, the correlation id, and the empty tag section of a v1 header.
func (w *writer) head(body int, correlation int32, tagged bool) {
	size := body + 4
	if tagged {
		size++
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(size))
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(correlation))
	if tagged {
		w.buf = append(w.buf, 0)
	}
}

func (w *writer) piece(p Piece) error {
	w.buf = append(w.buf, p.Bytes...)
	if p.Len == 0 {
		return nil
	}
	if w.sendf != nil && p.OS != nil && p.Len >= copyBelow {
		return w.send(p)
	}
	for p.Len > 0 {
		n := min(p.Len, flushAt)
		start := len(w.buf)
		w.buf = append(w.buf, make([]byte, n)...)
		if _, err := readFull(p.File, w.buf[start:], p.Off); err != nil {
			return err
		}
		p.Off += int64(n)
		p.Len -= n
		if err := w.flushIfLarge(); err != nil {
			return err
		}
	}
	return nil
}

// readFull reads all of b: a file that has become shorter than what was promised of it is an error.
func readFull(r io.ReaderAt, b []byte, off int64) (int, error) {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// send lets the system copy the file's bytes to the socket, a bounded part at a time so that progress resets the deadline.
func (w *writer) send(p Piece) error {
	if err := w.flush(); err != nil {
		return err
	}
	ahead := p.Off
	for p.Len > 0 {
		ahead = p.readAhead(ahead)
		part := p
		part.Len = min(p.Len, aheadStep)
		w.nc.SetWriteDeadline(time.Now().Add(w.timeout))
		n, err := w.sendf(part)
		w.sent.Add(uint64(max(n, 0)))
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		p.Off += int64(n)
		p.Len -= n
	}
	return nil
}

// readAhead has the file read up to twice aheadStep from here on, half of it at least at once, and returns how far that is.
// What is asked for already reaches to from.
func (p Piece) readAhead(from int64) int64 {
	f, ok := p.File.(interface{ ReadAhead(off, n int64) })
	if !ok {
		return from
	}
	end := p.Off + int64(p.Len)
	to := min(p.Off+2*aheadStep, end)
	if to-from < aheadStep && to < end || to <= from {
		return from
	}
	f.ReadAhead(from, to-from)
	return to
}

// chunk is how much is written at once: of an answer that counts as unread less, so that progress shows sooner.
func (w *writer) chunk(d *debt) int {
	if d != nil {
		return flushAt
	}
	return sendChunk
}

func (w *writer) flushIfLarge() error {
	if len(w.buf) < flushAt {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	b := w.buf
	var d *debt
	if len(b) > keepAt {
		d = w.unread.owed(w, int64(cap(b)), time.Now())
		defer w.unread.paid(w, d)
	}
	for len(b) > 0 {
		w.nc.SetWriteDeadline(time.Now().Add(w.timeout))
		n, err := w.nc.Write(b[:min(len(b), w.chunk(d))])
		w.sent.Add(uint64(n))
		if d != nil && n > 0 {
			d.moved.Store(time.Now().UnixNano())
		}
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err // a slow client took a part, which is progress
		}
		b = b[n:]
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > keepAt {
		w.buf = nil
	}
	return nil
}

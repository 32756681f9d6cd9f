package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientID is what other nodes see of this one in each request's header.
const clientID = "headrace-node"

// Places in a request's frame: length, key, version, correlation id.
const (
	atLength      = 0
	atCorrelation = 8
)

var errNoAnswer = errors.New("this kind of request is never answered")

// appendRequest adds a request's frame, with correlation id 0. A frame larger than other nodes take is an error.
func appendRequest(dst []byte, req kmsg.Request, limit int) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = kbin.AppendInt16(dst, req.Key())
	dst = kbin.AppendInt16(dst, req.GetVersion())
	dst = append(dst, 0, 0, 0, 0)
	dst = kbin.AppendString(dst, clientID)
	if req.IsFlexible() {
		dst = append(dst, 0)
	}
	dst = req.AppendTo(dst)
	size := len(dst) - start - 4
	if size > limit {
		return nil, fmt.Errorf("%s of %d bytes, more than other nodes take (socket.request.max.bytes is %d)", name(req), size, limit)
	}
	binary.BigEndian.PutUint32(dst[start+atLength:], uint32(size))
	return dst, nil
}

func name(req kmsg.Request) string {
	if n := kmsg.NameForKey(req.Key()); n != "Unknown" && n != "" {
		return n
	}
	return fmt.Sprintf("%T", req)
}

func stamp(frame []byte, correlation int32) {
	binary.BigEndian.PutUint32(frame[atCorrelation:], uint32(correlation))
}

// decodeAnswer reads what follows the correlation id. Bytes of the result alias body.
func decodeAnswer(req kmsg.Request, body []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	r := kbin.Reader{Src: body}
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
			r.Uvarint()
			r.Span(int(r.Uvarint()))
		}
	}
	err := r.Complete()
	if err == nil {
		err = resp.ReadFrom(r.Src)
	}
	if err != nil {
		return nil, fmt.Errorf("answer to %s: %w", name(req), err)
	}
	return resp, nil
}

// Answers come through a small buffer: a small one with one call, of a large one only the beginning is copied.
const (
	readBuffer = 4 << 10
	chunk      = 256 << 10 // is written or read within writeTime
	startSize  = 1 << 20   // of an answer's buffer: more comes as the bytes do
	minAnswer  = 4
)

// readHead waits for an answer's length, and returns it with the correlation id.
func readHead(in *bufio.Reader, limit int) (size int, correlation int32, err error) {
	b, err := in.Peek(8)
	if err != nil {
		return 0, 0, err
	}
	size = int(int32(binary.BigEndian.Uint32(b)))
	if size < minAnswer || size > limit {
		return 0, 0, fmt.Errorf("an answer of %d bytes: %w", size, errAnswerSize)
	}
	correlation = int32(binary.BigEndian.Uint32(b[4:]))
	_, err = in.Discard(8)
	return size - minAnswer, correlation, err
}

// readAnswer reads the answer that is due into a buffer.
func readAnswer(nc net.Conn, in *bufio.Reader, into *room, correlation int32, limit int) ([]byte, error) {
	size, got, err := readHead(in, limit)
	if err == nil && got != correlation {
		err = fmt.Errorf("answer %d where %d is due", got, correlation)
	}
	if err != nil {
		return nil, err
	}
	into.buf, err = readBody(nc, in, into.fit(size), size)
	return into.buf, err
}

// readBody reads size bytes into buf, or what it has to grow to, as they come.
func readBody(nc net.Conn, in *bufio.Reader, buf []byte, size int) ([]byte, error) {
	if want := min(size, startSize); cap(buf) < want {
		buf = make([]byte, 0, want)
	}
	buf = buf[:0]
	for len(buf) < size {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(size, 2*cap(buf))-len(buf))
		}
		nc.SetReadDeadline(time.Now().Add(writeTime))
		n, err := io.ReadFull(in, buf[len(buf):min(size, cap(buf), len(buf)+chunk)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return nil, fmt.Errorf("read an answer of %d bytes: %w", size, err)
		}
	}
	return buf, nil
}

// pacedWriter writes in chunks, each of which the other end has to take in time.
type pacedWriter struct{ nc net.Conn }

func (w pacedWriter) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		var n int
		w.nc.SetWriteDeadline(time.Now().Add(writeTime))
		n, err = w.nc.Write(b[:min(len(b), chunk)])
		b = b[n:]
		written += n
	}
	return written, err
}

// room is a buffer that grows to what is needed, and becomes smaller when for long much less was.
type room struct {
	buf  []byte
	most int // since rounds began to be counted
	used int // rounds
}

const (
	roomRounds = 64       // after so many it is looked at
	roomLeast  = 64 << 10 // what is always kept
)

// fit gives a buffer for size bytes, or the first of them: readBody makes the rest.
func (r *room) fit(size int) []byte {
	r.most = max(r.most, size)
	if r.used++; r.used >= roomRounds {
		if cap(r.buf) > roomLeast && r.most < cap(r.buf)/4 {
			r.buf = nil
		}
		r.most, r.used = size, 0
	}
	if want := min(size, startSize); cap(r.buf) < want {
		r.buf = make([]byte, 0, 1<<bits.Len(uint(want-1))) // a little more next time fits too
	}
	return r.buf
}

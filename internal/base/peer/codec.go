package peer

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kbin"
)

var errMalformed = errors.New("malformed message of another node")

// maxString bounds names, hosts and error messages.
const maxString = 32 << 10

// reader reads fields. It remembers a failure, and gives zeros from then on. No length is believed before as many bytes are there.
type reader struct{ kbin.Reader }

func (r *reader) fail() {
	r.Span(-1)
}

// length is that of a compact string, array or byte field; null does not occur in these messages.
func (r *reader) length() int {
	n := r.Uvarint()
	if n == 0 || int64(n)-1 > int64(len(r.Src)) {
		r.fail()
		return 0
	}
	return int(n - 1)
}

// count is the length of an array whose elements take least bytes or more.
func (r *reader) count(least int) int {
	n := r.length()
	if n > len(r.Src)/least {
		r.fail()
		return 0
	}
	return n
}

// bytes aliases what is read.
func (r *reader) bytes() []byte { return r.Span(r.length()) }

func (r *reader) string() string {
	b := r.bytes()
	if len(b) > maxString {
		r.fail()
		return ""
	}
	return string(b)
}

// tags reads tagged fields. Those that take does not know a newer node has added.
func (r *reader) tags(take func(tag uint32, field reader)) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, size := r.Uvarint(), r.Uvarint()
		if int64(size) > int64(len(r.Src)) {
			r.fail()
			return
		}
		take(tag, read(r.Span(int(size))))
	}
}

func noTags(uint32, reader) {}

// end reads the tags of the whole message. Behind them there is nothing.
func (r *reader) end() error { return r.endWith(noTags) }

func (r *reader) endWith(take func(tag uint32, field reader)) error {
	r.tags(take)
	if !r.Ok() || len(r.Src) > 0 {
		return errMalformed
	}
	return nil
}

func read(src []byte) reader { return reader{kbin.Reader{Src: src}} }

func appendInt16(dst []byte, v int16) []byte    { return kbin.AppendInt16(dst, v) }
func appendInt32(dst []byte, v int32) []byte    { return kbin.AppendInt32(dst, v) }
func appendInt64(dst []byte, v int64) []byte    { return kbin.AppendInt64(dst, v) }
func appendBool(dst []byte, v bool) []byte      { return kbin.AppendBool(dst, v) }
func appendCount(dst []byte, n int) []byte      { return kbin.AppendCompactArrayLen(dst, n) }
func appendBytes(dst, b []byte) []byte          { return append(appendCount(dst, len(b)), b...) }
func appendTags(dst []byte) []byte              { return append(dst, 0) }
func appendUUID(dst []byte, id [16]byte) []byte { return append(dst, id[:]...) }

// appendString cuts what no reader would take: the end of a long error message.
func appendString(dst []byte, s string) []byte {
	return kbin.AppendCompactString(dst, s[:min(len(s), maxString)])
}

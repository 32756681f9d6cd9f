package group

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kbin"
)

// fields reads the fields of a record value in its version's encoding. What it returns does not alias the record. Once a
// field cannot be read all later ones are zero.
type fields struct {
	kbin.Reader
	flexible bool
}

func (f *fields) text() string {
	if f.flexible {
		return f.CompactString()
	}
	return f.String()
}

func (f *fields) nullableText() *string {
	if f.flexible {
		return f.CompactNullableString()
	}
	return f.NullableString()
}

func (f *fields) bytes() []byte {
	if f.flexible {
		return bytes.Clone(f.CompactBytes())
	}
	return bytes.Clone(f.Bytes())
}

func (f *fields) arrayLen() int32 {
	if f.flexible {
		return f.CompactArrayLen()
	}
	return f.ArrayLen()
}

// tags walks the tagged fields. Their count is not trusted: the walk ends with the bytes.
func (f *fields) tags(each func(tag uint32, r *kbin.Reader)) {
	if !f.flexible {
		return
	}
	for n := f.Uvarint(); n > 0 && f.Ok(); n-- {
		tag, size := f.Uvarint(), f.Uvarint()
		if int64(size) > int64(len(f.Src)) {
			f.Span(-1) // not that many bytes are left: the value is bad
			return
		}
		span := kbin.Reader{Src: f.Span(int(size))}
		if each == nil {
			continue
		}
		if each(tag, &span); !span.Ok() {
			f.Span(-1)
		}
	}
}

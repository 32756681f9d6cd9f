package api

import (
	"errors"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
)

// Before a request is decoded, its body is walked: the walk knows the shape of every request that is served, checks each
// length and count against the bytes that are left, and adds up what decoding will take. kmsg alone would not do for bytes
// from strangers: an array of structs costs it one to four bytes on the wire an element and up to a hundred in memory, and a
// count of tagged fields of four thousand million, in a request of thirty bytes, keeps it busy for half a minute.

// fieldKind is how a field is written.
type fieldKind uint8

const (
	fixedField    fieldKind = iota // size bytes
	stringField                    // a length, compact in flexible versions, and so many bytes
	bytesField                     // likewise, with a longer length in versions that are not flexible
	structField                    // the fields of it, then tags
	nullableField                  // a byte, negative for null, then as a structField
	structsField                   // a count, and so many structs
	valuesField                    // a count, and so many of the one field
)

// field is one field of a request. The shapes are made from kmsg's source: see TestShapesAreThoseOfKmsg.
type field struct {
	kind        fieldKind
	first, last int16 // versions that have it
	tagged      bool  // among the tags, under the number tag
	tag         uint32
	size        int // of a fixedField on the wire; of what elements and pointers decode to in memory
	of          []field
}

// requestShape is the fields of one request.
type requestShape struct {
	flexible int16 // first version that is
	fields   []field
}

const never = math.MaxInt16

// weigher makes the Weight of one API. A key without a shape would be a hole; New panics.
func weigher(key int16) func(version int16, body []byte) (int64, error) {
	shape, ok := shapes[key]
	if !ok {
		panic("api: no shape of a request is known: run go generate")
	}
	return shape.weigh
}

var errWalk = errors.New("malformed request body")

func (s requestShape) weigh(version int16, body []byte) (int64, error) {
	w := bodyWalk{r: kbin.Reader{Src: body}, version: version, flexible: version >= s.flexible}
	w.fields(s.fields)
	if !w.r.Ok() {
		return 0, errWalk
	}
	return w.weight, nil
}

// bodyWalk skips over the fields of a request and adds up what they decode to. Its reader remembers a failure, and gives
// zeros from then on.
type bodyWalk struct {
	r        kbin.Reader
	version  int16
	flexible bool
	weight   int64
}

func (w *bodyWalk) fields(fs []field) {
	for i := range fs {
		if f := &fs[i]; !f.tagged && w.version >= f.first && w.version <= f.last {
			w.field(f)
		}
	}
	if w.flexible {
		w.tags(fs)
	}
}

func (w *bodyWalk) field(f *field) {
	switch f.kind {
	case fixedField:
		w.skip(int64(f.size))
	case stringField:
		n := w.length(func() int64 { return int64(w.r.Int16()) })
		w.weight += max(n, 0) + int64(f.size)
		w.skip(n)
	case bytesField:
		w.skip(w.length(func() int64 { return int64(w.r.Int32()) }))
	case structField:
		w.fields(f.of)
	case nullableField:
		if w.r.Int8() >= 0 && w.r.Ok() {
			w.weight += int64(f.size)
			w.fields(f.of)
		}
	case structsField, valuesField:
		w.elements(f)
	}
}

// elements walks an array. An element is at least a byte, in kmsg's eyes too: more than there are bytes cannot be. An array
// of plain numbers is skipped at once.
func (w *bodyWalk) elements(f *field) {
	n := w.length(func() int64 { return int64(w.r.Int32()) })
	if !w.r.Ok() || n > int64(len(w.r.Src)) {
		w.fail()
		return
	}
	n = max(n, 0)
	w.weight += n * int64(f.size)
	if f.kind == valuesField && f.of[0].kind == fixedField {
		w.skip(n * int64(f.of[0].size))
		return
	}
	for ; n > 0 && w.r.Ok(); n-- {
		if f.kind == valuesField {
			w.field(&f.of[0])
		} else {
			w.fields(f.of)
		}
	}
}

// length reads a length: compact in flexible versions, where 0 is null.
func (w *bodyWalk) length(plain func() int64) int64 {
	if w.flexible {
		return int64(w.r.Uvarint()) - 1
	}
	return plain()
}

// tags walks tagged fields, into those that are known. kmsg keeps the others in a map, hence their weight.
func (w *bodyWalk) tags(known []field) {
	const unknownWeight = 100
	for n := w.r.Uvarint(); n > 0 && w.r.Ok(); n-- {
		tag, size := w.r.Uvarint(), w.r.Uvarint()
		value := w.r.Span(int(size))
		i := slices.IndexFunc(known, func(f field) bool { return f.tagged && f.tag == tag })
		if i < 0 {
			w.weight += unknownWeight
			continue
		}
		w.inside(value, &known[i])
	}
}

// inside walks a tagged field's value, which is read apart from what follows it.
func (w *bodyWalk) inside(value []byte, f *field) {
	sub := bodyWalk{r: kbin.Reader{Src: value}, version: w.version, flexible: w.flexible}
	sub.field(f)
	w.weight += sub.weight
	if !sub.r.Ok() {
		w.fail()
	}
}

func (w *bodyWalk) skip(n int64) {
	if n > int64(len(w.r.Src)) {
		w.fail()
	} else if n > 0 {
		w.r.Span(int(n))
	}
}

// fail makes the reader fail, and so everything after it.
func (w *bodyWalk) fail() { w.r.Span(len(w.r.Src) + 1) }

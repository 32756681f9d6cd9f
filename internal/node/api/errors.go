package api

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FailureKind is an error code of an API.
type FailureKind struct {
	Key  int16
	Code int16
}

// failures counts the errors in answers. There are no more kinds than keys times codes.
type failures struct{ counts sync.Map } // FailureKind → *atomic.Uint64

func (f *failures) count(key kmsg.Key, code int16) {
	if code == 0 {
		return
	}
	kind := FailureKind{int16(key), code}
	n, ok := f.counts.Load(kind)
	if !ok {
		n, _ = f.counts.LoadOrStore(kind, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Failures are the errors answered so far: each partition, topic, group or resource that an answer refuses counts.
func (s *Server) Failures() map[FailureKind]uint64 {
	all := map[FailureKind]uint64{}
	s.failures.counts.Range(func(kind, n any) bool {
		all[kind.(FailureKind)] = n.(*atomic.Uint64).Load()
		return true
	})
	return all
}

// codes says where in the answers of one type the error codes are; nil when there are none. It is worked out once a key, so
// that looking costs a few nanoseconds a code.
type codes struct {
	fields []int
	below  []codesBelow
}

type codesBelow struct {
	field int
	many  bool // a slice of them
	codes *codes
}

// codesOf works out codes for a struct type of kmsg's.
func codesOf(t reflect.Type) *codes {
	c := &codes{}
	for i := range t.NumField() {
		f := t.Field(i)
		of, many := f.Type, false
		if of.Kind() == reflect.Slice {
			of, many = of.Elem(), true
		}
		switch {
		case f.Name == "ErrorCode" && of.Kind() == reflect.Int16:
			c.fields = append(c.fields, i)
		case of.Kind() == reflect.Struct:
			if in := codesOf(of); in != nil {
				c.below = append(c.below, codesBelow{i, many, in})
			}
		}
	}
	if len(c.fields) == 0 && len(c.below) == 0 {
		return nil
	}
	return c
}

// each calls see with every error code in v.
func (c *codes) each(v reflect.Value, see func(code int16)) {
	for _, i := range c.fields {
		see(int16(v.Field(i).Int()))
	}
	for _, b := range c.below {
		f := v.Field(b.field)
		if !b.many {
			b.codes.each(f, see)
			continue
		}
		for i := range f.Len() {
			b.codes.each(f.Index(i), see)
		}
	}
}

// failuresOf makes what counts the errors in the answers to one key.
func (s *Server) failuresOf(key kmsg.Key) func(Response) {
	where := codesOf(reflect.TypeOf(kmsg.ResponseForKey(int16(key))).Elem())
	see := func(code int16) { s.failures.count(key, code) }
	return func(r Response) {
		switch r := r.(type) {
		case *fetchResponse:
			see(r.code)
			for i := range r.results {
				see(r.results[i].code)
			}
		case kmsg.Response:
			if where != nil {
				where.each(reflect.ValueOf(r).Elem(), see)
			}
		}
	}
}

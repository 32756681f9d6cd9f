package load

import (
	"bytes"
	"encoding/binary"

	"github.com/headrace/headrace/interop/go/history"
)

// encode makes the bytes of a record: its name and then bytes that follow from it, so that each one that is changed is noticed.
func encode(v history.Value) []byte {
	x := uint64(v)*0x9e3779b97f4a7c15 + 1
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 320), uint64(v))
	for n := 4 + x>>32%32; n > 0; n-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b
}

// decode tells which record the bytes are.
func decode(b []byte) history.Value {
	if len(b) < 8 {
		return history.Damaged
	}
	v := history.Value(binary.BigEndian.Uint64(b))
	if !bytes.Equal(b, encode(v)) {
		return history.Damaged
	}
	return v
}

package hostile

import (
	"encoding/binary"
	"testing"
)

// FuzzRequest sends any body for any key and version to a node: through the walk before its decoder, the decoder, and its handler.
func FuzzRequest(f *testing.F) {
	v := here(f)
	for _, r := range v.recordAll() {
		const header = 4 + 8 + 2 + 7 // length; key, version, correlation id; client id
		f.Add(r.key, r.version, r.frame[header:])
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		b := make([]byte, 4, 32+len(body))
		b = binary.BigEndian.AppendUint16(b, uint16(key))
		b = binary.BigEndian.AppendUint16(b, uint16(version))
		b = binary.BigEndian.AppendUint32(b, correlation)
		b = append(b, "\x00\x07hostile"...)
		p := v.peer(t)
		defer p.close()
		p.attack(sized(append(b, body...)))
		v.listen(t)
	})
}

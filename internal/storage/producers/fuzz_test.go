package producers

import (
	"testing"

	"github.com/headrace/headrace/internal/base/batch"
)

func FuzzParseMarker(f *testing.F) {
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: 7, Epoch: 1, BaseSequence: -1, Transactional: true, Control: true})
	b.Append(1, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 5}, nil) // a commit by coordinator epoch 5
	f.Add(b.Bytes(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := batch.ParseHeader(b)
		if err != nil {
			return
		}
		m, ok, err := ParseMarker(h, b)
		if ok && (err != nil || m.ProducerID != h.ProducerID) {
			t.Fatalf("%+v, %v of %+v", m, err, h)
		}
	})
}

package load

import (
	"testing"

	"github.com/headrace/headrace/interop/go/history"
)

func TestEachChangedByteOfARecordIsNoticed(t *testing.T) {
	for _, v := range []history.Value{0, 1, history.NewValue(3, 77), history.NewValue(200, 1<<30)} {
		b := encode(v)
		if got := decode(b); got != v {
			t.Fatalf("%v is read as %v", v, got)
		}
		for i := range b {
			b[i] ^= 1
			if got := decode(b); got != history.Damaged {
				t.Errorf("%v with byte %d changed is read as %v", v, i, got)
			}
			b[i] ^= 1
		}
		if got := decode(b[:len(b)-1]); got != history.Damaged {
			t.Errorf("%v cut short is read as %v", v, got)
		}
	}
}

package load

import (
	"slices"
	"testing"

	"github.com/headrace/headrace/interop/go/history"
)

func TestABatchWithoutAnOffsetIsSomewhere(t *testing.T) {
	p := &places{}
	var got []int64
	for _, offset := range []int64{0, 1, 7, -1, 0, 1, 2, 12, 13, -1, 14} {
		got = append(got, p.of(offset))
	}
	const s = history.Somewhere
	if want := []int64{0, 1, 7, s, s, s, s, 12, 13, s, 14}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

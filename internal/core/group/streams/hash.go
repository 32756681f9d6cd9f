package streams

import (
	"hash/fnv"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
)

// hash is a number for all that a target depends on of the topics: when it changes, so may the target. 0 is for no topics.
func (t *Turn) hash(names []string) int64 {
	h, none := fnv.New64a(), true
	var b []byte
	for _, name := range names {
		id, ok := t.Topics.ID(name)
		if !ok {
			continue
		}
		none = false
		n := t.Topics.Partitions(id)
		b = append(b[:0], id[:]...)
		b = kbin.AppendCompactString(b, name)
		b = kbin.AppendInt32(b, n)
		for p := range n {
			racks := slices.Sorted(slices.Values(t.Topics.Racks(id, p)))
			b = kbin.AppendInt32(b, int32(len(racks)))
			for _, r := range racks {
				b = kbin.AppendCompactString(b, r)
			}
		}
		h.Write(b)
	}
	if none {
		return 0
	}
	return int64(h.Sum64())
}

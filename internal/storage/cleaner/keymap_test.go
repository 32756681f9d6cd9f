package cleaner

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestAKeyMapKnowsTheLastOffsetOfEachKey(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m, want := newKeyMap(1<<20, 0.9), map[string]kafka.Offset{}
	for o := range kafka.Offset(60_000) {
		key := fmt.Sprint(r.IntN(20_000))
		if !m.put([]byte(key), o) {
			t.Fatalf("full with %d keys in %d bytes", m.keys, m.bytes())
		}
		want[key] = o
	}
	if m.keys != len(want) {
		t.Errorf("%d keys, want %d", m.keys, len(want))
	}
	for key, o := range want {
		if got := m.last([]byte(key)); got != o {
			t.Fatalf("key %s at %d, want %d", key, got, o)
		}
	}
	if got := m.last([]byte("other")); got != kafka.NoOffset {
		t.Errorf("a key that was never put is at %d", got)
	}
}

func TestAKeyMapKeepsToItsBoundAndTakesWhatItNeeds(t *testing.T) {
	for _, bytes := range []int64{0, 24 * 8, 24 * 100, 1 << 20, 3 << 20} {
		for _, load := range []float64{0, 0.5, 0.9, 1, 7} {
			m := newKeyMap(bytes, load)
			n := 0
			for m.put(fmt.Append(nil, n), kafka.Offset(n)) {
				n++
			}
			most := max(bytes, minSlots*slotBytes)
			if m.bytes() > most || n == 0 || load == 0.9 && int64(n) < most/slotBytes*8/10 {
				t.Errorf("bound %d, load %v: %d keys in %d bytes", bytes, load, n, m.bytes())
			}
			if !m.put([]byte("0"), 999) || m.last([]byte("0")) != 999 || m.last([]byte("none")) != kafka.NoOffset {
				t.Errorf("bound %d, load %v: a full map does not know its keys", bytes, load)
			}
		}
	}
	m := newKeyMap(128<<20, 0.9)
	for o := range kafka.Offset(1000) {
		m.put(fmt.Append(nil, o%10), o)
	}
	if m.bytes() > 20<<10 {
		t.Errorf("10 keys take %d bytes", m.bytes())
	}
}

func BenchmarkKeyMap(b *testing.B) {
	b.ReportAllocs()
	m := newKeyMap(128<<20, 0.9)
	var key [16]byte
	for i := 0; b.Loop(); i++ {
		for j := range key {
			key[j] = byte(i >> (j % 3 * 8))
		}
		m.put(key[:], kafka.Offset(i))
	}
}

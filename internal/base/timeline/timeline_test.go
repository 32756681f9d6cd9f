package timeline

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestReadsSeeCommittedStateUntilCommit(t *testing.T) {
	h := &History{}
	m := NewMap[string, int](h)
	m.Set(0, "a", 1)
	m.Set(1, "a", 2)
	m.Set(2, "b", 3)
	if _, ok := m.Committed("a"); ok {
		t.Error("an uncommitted value was read as committed")
	}
	h.Commit(1)
	if v, ok := m.Committed("a"); !ok || v != 1 {
		t.Errorf("committed a = %d, %v; want 1", v, ok)
	}
	h.Revert(2)
	if _, ok := m.Get("b"); ok {
		t.Error("b outlived its revert")
	}
	if v, _ := m.Get("a"); v != 2 {
		t.Errorf("a = %d, want 2: it was below the revert", v)
	}
	h.Commit(2)
	if m.shadow != nil || h.Pending() != 0 {
		t.Errorf("something is kept after everything was committed: %v, %d", m.shadow, h.Pending())
	}
}

// TestEveryOffsetEqualsAPlainMap compares random changes, commits and reverts over two maps with the plain maps that a
// replay up to each offset gives.
func TestEveryOffsetEqualsAPlainMap(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := &History{}
		ms := []*Map[int, int]{NewMap[int, int](h), NewMap[int, int](h)}
		at := [][]map[int]int{{{}, {}}} // at[i] is the state after i records
		var next, committed kafka.Offset
		for range 400 {
			switch op := rng.IntN(10); {
			case op < 7:
				i, k := rng.IntN(2), rng.IntN(8)
				now := []map[int]int{maps.Clone(at[next][0]), maps.Clone(at[next][1])}
				if rng.IntN(3) == 0 {
					ms[i].Delete(next, k)
					delete(now[i], k)
				} else {
					v := rng.Int()
					ms[i].Set(next, k, v)
					now[i][k] = v
				}
				at = append(at[:next+1], now)
				next++
			case op < 9:
				committed += kafka.Offset(rng.Int64N(int64(next-committed) + 1))
				h.Commit(committed)
			default:
				next = committed + kafka.Offset(rng.Int64N(int64(next-committed)+1))
				h.Revert(next)
			}
			for i, m := range ms {
				if got := maps.Collect(m.All()); !maps.Equal(got, at[next][i]) {
					t.Fatalf("seed %d: newest %v, want %v", seed, got, at[next][i])
				}
				if got := maps.Collect(m.AllCommitted()); !maps.Equal(got, at[committed][i]) {
					t.Fatalf("seed %d: committed %v, want %v", seed, got, at[committed][i])
				}
				for k := range 8 {
					v, ok := m.Committed(k)
					if w, want := at[committed][i][k]; ok != want || v != w {
						t.Fatalf("seed %d: committed %d = %d, %v; want %d, %v", seed, k, v, ok, w, want)
					}
				}
			}
		}
	}
}

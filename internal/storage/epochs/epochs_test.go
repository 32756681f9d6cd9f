package epochs

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func build(pairs ...int64) *Cache {
	c := &Cache{}
	for i := 0; i < len(pairs); i += 2 {
		c.entries = append(c.entries, Entry{kafka.LeaderEpoch(pairs[i]), kafka.Offset(pairs[i+1])})
	}
	return c
}

func TestAssignKeepsEntriesMonotone(t *testing.T) {
	f := func(name string, start *Cache, e kafka.LeaderEpoch, o kafka.Offset, want *Cache, changed bool) {
		t.Helper()
		if got := start.Assign(e, o); got != changed {
			t.Errorf("%s: changed = %v", name, got)
		}
		if !reflect.DeepEqual(start.Entries(), want.Entries()) {
			t.Errorf("%s: %v, want %v", name, start.Entries(), want.Entries())
		}
	}
	f("first", build(), 0, 0, build(0, 0), true)
	f("next", build(0, 0), 1, 10, build(0, 0, 1, 10), true)
	f("same epoch later", build(0, 0, 1, 10), 1, 20, build(0, 0, 1, 10), false)
	f("same epoch earlier", build(0, 0, 1, 10), 1, 5, build(0, 0, 1, 5), true)
	f("same start, newer epoch replaces", build(0, 0, 1, 10), 2, 10, build(0, 0, 2, 10), true)
	f("older epoch truncates newer", build(0, 0, 3, 10, 4, 20), 2, 30, build(0, 0, 2, 30), true)
	f("smaller start truncates", build(0, 0, 3, 10, 4, 20), 5, 10, build(0, 0, 5, 10), true)
	f("older epoch goes on after one without records", build(0, 0, 4, 1, 5, 20), 4, 20, build(0, 0, 4, 1), true)
	f("older epoch goes on below one that began later", build(0, 0, 4, 1, 5, 30), 4, 20, build(0, 0, 4, 1), true)
	f("negative ignored", build(0, 0), -1, 10, build(0, 0), false)
}

func TestEndOffsetForEpoch(t *testing.T) {
	c := build(2, 5, 4, 10, 7, 30)
	f := func(ask kafka.LeaderEpoch, epoch kafka.LeaderEpoch, end kafka.Offset) {
		t.Helper()
		if e, o := c.EndOffsetFor(ask, 100); e != epoch || o != end {
			t.Errorf("EndOffsetFor(%d) = %d %d, want %d %d", ask, e, o, epoch, end)
		}
	}
	f(-1, -1, -1)
	f(0, 0, 5) // older than all known: itself, up to where the oldest began
	f(2, 2, 10)
	f(3, 2, 10) // a gap answers for the epoch below it
	f(4, 4, 30)
	f(6, 4, 30)
	f(7, 7, 100)
	f(8, -1, -1)
	if e, o := (&Cache{}).EndOffsetFor(3, 100); e != -1 || o != -1 {
		t.Errorf("empty cache answered %d %d", e, o)
	}
}

func TestEpochForOffset(t *testing.T) {
	c := build(2, 5, 4, 10)
	for o, want := range map[kafka.Offset]kafka.LeaderEpoch{0: -1, 4: -1, 5: 2, 9: 2, 10: 4, 1000: 4} {
		if got := c.EpochFor(o); got != want {
			t.Errorf("EpochFor(%d) = %d, want %d", o, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	f := func(c *Cache, cut func(*Cache) bool, want *Cache, changed bool) {
		t.Helper()
		if got := cut(c); got != changed {
			t.Errorf("changed = %v, want %v", got, changed)
		}
		if !reflect.DeepEqual(c.Entries(), want.Entries()) && len(c.entries)+len(want.entries) > 0 {
			t.Errorf("%v, want %v", c.Entries(), want.Entries())
		}
	}
	end := func(o kafka.Offset) func(*Cache) bool { return func(c *Cache) bool { return c.TruncateFromEnd(o) } }
	start := func(o kafka.Offset) func(*Cache) bool { return func(c *Cache) bool { return c.TruncateFromStart(o) } }
	f(build(2, 5, 4, 10), end(11), build(2, 5, 4, 10), false)
	f(build(2, 5, 4, 10), end(10), build(2, 5), true)
	f(build(2, 5, 4, 10), end(5), build(), true)
	f(build(2, 5, 4, 10, 5, 20), start(4), build(2, 5, 4, 10, 5, 20), false)
	f(build(2, 5, 4, 10, 5, 20), start(7), build(2, 7, 4, 10, 5, 20), true)
	f(build(2, 5, 4, 10, 5, 20), start(10), build(4, 10, 5, 20), true)
	f(build(2, 5, 4, 10, 5, 20), start(25), build(5, 25), true)
}

func TestCheckpointRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := &Cache{}
		for range r.IntN(8) {
			c.Assign(kafka.LeaderEpoch(r.IntN(100)), kafka.Offset(r.Int64N(1000)))
		}
		got, err := Decode(c.Append(nil))
		if err != nil || len(got.entries) != len(c.entries) {
			t.Fatalf("%v: %v %v", c.entries, got.entries, err)
		}
		for i := range got.entries {
			if got.entries[i] != c.entries[i] {
				t.Fatalf("%v read as %v", c.entries, got.entries)
			}
		}
	}
}

func TestCheckpointTornAnywhereIsNoticed(t *testing.T) {
	whole := build(0, 0, 3, 1234, 17, 99999).Append(nil)
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted: %q", n, len(whole), whole[:n])
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("0\n0\n"))
	f.Add(build(0, 0, 5, 77).Append(nil))
	f.Add([]byte("0\n999999999\n1 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			return
		}
		for i := 1; i < len(c.entries); i++ {
			if c.entries[i].Epoch <= c.entries[i-1].Epoch || c.entries[i].Start <= c.entries[i-1].Start {
				t.Fatalf("not monotone: %v", c.entries)
			}
		}
		if again, err := Decode(c.Append(nil)); err != nil || !reflect.DeepEqual(again.Entries(), c.Entries()) {
			t.Fatalf("round trip: %v %v", again, err)
		}
	})
}

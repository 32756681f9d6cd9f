package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestOffsetsMadeByANodeAloneOutliveIt commits offsets to a node that is alone. When two have joined, its death takes nothing along.
func TestOffsetsMadeByANodeAloneOutliveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, "/data", both)
		w.topic("t", 1)
		var committed kadm.Offsets
		committed.AddOffset("t", 0, 42, -1)
		groups := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // in all partitions
		for _, g := range groups {
			if _, err := kadm.NewClient(w.client()).CommitOffsets(t.Context(), g, committed); err != nil {
				t.Fatal(err)
			}
		}
		if p := w.partition("__consumer_offsets"); len(p.Replicas) != 1 {
			t.Fatalf("made by one node: %+v", p)
		}
		for range 2 {
			w.start(w.add(both))
		}
		w.voters(3)
		w.await("__consumer_offsets", func(p kadm.PartitionDetail) bool { return len(p.Replicas) == 3 && len(p.ISR) == 3 })
		leaders := map[int32]bool{}
		meta, err := kadm.NewClient(w.client()).Metadata(t.Context(), "__consumer_offsets")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range meta.Topics["__consumer_offsets"].Partitions {
			if len(p.ISR) != 3 {
				t.Errorf("%+v", p)
			}
			leaders[p.Replicas[0]] = true
		}
		if len(leaders) != 3 {
			t.Errorf("preferred leaders: %v", leaders)
		}
		w.kill(1, true)
		for _, g := range groups {
			w.committed(g, 42, 2, 3)
		}
	})
}

// committed waits until these nodes tell that a group is at an offset of partition 0 of t. Each time by another client: one that was told of
// a coordinator that is dead stays with it.
func (w *world) committed(group string, want int64, nodes ...int) {
	w.t.Helper()
	var seeds []string
	for _, id := range nodes {
		seeds = append(seeds, address(id))
	}
	began := time.Now()
	for {
		cl := w.client(kgo.SeedBrokers(seeds...))
		offsets, err := kadm.NewClient(cl).FetchOffsets(w.t.Context(), group)
		cl.Close()
		o, ok := offsets.Lookup("t", 0)
		switch {
		case err == nil && ok && o.At == want:
			return
		case err == nil && ok && o.At >= 0 || time.Since(began) > time.Minute:
			w.t.Errorf("%s: %+v, %v", group, o, err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

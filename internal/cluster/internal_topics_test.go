package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
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
		time.Sleep(5 * time.Second)
		for _, g := range groups {
			offsets, err := kadm.NewClient(w.client()).FetchOffsets(t.Context(), g)
			if o, ok := offsets.Lookup("t", 0); err != nil || !ok || o.At != 42 {
				t.Errorf("%s: %+v, %v", g, o, err)
			}
		}
	})
}

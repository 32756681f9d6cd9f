package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// A group commits over and over until its partition of __consumer_offsets is compacted: the last offsets are there, in this
// run and after the next start, which loads them from what is left.
func TestOffsetsOutliveTheirCompaction(t *testing.T) {
	disk := vfs.NewMem()
	w := newWorld(t, disk, map[string]string{"offsets.topic.num.partitions": "1", "offsets.topic.segment.bytes": "1048576",
		"log.cleaner.backoff.ms": "10", "log.cleaner.min.cleanable.ratio": "0.01"})
	w.start()
	const partitions = 300
	if _, err := w.admin.CreateTopic(w.ctx, partitions, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	commit := func() {
		at++
		var offsets kadm.Offsets
		for p := range int32(partitions) {
			offsets.AddOffset("orders", p, at, -1)
		}
		answers, err := w.admin.CommitOffsets(w.ctx, "billing", offsets)
		for err == nil && errors.Is(answers["orders"][0].Err, kerr.CoordinatorLoadInProgress) {
			answers, err = w.admin.CommitOffsets(w.ctx, "billing", offsets)
		}
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		offsets, err := w.admin.FetchOffsets(w.ctx, "billing")
		if err != nil || len(offsets["orders"]) != partitions {
			t.Fatalf("%s: %d offsets, %v", when, len(offsets["orders"]), err)
		}
		for p, o := range offsets["orders"] {
			if o.At != at {
				t.Fatalf("%s: partition %d at %d, want %d", when, p, o.At, at)
			}
		}
	}
	compacted := func() (n int64) {
		for _, st := range w.node.set.CleaningStats(time.Now()) {
			if st.Partition.Name().Topic == kafka.OffsetsTopic {
				n = st.Last.RecordsRead - st.Last.RecordsKept
			}
		}
		return n
	}
	for compacted() == 0 {
		commit()
	}
	check("after compaction")
	w.stop()
	b, err := vfs.ReadFile(disk, "/data/cleaner-offset-checkpoint", 1<<20)
	if err != nil || !strings.Contains(string(b), fmt.Sprint(kafka.OffsetsTopic, " 0 ")) || strings.Contains(string(b), kafka.MetadataTopic) {
		t.Errorf("checkpoint %q, %v", b, err)
	}
	w.start()
	defer w.stop()
	check("after a start")
}

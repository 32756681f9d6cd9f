package coord_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/node/groups"
)

var writeSegment = flag.String("segment", "", "write a segment of __consumer_offsets to this file, for Apache Kafka's kafka-dump-log --offsets-decoder")

// TestSegmentsOfApacheKafkaAreLoaded loads segments that Apache Kafka 4.3.1 wrote for its console consumer: one of a
// classic group and of requests from core/group's scripts, and one of a group of the consumer protocol, of which only the
// offsets are ours.
func TestSegmentsOfApacheKafkaAreLoaded(t *testing.T) {
	for _, name := range []string{"classic", "consumer"} {
		t.Run(name, func(t *testing.T) { loadSegment(t, "testdata/kafka-4.3.1-"+name) })
	}
}

func loadSegment(t *testing.T, name string) {
	segment, err := os.ReadFile(name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &memLog{}
		for one, err := range batch.Split(segment) {
			if err != nil {
				t.Fatal(err)
			}
			h, err := batch.ParseHeader(one)
			if err != nil {
				t.Fatal(err)
			}
			l.batches, l.ends, l.hw = append(l.batches, one), append(l.ends, h.NextOffset()), h.NextOffset()
		}
		r := newRuntime(1)
		r.Lead(0, l, 1)
		synctest.Wait()
		list, err := r.ListGroups(t.Context(), kmsg.NewPtrListGroupsRequest())
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, g := range list.Groups {
			got += fmt.Sprintf("%s %s %s", g.Group, g.ProtocolType, g.GroupState)
			for p := range int32(3) {
				off, err := fetch(t, r, g.Group, p, false)
				got += fmt.Sprintf(" %d %v", off, err)
			}
			got += "\n"
		}
		want, err := os.ReadFile(name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("loaded\n%s\nand not\n%s", got, want)
		}
		r.Close()
	})
}

// TestSegmentIsLoadedAsItWasWritten writes every kind of record through a Runtime and loads them with another one.
func TestSegmentIsLoadedAsItWasWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, l *memLog) {
		j := join(t, r, "g", "")
		sync1(t, r, "g", j)
		wantErr(t, "commit", commit(t, r, "simple", 0, 7), nil)
		wantErr(t, "commit", commit(t, r, "simple", 1, 8), nil)
		r.TopicsGone([]group.DeletedTopic{{Name: "t"}})
		time.Sleep(time.Second)
		wantErr(t, "commit", commit(t, r, "simple", 2, 9), nil)
		remove := kmsg.NewPtrDeleteGroupsRequest()
		remove.Groups = []string{"nogroup", "simple"}
		submit(t, r, "simple", remove)
		wantErr(t, "commit", commit(t, r, "last", 2, 9), nil)
		var segment []byte
		for _, b := range l.batches {
			segment = append(segment, b...)
		}
		if *writeSegment != "" {
			if err := os.WriteFile(*writeSegment, segment, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r.Lead(0, l, 2)
		synctest.Wait()
		if a, b := describe(t, r, "g"), describe(t, r, "last"); a != "Stable" || b != "Empty" {
			t.Errorf("loaded %s, %s", a, b)
		}
		if off, err := fetch(t, r, "simple", 2, false); off != -1 || err != nil {
			t.Errorf("%d, %v", off, err)
		}
	})
}

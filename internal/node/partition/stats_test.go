package partition

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

func TestTrafficIsThatOfThePartitionAndStaysInTheSetWhenItGoes(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	h.topic("t", 2)
	p := h.part("t", 0)
	size := uint64(len(valid(t, p, "one").Batch))
	mustWrite(t, p, "one")
	mustWrite(t, p, "two")
	p.Refused()
	p.Served(17)
	p.Denied()
	want := Traffic{Messages: 2, BytesIn: 2 * size, BytesOut: 17, Produces: 3, FailedProduces: 1, Fetches: 2, FailedFetches: 1}
	if got := p.Stats().Traffic; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if s, ps := h.Stats(); s.Gone != (Traffic{}) || len(ps) != 2 || ps[1].Stats().Traffic != (Traffic{}) {
		t.Errorf("%+v and %d partitions", s.Gone, len(ps))
	}
	h.apply(&metadata.RemoveTopicRecord{ID: topicID("t")})
	if s, ps := h.Stats(); s.Gone != want || len(ps) != 0 {
		t.Errorf("%+v and %d partitions after the topic was deleted", s.Gone, len(ps))
	}
}

func TestStatsOfAPartitionTellItsLog(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "one")
	s := p.Stats()
	if !s.Open || !s.Leads || s.Dir != "/data" || s.Start != 0 || s.End != 1 || s.Flushed != 1 || s.Size == 0 || s.Segments != 1 {
		t.Errorf("%+v", s)
	}
}

func TestFlushRoundsAreCountedAndTimed(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	h.topic("t", 1)
	before, _ := h.Stats()
	mustWrite(t, h.part("t", 0), "one")
	h.Abandon() // waits for the round to end
	after, _ := h.Stats()
	if n := after.Flushes.Count() - before.Flushes.Count(); n == 0 || after.FlushedLogs-before.FlushedLogs < n || after.Dirty != 0 {
		t.Errorf("%d rounds, %+v", n, after)
	}
	if after.Flushes.Sum <= before.Flushes.Sum {
		t.Error("the round took no time")
	}
}

func TestWrittenAtIsTheTimestampOfTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, vfs.NewMem(), nil)
		defer h.Abandon()
		h.topic("t", 1)
		p := h.part("t", 0)
		first := time.Now().UnixMilli()
		mustWrite(t, p, "one")
		time.Sleep(time.Second)
		mustWrite(t, p, "two")
		for off, want := range []int64{first, first + 1000} {
			if at, ok := p.WrittenAt(kafka.Offset(off)); !ok || at != want {
				t.Errorf("offset %d: %d %v, want %d", off, at, ok, want)
			}
		}
		if at, ok := p.WrittenAt(2); ok {
			t.Errorf("the end was written at %d", at)
		}
	})
}

func TestAnAppendThatFailsIsAFailedProduce(t *testing.T) {
	h := newHost(t, vfs.NewMem(), nil)
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	v := valid(t, p, "v")
	v.Header.ProducerID, v.Header.ProducerEpoch, v.Header.BaseSequence = 7, 0, 0
	if _, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginClient, 0); err != nil {
		t.Fatal(err)
	}
	before := p.Stats().Traffic
	v.Header.BaseSequence = 5 // the one before it ended at 0
	if _, _, err := p.Append(time.Now(), v, AllReplicas, commitlog.OriginClient, 0); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Fatal(err)
	}
	before.Add(Traffic{Produces: 1, FailedProduces: 1})
	if got := p.Stats().Traffic; got != before {
		t.Errorf("%+v, want %+v", got, before)
	}
}

// What counting adds to an append.
func BenchmarkCountingAnAppend(b *testing.B) {
	var t traffic
	v := batch.Validated{Batch: make([]byte, 100), Header: batch.Header{Count: 3}}
	b.ReportAllocs()
	for b.Loop() {
		t.appended(v, commitlog.Appended{}, nil)
	}
}

package api

import (
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/transport"
)

// oneCall decodes a request and answers it, as a connection would, and returns the answer's bytes in buf.
func oneCall(tb testing.TB, op transport.Op, version int16, body, buf []byte) []byte {
	req, err := op.Decode(version, body)
	if err != nil {
		tb.Fatal(err)
	}
	c := &Call{Client: transport.Client{ID: "bench", Listener: worldListener}, Version: version, Request: req, Received: time.Now()}
	var r Response
	if op.Begin != nil {
		r = op.Begin(tb.Context(), c).Finish(tb.Context())
	} else {
		r = op.Handle(tb.Context(), c)
	}
	if s, ok := r.(transport.Streamed); ok {
		defer s.Release()
		for _, p := range s.Pieces() {
			buf = append(buf, p.Bytes...)
		}
		return buf
	}
	return r.AppendTo(buf)
}

// hot prepares one Produce of a 16 KiB batch and one Fetch of it.
func hot(tb testing.TB) (w *world, produce, fetch func()) {
	w = newWorldOn(tb, vfs.OS(), tb.TempDir(), 9092)
	id := w.topic("t", 1, map[string]string{"durability": "os"})
	var values []string
	for range 16 {
		values = append(values, string(make([]byte, 1000)))
	}
	preq := produceRequest("t", id, 0, -1, records(values...))
	preq.SetVersion(13)
	freq := fetchOf("t", id, 0)
	freq.SetVersion(18)
	freq.Topics[0].Partitions[0].PartitionMaxBytes = 20_000
	pbody, fbody := preq.AppendTo(nil), freq.AppendTo(nil)
	pop, _ := w.srv.Lookup(0, 13)
	fop, _ := w.srv.Lookup(1, 18)
	buf := make([]byte, 0, 4096)
	body := make([]byte, len(pbody))
	return w, func() {
			copy(body, pbody) // offsets are stamped in place
			oneCall(tb, pop, 13, body, buf)
		}, func() {
			oneCall(tb, fop, 18, fbody, buf)
		}
}

// TestAllocationsOfTheHotPathStayWithinBudget counts the small objects of a request of one partition, decoding included. None
// of them grows with the records.
func TestAllocationsOfTheHotPathStayWithinBudget(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage counts too")
	}
	_, produce, fetch := hot(t)
	for range 10 {
		produce()
	}
	for name, c := range map[string]struct {
		run    func()
		budget float64
	}{"produce": {produce, 20}, "fetch": {fetch, 22}} {
		if got := testing.AllocsPerRun(200, c.run); got > c.budget {
			t.Errorf("%s: %.0f allocations, budget %.0f", name, got, c.budget)
		} else {
			t.Logf("%s: %.0f allocations", name, got)
		}
	}
}

// hotSix prepares one Produce of six partitions, flushed before it is answered, and one Fetch of them.
func hotSix(tb testing.TB) (produce, fetch func()) {
	const partitions = 6
	w := newWorldOn(tb, vfs.OS(), tb.TempDir(), 9092)
	id := w.topic("t", partitions, nil)
	preq := produceRequest("t", id, 0, -1, records(string(make([]byte, 15_000))))
	for i := int32(1); i < partitions; i++ {
		part := preq.Topics[0].Partitions[0]
		part.Partition = i
		preq.Topics[0].Partitions = append(preq.Topics[0].Partitions, part)
	}
	preq.SetVersion(13)
	freq := fetchOf("t", id, make([]int64, partitions)...)
	freq.SetVersion(18)
	for i := range freq.Topics[0].Partitions {
		freq.Topics[0].Partitions[i].PartitionMaxBytes = 20_000
	}
	pbody, fbody := preq.AppendTo(nil), freq.AppendTo(nil)
	pop, _ := w.srv.Lookup(0, 13)
	fop, _ := w.srv.Lookup(1, 18)
	buf, body := make([]byte, 0, 4096), make([]byte, len(pbody))
	return func() {
			copy(body, pbody)
			oneCall(tb, pop, 13, body, buf)
		}, func() {
			oneCall(tb, fop, 18, fbody, buf)
		}
}

// TestRequestsOfSixPartitionsStayWithinBudget counts what all goroutines allocate, the flusher's too. Nothing may grow with
// the 90 KB of records.
func TestRequestsOfSixPartitionsStayWithinBudget(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage counts too")
	}
	produce, fetch := hotSix(t)
	for range 50 {
		produce()
	}
	for _, c := range []struct {
		name           string
		run            func()
		objects, bytes float64
	}{{"produce", produce, 70, 6 << 10}, {"fetch", fetch, 56, 20 << 10}} {
		objects, bytes := allocated(300, c.run)
		t.Logf("%s: %.0f objects, %.0f bytes", c.name, objects, bytes)
		if objects > c.objects || bytes > c.bytes {
			t.Errorf("%s: %.0f objects and %.0f bytes, budget %.0f and %.0f", c.name, objects, bytes, c.objects, c.bytes)
		}
	}
}

// allocated is what one run of f allocates on the average.
func allocated(runs int, f func()) (objects, bytes float64) {
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(runs), float64(after.TotalAlloc-before.TotalAlloc) / float64(runs)
}

func BenchmarkProduceSixPartitions(b *testing.B) {
	produce, _ := hotSix(b)
	b.SetBytes(6 * 15_000)
	b.ReportAllocs()
	for b.Loop() {
		produce()
	}
}

func BenchmarkFetchSixPartitions(b *testing.B) {
	produce, fetch := hotSix(b)
	for range 100 {
		produce()
	}
	b.ReportAllocs()
	for b.Loop() {
		fetch()
	}
}

func BenchmarkProduce16KiB(b *testing.B) {
	_, produce, _ := hot(b)
	b.SetBytes(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		produce()
	}
}

func BenchmarkFetchPlan(b *testing.B) {
	_, produce, fetch := hot(b)
	for range 100 {
		produce()
	}
	b.ReportAllocs()
	for b.Loop() {
		fetch()
	}
}

func BenchmarkFetchPlanOf1000Partitions(b *testing.B) {
	w := newWorldOn(b, vfs.NewMem(), "/data", 9092)
	w.topic("t", 1000, nil)
	freq := fetchOf("t", kafka.TopicID{}, make([]int64, 1000)...)
	freq.SetVersion(12)
	body := freq.AppendTo(nil)
	op, _ := w.srv.Lookup(int16(kmsg.Fetch), 12)
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		oneCall(b, op, 12, body, buf)
	}
}

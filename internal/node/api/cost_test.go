package api

import (
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

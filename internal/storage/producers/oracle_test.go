package producers

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
)

// TestProducersFareAsInKafka does to a table what testdata/Oracle.java did to Kafka's own classes: batches of clients and coordinators, markers
// of every transaction.version, and high watermarks.
func TestProducersFareAsInKafka(t *testing.T) {
	f, err := os.Open("testdata/kafka.golden")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := &oracle{t: t, counts: map[string]int{}}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		op, want, _ := strings.Cut(lines.Text(), "\t")
		if op == "new" {
			o.table, o.end = Table{}, 0
			continue
		}
		if got := o.do(op); got != want {
			t.Errorf("line %d: %s\n got %s\nwant %s", n, op, got, want)
		}
	}
	for _, answer := range []string{"ok", "again", "ended", "INVALID_PRODUCER_EPOCH", "OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_TXN_STATE", "TRANSACTION_COORDINATOR_FENCED"} {
		if o.counts[answer] < 20 {
			t.Errorf("%s is answered %d times: the questions tell little", answer, o.counts[answer])
		}
	}
}

type oracle struct {
	t      *testing.T
	table  Table
	end    kafka.Offset
	id     kafka.ProducerID // the last that was spoken of
	counts map[string]int
}

// do is the rest of a line: the answer, what is known of the producer, and the first unstable offset.
func (o *oracle) do(op string) string {
	answer := o.answer(op)
	kind, _, _ := strings.Cut(answer, " ")
	o.counts[kind]++
	return fmt.Sprintf("%s\t%s\t%d", answer, o.state(), o.unstable())
}

func (o *oracle) answer(op string) string {
	kind, rest, _ := strings.Cut(op, " ")
	switch kind {
	case "hw":
		var hw kafka.Offset
		o.scan(rest, &o.id, &hw)
		o.table.Replicated(hw)
		return "ok"
	case "marker":
		return o.marker(rest)
	}
	return o.data(kind, rest)
}

func (o *oracle) scan(text string, into ...any) {
	o.t.Helper()
	if _, err := fmt.Sscan(text, into...); err != nil {
		o.t.Fatalf("%q: %v", text, err)
	}
}

func (o *oracle) marker(text string) string {
	var m Marker
	var fate string
	var version int16
	o.scan(text, &m.ProducerID, &m.Epoch, &m.CoordinatorEpoch, &fate, &version, &m.Timestamp)
	m.Abort, o.id = fate == "abort", m.ProducerID
	if err := o.table.CheckMarker(m, version); err != nil {
		return code(o.t, err)
	}
	done, stable, ended := o.table.AppendedMarker(m, o.end)
	o.end++
	if !ended {
		return "ok"
	}
	return fmt.Sprintf("ended %d-%d %s stable %d", done.First, done.Last, map[bool]string{true: "aborted", false: "committed"}[done.Aborted], stable)
}

func (o *oracle) data(kind, text string) string {
	h := batch.Header{BaseOffset: o.end}
	var attributes string
	o.scan(text, &h.ProducerID, &h.ProducerEpoch, &h.BaseSequence, &h.Count, &attributes, &h.MaxTimestamp)
	h.LastOffsetDelta, o.id = h.Count-1, h.ProducerID
	if attributes == "transactional" {
		h.Attributes = transactional
	}
	checks := CheckAll
	if kind == "offsets" {
		checks = CheckEpoch
	}
	v, err := o.table.Check(h, checks)
	switch {
	case err != nil:
		return code(o.t, err)
	case v.Duplicate:
		return fmt.Sprint("again ", v.Original.FirstOffset())
	}
	o.table.Appended(h)
	o.end = h.NextOffset()
	return "ok"
}

func code(t *testing.T, err error) string {
	k := new(kerr.Error)
	if !errors.As(err, &k) {
		t.Fatal(err)
	}
	return k.Message
}

func (o *oracle) state() string {
	for _, s := range o.table.States() {
		if s.ProducerID == o.id {
			return fmt.Sprintf("epoch %d sequence %d offset %d coordinator %d open %d at %d", s.Epoch, s.LastSequence, s.LastOffset, s.CoordinatorEpoch, s.TxnStart, s.LastTimestamp)
		}
	}
	return "unknown"
}

func (o *oracle) unstable() kafka.Offset {
	first, open := o.table.FirstUnstable()
	if !open {
		return kafka.NoOffset
	}
	return first
}

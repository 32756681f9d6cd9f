package bench

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestPaceSpreadsSendersOverThePeriod(t *testing.T) {
	begin := time.Unix(1000, 0)
	first, second := newPace(begin, 100, 0, 2), newPace(begin, 100, 1, 2) // 50 a second each
	if got := first.due(3).Sub(begin); got != 60*time.Millisecond {
		t.Errorf("the fourth record of the first is due after %s", got)
	}
	if got := second.due(0).Sub(begin); got != 10*time.Millisecond {
		t.Errorf("the first record of the second is due after %s", got)
	}
	for number := range int64(200) {
		if by := first.dueBy(first.due(number).Add(time.Microsecond)); by != number+1 {
			t.Fatalf("%d records are due when number %d is", by, number)
		}
	}
	if by := second.dueBy(begin); by != 0 {
		t.Errorf("%d are due before the first", by)
	}
}

func TestPercentilesAreThoseOfTheRecords(t *testing.T) {
	m, begin := newMeter(0), time.Unix(1000, 0)
	m.start(begin)
	for i := range 1000 {
		m.done(begin, begin.Add(time.Duration(i+1)*time.Millisecond), 1, 10)
	}
	r := m.result(workProduce, &options{rate: 1}, false)
	for name, v := range map[string][2]float64{
		"p50": {r.Latency.P50, 500}, "p90": {r.Latency.P90, 900}, "p99": {r.Latency.P99, 990}, "p99.9": {r.Latency.P999, 999},
		"max": {r.Latency.Max, 1000}, "mean": {r.Latency.Mean, 500.5}, "rate": {r.RecordsPerSecond, 1000}, "bytes": {r.BytesPerSecond, 10_000},
	} {
		if math.Abs(v[0]-v[1]) > v[1]/500 {
			t.Errorf("%s is %v, want %v", name, v[0], v[1])
		}
	}
}

func TestLatenciesBeyondTheRangeCount(t *testing.T) {
	m, begin := newMeter(0), time.Unix(1000, 0)
	m.start(begin)
	m.done(begin, begin.Add(24*time.Hour), 1, 1)
	m.done(begin, begin.Add(-time.Second), 1, 1) // clocks of due and done are one, but a consumer may be early
	if r := m.result(workProduce, &options{}, false); r.Records != 2 || r.Latency.Max < 599_000 {
		t.Errorf("%+v %+v", r, r.Latency)
	}
}

func TestWarmupShowsInProgressAlone(t *testing.T) {
	m, begin := newMeter(time.Second), time.Unix(1000, 0)
	m.start(begin)
	m.done(begin, begin.Add(time.Millisecond), 5, 5)
	if got := m.tick(begin.Add(500 * time.Millisecond)); !got.warming || got.recordsPerSecond != 10 {
		t.Errorf("tick %+v", got)
	}
	m.done(begin.Add(time.Second), begin.Add(2*time.Second), 1, 1)
	if r := m.result(workProduce, &options{}, false); r.Records != 1 || r.Seconds != 1 {
		t.Errorf("%d records in %v s", r.Records, r.Seconds)
	}
	if got := m.tick(begin.Add(2500 * time.Millisecond)); got.warming || got.recordsPerSecond != 0.5 {
		t.Errorf("the second tick has the first one's records: %+v", got)
	}
}

func TestProgressWritesOverItsLineOnATerminalOnly(t *testing.T) {
	var out bytes.Buffer
	p := &progress{to: &out, stop: make(chan struct{})}
	p.write("one")
	p.write("two")
	p.end()
	if out.String() != "one\ntwo\n" {
		t.Errorf("to a file: %q", out.String())
	}
	out.Reset()
	p = &progress{to: &out, terminal: true, stop: make(chan struct{})}
	p.write("longer")
	p.write("two")
	p.end()
	if out.String() != "\rlonger\rtwo   \r      \r" || strings.Contains(out.String(), "\n") {
		t.Errorf("to a terminal: %q", out.String())
	}
}

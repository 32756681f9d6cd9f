package bench

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/cli/term"
)

// The loads.
const (
	workProduce = "produce"
	workConsume = "consume"
	workLatency = "latency"
)

// Result is what a load measured.
type Result struct {
	Work             string            `json:"work"`
	Began            time.Time         `json:"began"`
	Settings         map[string]string `json:"settings"`
	Seconds          float64           `json:"seconds"`
	Records          int64             `json:"records"`
	Bytes            int64             `json:"bytes"`
	RecordsPerSecond float64           `json:"recordsPerSecond"`
	BytesPerSecond   float64           `json:"bytesPerSecond"`
	Latency          *Latency          `json:"latencyMs,omitempty"`
	Interrupted      bool              `json:"interrupted"`
}

// Latency are percentiles in milliseconds.
type Latency struct {
	From string  `json:"from"` // what they count from
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// result is all that counted until now.
func (m *meter) result(work string, o *options, interrupted bool) Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Result{Work: work, Began: m.mu.begin.UTC(), Settings: o.settings(work), Interrupted: interrupted}
	if m.mu.records == 0 {
		return r
	}
	r.Seconds = max(m.mu.last.Sub(m.mu.begin), time.Microsecond).Seconds()
	r.Records, r.Bytes = m.mu.records, m.mu.bytes
	r.RecordsPerSecond, r.BytesPerSecond = float64(r.Records)/r.Seconds, float64(r.Bytes)/r.Seconds
	if work == workConsume && o.rate == 0 {
		return r // what was there before has no latency
	}
	ms := func(microseconds int64) float64 { return float64(microseconds) / 1e3 }
	at := func(percentile float64) float64 { return ms(m.mu.all.ValueAtPercentile(percentile)) }
	r.Latency = &Latency{
		From: "the send", Mean: m.mu.all.Mean() / 1e3,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: ms(m.mu.all.Max()),
	}
	if o.rate > 0 {
		r.Latency.From = "when the rate wanted it"
	}
	return r
}

func (r Result) forPeople(w io.Writer) error {
	type line struct{ name, value string }
	lines := []line{
		{"records", strconv.FormatInt(r.Records, 10)},
		{"time", seconds(r.Seconds)},
		{"records/s", number(r.RecordsPerSecond)},
		{"MiB/s", number(r.BytesPerSecond / (1 << 20))},
	}
	if l := r.Latency; l != nil {
		lines = append(lines, line{"latency from", l.From}, line{"mean", millis(l.Mean)}, line{"p50", millis(l.P50)}, line{"p90", millis(l.P90)},
			line{"p99", millis(l.P99)}, line{"p99.9", millis(l.P999)}, line{"max", millis(l.Max)})
	}
	return term.Table(lines, term.Col(r.Work, func(l line) any { return l.name }), term.Col("value", func(l line) any { return l.value }))(w)
}

func seconds(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + " s" }

func millis(v float64) string { return number(v) + " ms" }

// number has three digits that count, or all before the point.
func number(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return fmt.Sprintf("%.3f", v)
}

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/interop/go/history"
	"github.com/headrace/headrace/interop/go/load"
)

// report is what a run comes to. The first block is its JSON form.
type report struct {
	Product   string              `json:"product"`
	Seed      uint64              `json:"seed"`
	Seconds   float64             `json:"seconds"`
	Faults    map[string]*outcome `json:"faults,omitempty"`
	Restarts  []restarted         `json:"restarts,omitempty"`
	Sent      int                 `json:"sent"`
	Acked     int                 `json:"acked"`
	Read      int                 `json:"read"`
	Compared  int                 `json:"batches_compared"`
	Anomalies []history.Anomaly   `json:"anomalies"`
	Notes     []history.Anomaly   `json:"notes"`

	begun   time.Time
	steady  bool        // the load is
	flipped map[int]int // bits turned in the files of a node and not turned back

	mu        sync.Mutex
	anomalies history.Verdict
	notes     history.Verdict
}

// outcome is what faults of one kind came to. The times are in seconds.
type outcome struct {
	Count int `json:"count"`
	// Gap is the longest time in which a partition acknowledged nothing, from before the fault or after its beginning.
	Gap float64 `json:"longest_gap"`
	// Back are the times from the end of a fault to new acknowledgements in all partitions.
	Back []float64 `json:"back"`
}

func newReport(o options, steady bool) *report {
	return &report{Product: o.product, Seed: o.seed, Faults: map[string]*outcome{}, begun: time.Now(), steady: steady, flipped: map[int]int{},
		anomalies: history.Verdict{}, notes: history.Verdict{}}
}

func (r *report) anomaly(kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.anomalies.Add(kind, text)
}

// judged adds what was found beside the history of the load.
func (r *report) judged(v history.Verdict) {
	for _, a := range v.List() {
		for i := range a.Count {
			r.anomaly(a.Kind, a.Examples[min(i, len(a.Examples)-1)])
		}
	}
}

func (r *report) note(kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes.Add(kind, text)
}

// complaint is what a client says beside its records. What tells that records are gone or damaged is an anomaly, and so is what a
// steady client's application sees at all.
func (r *report) complaint(kind, text string) {
	switch kind {
	case load.ProducerDataLoss, load.ConsumerDataLoss, load.OutOfRange, load.DamagedBatch, load.ClientError:
		r.anomaly(kind, text)
	default:
		r.note(kind, text)
	}
}

func (r *report) struck(name string, back time.Duration) {
	o := r.Faults[name]
	if o == nil {
		o = &outcome{}
		r.Faults[name] = o
	}
	o.Count++
	o.Back = append(o.Back, back.Seconds())
}

func (r *report) judge(recorder *history.Recorder, gaps map[string]time.Duration) {
	h := recorder.History()
	r.Sent, r.Acked = recorder.Counts()
	for _, l := range h.Consumers {
		for _, e := range l.Events {
			r.Read += len(e.Reads)
		}
	}
	for name, gap := range gaps {
		if o := r.Faults[name]; o != nil {
			o.Gap = gap.Seconds()
		}
	}
	r.judged(history.Check(h))
	r.Anomalies, r.Notes = r.anomalies.List(), r.notes.List()
	r.Seconds = time.Since(r.begun).Seconds()
}

func (r *report) good() bool { return len(r.Anomalies) == 0 }

func (r *report) print() {
	r.printRestarts()
	total := len(r.Restarts)
	if len(r.Faults) > 0 {
		fmt.Printf("\n%-20s %6s %18s %24s\n", "fault", "count", "longest gap, s", "back, s: p50 / longest")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		o := r.Faults[name]
		total += o.Count
		fmt.Printf("%-20s %6d %18.2f %15.2f / %6.2f\n", name, o.Count, o.Gap, quantile(o.Back, 0.5), quantile(o.Back, 1))
	}
	fmt.Printf("\n%s, seed %d: %d faults or restarts in %.0f s; %d records sent, %d acknowledged, %d reads judged, %d batches of replicas compared\n",
		r.Product, r.Seed, total, r.Seconds, r.Sent, r.Acked, r.Read, r.Compared)
	fmt.Printf("clients: %s\n", load.Settings(r.steady))
	for _, n := range r.Notes {
		show("note", n)
	}
	for _, a := range r.Anomalies {
		show("ANOMALY", a)
	}
	if r.good() {
		fmt.Println("no anomaly")
	}
}

func show(what string, a history.Anomaly) {
	fmt.Printf("%s: %s: %d\n", what, a.Kind, a.Count)
	for _, e := range a.Examples {
		fmt.Printf("    %s\n", strings.ReplaceAll(e, "\n", "\n        "))
	}
}

func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// quantile is the value below which the share q of the values lies, or the value at that place.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func cut(line string) (key, value string) {
	key, value, _ = strings.Cut(line, "=")
	return key, value
}

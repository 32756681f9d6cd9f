package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headrace/headrace/bench/figure"
	"github.com/headrace/headrace/bench/proc"
	"github.com/headrace/headrace/bench/side"
)

// report is the raw file: what was measured where, run by run, and the table made of it.
type report struct {
	Began   time.Time    `json:"began"`
	Took    float64      `json:"seconds"`
	Machine proc.Machine `json:"machine"`
	Commit  string       `json:"commit"`
	Java    string       `json:"java"`
	Kafka   string       `json:"kafka"`
	Pairs   int          `json:"pairs"`
	Size    size         `json:"size"`
	Works   []described  `json:"works"`
	Rows    []outcome    `json:"rows"`
	Samples []sample     `json:"samples"`
}

// described is a work in words.
type described struct {
	Name string `json:"name"`
	How  string `json:"how"`
}

func describe(sessions []session) (works []described) {
	for _, s := range sessions {
		for _, w := range s.works {
			works = append(works, described{w.name, w.how})
		}
	}
	return works
}

// outcome is a row with its figures.
type outcome struct {
	Name     string         `json:"name"`
	Work     string         `json:"work"`
	Title    string         `json:"title"`
	Unit     string         `json:"unit"`
	Aim      string         `json:"aim"`
	Verdict  figure.Verdict `json:"verdict"`
	Kafka    figure.Spread  `json:"kafka"`
	Headrace figure.Spread  `json:"headrace"`
	Ratio    figure.Spread  `json:"ratio"`
	Ratios   []float64      `json:"ratios"`
	Error    string         `json:"error,omitempty"` // of the first run that failed
}

// line tells on the terminal how a run went.
func (s sample) line(w work) string {
	text := fmt.Sprintf("%-16s %-9s %d: ", s.Work, s.System, s.Pair)
	if s.Error != "" {
		return text + "FAILED: " + oneLine(s.Error)
	}
	var parts []string
	for _, r := range w.rows {
		parts = append(parts, fmt.Sprintf("%s %s %s", r.name, figure.Short(s.Figures[r.name]), r.unit))
	}
	return text + strings.Join(parts, ", ") + fmt.Sprintf(" (%.0f s)", s.Seconds)
}

// outcomes makes the rows of all works that ran. A row needs a figure from every run: with one missing it has failed.
func outcomes(sessions []session, samples []sample, pairs int) []outcome {
	var rows []outcome
	for _, s := range sessions {
		for _, w := range s.works {
			for _, r := range w.rows {
				rows = append(rows, r.outcome(w.name, samples, pairs))
			}
		}
	}
	return rows
}

func (r row) outcome(work string, samples []sample, pairs int) outcome {
	o := outcome{Name: r.name, Work: work, Title: r.title, Unit: r.unit, Aim: r.aim.Text(), Verdict: figure.Failed}
	values := map[side.Name][]float64{}
	for _, s := range samples {
		if s.Work != work {
			continue
		}
		if s.Error != "" {
			if o.Error == "" {
				o.Error = fmt.Sprintf("%s, run %d: %s", s.System, s.Pair, s.Error)
			}
			continue
		}
		values[s.System] = append(values[s.System], s.Figures[r.name])
	}
	ours, theirs := values[side.Headrace], values[side.Kafka]
	o.Headrace, _ = figure.Of(ours)
	o.Kafka, _ = figure.Of(theirs)
	switch {
	case o.Error != "":
		return o
	case len(ours) != pairs || len(theirs) != pairs:
		o.Verdict = figure.NotRun
		return o
	}
	o.Ratios = figure.Ratios(ours, theirs)
	o.Ratio, _ = figure.Of(o.Ratios)
	o.Verdict = r.aim.Judge(o.Headrace, o.Ratio)
	return o
}

// cells are a row as the tables show it.
func (o outcome) cells() []string {
	if o.Verdict == figure.Failed || o.Verdict == figure.NotRun {
		return []string{o.Title, "", "", "", o.Aim, string(o.Verdict)}
	}
	return []string{
		o.Title, o.Kafka.Text() + " " + o.Unit, o.Headrace.Text() + " " + o.Unit, o.Ratio.Text(), o.Aim, string(o.Verdict),
	}
}

var heads = []string{"work", "Apache Kafka", "headrace", "headrace / Kafka", "aim", "verdict"}

// conclude prints the table and writes the files. Any run that failed is an error.
func (b *bench) conclude(ctx context.Context, o options) error {
	b.report.Took = time.Since(b.report.Began).Seconds()
	b.report.Works = describe(b.sessions)
	b.report.Rows = outcomes(b.sessions, b.report.Samples, b.pairs)
	out := o.out
	if out == "" {
		out = "bench-" + b.report.Began.Format("20060102-150405") + ".json"
	}
	raw, err := json.MarshalIndent(b.report, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	printTable(b.report)
	progress("raw figures: %s", out)
	if ctx.Err() != nil {
		return errors.New("interrupted; the table holds what was measured until then")
	}
	if failed := failures(b.report.Rows); len(failed) > 0 {
		return fmt.Errorf("%d rows failed: %s", len(failed), strings.Join(failed, "; "))
	}
	if o.record != "" {
		return recordTable(o.record, b.report)
	}
	return nil
}

func failures(rows []outcome) []string {
	var failed []string
	for _, r := range rows {
		if r.Verdict == figure.Failed || r.Verdict == figure.NotRun {
			failed = append(failed, r.Name)
		}
	}
	return failed
}

func printTable(r report) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Printf("headrace %s and Apache Kafka %s, %d pairs%s: medians, with the smallest and the largest\n", r.Commit, r.Kafka, r.Pairs, shortNote(r.Size))
	fmt.Fprintln(w, strings.ToUpper(strings.Join(heads, "\t")))
	for _, o := range r.Rows {
		fmt.Fprintln(w, strings.Join(o.cells(), "\t"))
	}
	w.Flush() // to a terminal or a pipe; there is nobody to tell
	for _, o := range r.Rows {
		if o.Error != "" {
			fmt.Printf("%s: %s\n", o.Name, oneLine(o.Error))
		}
	}
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

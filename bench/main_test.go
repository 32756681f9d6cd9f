package main

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/bench/figure"
	"github.com/headrace/headrace/bench/side"
)

func TestNamesOfWorksAndRowsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range plan() {
		for _, w := range s.works {
			names := []string{"work " + w.name}
			for _, r := range w.rows {
				names = append(names, "row "+r.name)
			}
			for _, n := range names {
				if seen[n] {
					t.Errorf("%s comes twice", n)
				}
				seen[n] = true
			}
			if w.how == "" || w.run == nil || len(w.rows) == 0 {
				t.Errorf("work %s is not whole", w.name)
			}
		}
	}
}

func TestOnlyChoosesWorks(t *testing.T) {
	got, err := choose(plan(), "flushed,cold")
	if err != nil || len(got) != 2 || len(got[0].works) != 1 || got[0].works[0].name != "flushed" || got[1].name != "cold" {
		t.Errorf("chosen: %+v, %v", got, err)
	}
	if _, err := choose(plan(), "flushed,colt"); err == nil || !strings.Contains(err.Error(), `"colt"`) {
		t.Errorf("an unknown work: %v", err)
	}
}

func samplesOf(kafka, headrace []float64) []sample {
	var all []sample
	for i := range kafka {
		all = append(all,
			sample{Work: "w", System: side.Kafka, Pair: i + 1, Figures: figures{"r": kafka[i]}},
			sample{Work: "w", System: side.Headrace, Pair: i + 1, Figures: figures{"r": headrace[i]}})
	}
	return all
}

func TestRowsAreJudgedByTheMedianOfThePairs(t *testing.T) {
	r := row{name: "r", title: "a row", unit: "x", aim: figure.RatioAtLeast(2)}
	o := r.outcome("w", samplesOf([]float64{10, 10, 20}, []float64{30, 10, 50}), 3)
	if o.Ratio != (figure.Spread{Median: 2.5, Min: 1, Max: 3}) || o.Verdict != figure.Met {
		t.Errorf("%+v", o)
	}
	if cells := strings.Join(o.cells(), "|"); cells != "a row|10.0 (10.0–20.0) x|30.0 (10.0–50.0) x|2.50 (1.00–3.00)|≥ 2 ×|met" {
		t.Errorf("cells %q", cells)
	}
}

func TestARowWithAFailedRunHasFailed(t *testing.T) {
	r := row{name: "r", title: "a row", unit: "x"}
	samples := samplesOf([]float64{10, 10}, []float64{30, 30})
	samples[2] = sample{Work: "w", System: side.Kafka, Pair: 2, Error: "out of luck"}
	o := r.outcome("w", samples, 2)
	if o.Verdict != figure.Failed || !strings.Contains(o.Error, "kafka, run 2: out of luck") {
		t.Errorf("%+v", o)
	}
	if got := failures([]outcome{o}); len(got) != 1 {
		t.Errorf("failures: %v", got)
	}
	if o := r.outcome("w", samples[:2], 2); o.Verdict != figure.NotRun || len(failures([]outcome{o})) != 1 {
		t.Errorf("half of the runs are enough: %+v", o)
	}
}

func TestATableReplacesTheOneBefore(t *testing.T) {
	const head, end = "before\n" + tableBegins + "\n", tableEnds + "\nbetween\n" + clusterBegins + "\n"
	text := head + "old\n" + end + "old too\n" + tableEnds + "\nafter\n"
	one := report{Rows: []outcome{{Work: "w", Title: "a row"}}, Works: []described{{"w", "this"}}}
	three := report{Rows: []outcome{{Work: "cluster-w", Title: "another"}}, Works: []described{{"cluster-w", "that"}}}
	both := report{Rows: append(one.Rows, three.Rows...), Works: append(one.Works, three.Works...)}
	tables := func(first, second string) string { return head + first + end + second + tableEnds + "\nafter\n" }
	first, second := "\n"+markdown(one)+"\n", "\n"+markdown(three)+"\n"
	for _, c := range []struct {
		r    report
		want string
	}{
		{one, tables(first, "old too\n")}, {three, tables("old\n", second)}, {both, tables(first, second)},
	} {
		got, err := replaceTables(text, c.r)
		if err != nil || got != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
		if again, err := replaceTables(got, c.r); err != nil || again != got {
			t.Errorf("the second time it differs: %q, %v", again, err)
		}
	}
	if _, err := replaceTables("nothing", one); err == nil {
		t.Error("a file without marks is written")
	}
}

func TestWorksOnClustersAreNamedForIt(t *testing.T) {
	for _, s := range plan() {
		for _, w := range s.works {
			if cluster := strings.HasPrefix(w.name, clusterPrefix); cluster != strings.HasPrefix(s.name, "cluster") || s.nodes > 1 && !cluster {
				t.Errorf("work %s in session %s of %d nodes", w.name, s.name, s.nodes)
			}
		}
	}
}

func TestMarkdownSaysWhatItMustOfTheMachine(t *testing.T) {
	r := report{Commit: "abc123", Kafka: "4.3.1", Java: "JVM 25", Pairs: 3, Size: shortSize()}
	r.Machine.Processors, r.Machine.Processor, r.Machine.FileSystem = 2, "CPU", "ext4"
	r.Rows, r.Works = []outcome{{Title: "a row", Verdict: figure.Failed}}, []described{{"work", "this and that"}}
	text := markdown(r)
	for _, want := range []string{"abc123", "4.3.1", "JVM 25", "3 pairs", "2 × CPU", "ext4", "flush", "short form", "| a row |", "FAILED", "- work: this and that."} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
}

func TestPartitionsOfATopic(t *testing.T) {
	in := partitionDirs("old")
	for path, want := range map[string]bool{"/d/old-0/1.log": true, "/d/old-12/1.log": true, "/d/older-1/1.log": false, "/d/live-0/1.log": false} {
		if in(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

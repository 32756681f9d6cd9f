package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/term"
)

// Comparison sets two results of one kind of load side by side.
type Comparison struct {
	Work    string       `json:"work"`
	Differ  []Difference `json:"differentSettings"`
	Figures []Compared   `json:"figures"`
}

// Difference is a setting that is not the same on both sides, so that the figures may say nothing of the clusters.
type Difference struct {
	Setting string `json:"setting"`
	A       string `json:"a"`
	B       string `json:"b"`
}

// Compared is one figure of both sides. Ratio is B to A; null where A is zero.
type Compared struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit"`
	A     float64  `json:"a"`
	B     float64  `json:"b"`
	Ratio *float64 `json:"ratio"`
}

func (c *command) compare() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use:     "compare A.json B.json",
		Short:   "Set two results side by side, with ratios",
		Long:    "Sets two results side by side that bench wrote with --file or --output json. A ratio is B's figure divided by A's.",
		Args:    twoFiles,
		Example: "  headrace bench produce --file a.json\n  headrace bench produce --bootstrap other:9092 --file b.json\n  headrace bench compare a.json b.json",
		RunE: func(_ *cobra.Command, args []string) error {
			a, errA := readResult(args[0])
			b, errB := readResult(args[1])
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			if a.Work != b.Work {
				return term.Usage("%s holds a result of bench %s and %s one of bench %s: they cannot be compared", args[0], a.Work, args[1], b.Work)
			}
			r := compareResults(a, b)
			return c.env.Print(*form, r, r.forPeople)
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func twoFiles(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("two files are wanted, and %d given", len(args))
	}
	return nil
}

func readResult(file string) (Result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Result{}, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil || !slices.Contains([]string{workProduce, workConsume, workLatency}, r.Work) {
		return r, fmt.Errorf("%s does not hold a result of headrace bench", file)
	}
	return r, nil
}

func compareResults(a, b Result) Comparison {
	c := Comparison{Work: a.Work, Differ: []Difference{}}
	names := maps.Clone(a.Settings)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, b.Settings)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a.Settings[name] != b.Settings[name] {
			c.Differ = append(c.Differ, Difference{name, a.Settings[name], b.Settings[name]})
		}
	}
	add := func(name, unit string, a, b float64) {
		figure := Compared{Name: name, Unit: unit, A: a, B: b}
		if a != 0 {
			ratio := b / a
			figure.Ratio = &ratio
		}
		c.Figures = append(c.Figures, figure)
	}
	add("throughput", "records/s", a.RecordsPerSecond, b.RecordsPerSecond)
	add("bytes", "MiB/s", a.BytesPerSecond/(1<<20), b.BytesPerSecond/(1<<20))
	if l, m := a.Latency, b.Latency; l != nil && m != nil {
		add("mean", "ms", l.Mean, m.Mean)
		add("p50", "ms", l.P50, m.P50)
		add("p90", "ms", l.P90, m.P90)
		add("p99", "ms", l.P99, m.P99)
		add("p99.9", "ms", l.P999, m.P999)
		add("max", "ms", l.Max, m.Max)
	}
	return c
}

func (c Comparison) forPeople(w io.Writer) error {
	err := term.Table(c.Figures,
		term.Col(c.Work, func(f Compared) any { return f.Name }), term.Col("unit", func(f Compared) any { return f.Unit }),
		term.Col("a", func(f Compared) any { return number(f.A) }), term.Col("b", func(f Compared) any { return number(f.B) }),
		term.Col("b / a", Compared.ratio))(w)
	for _, d := range c.Differ {
		if err == nil {
			_, err = fmt.Fprintf(w, "different: %s is %s in a and %s in b\n", d.Setting, orNone(d.A), orNone(d.B))
		}
	}
	return err
}

func (f Compared) ratio() any {
	if f.Ratio == nil {
		return "-"
	}
	return number(*f.Ratio)
}

func orNone(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}

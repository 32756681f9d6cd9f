package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// The tables in the README stand between these marks: that of one node, and that of the works on a cluster.
const (
	tableBegins   = "<!-- table: bench/run --record writes what follows -->"
	clusterBegins = "<!-- table of three nodes: bench/run --record writes what follows -->"
	tableEnds     = "<!-- end of table -->"

	clusterPrefix = "cluster-" // of the names of works
)

// recordTable replaces the tables in file of which r has rows.
func recordTable(file string, r report) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	replaced, err := replaceTables(string(text), r)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(replaced), 0o644)
}

func replaceTables(text string, r report) (string, error) {
	for begins, cluster := range map[string]bool{tableBegins: false, clusterBegins: true} {
		part := r.part(cluster)
		if len(part.Rows) == 0 {
			continue
		}
		var err error
		if text, err = replaceTable(text, begins, markdown(part)); err != nil {
			return "", err
		}
	}
	return text, nil
}

// part is the report with only the works on clusters, or only those on one node.
func (r report) part(cluster bool) report {
	other := func(work string) bool { return strings.HasPrefix(work, clusterPrefix) != cluster }
	r.Rows = slices.DeleteFunc(slices.Clone(r.Rows), func(o outcome) bool { return other(o.Work) })
	r.Works = slices.DeleteFunc(slices.Clone(r.Works), func(d described) bool { return other(d.Name) })
	return r
}

func replaceTable(text, begins, table string) (string, error) {
	before, rest, ok := strings.Cut(text, begins)
	_, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		return "", fmt.Errorf("no marks %q and %q", begins, tableEnds)
	}
	return before + begins + "\n\n" + table + "\n" + tableEnds + after, nil
}

func markdown(r report) string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Measured %s: commit %s against Apache Kafka %s on %s.\n", r.Began.Format("2006-01-02"), r.Commit, r.Kafka, r.Java)
	fmt.Fprintf(&b, "Machine: %d × %s, %.0f GB memory, %s, Linux %s. Clients and broker share it.\n", m.Processors, m.Processor, float64(m.Memory)/(1<<30), m.FileSystem, m.Kernel)
	fmt.Fprintf(&b, "Flush: headrace flushes before it acknowledges (its default); Apache Kafka does not flush (its default), but where a row says so.\n")
	fmt.Fprintf(&b, "%d pairs in %.0f minutes%s; figures are medians with the smallest and the largest.\n\n", r.Pairs, r.Took/60, shortNote(r.Size))
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads)
	line([]string{"---", "---", "---", "---", "---", "---"})
	for _, o := range r.Rows {
		line(o.cells())
	}
	b.WriteString("\nWhat was done, in the order of the rows:\n\n")
	for _, w := range r.Works {
		fmt.Fprintf(&b, "- %s: %s.\n", w.Name, w.How)
	}
	return b.String()
}

func shortNote(s size) string {
	if s.Short {
		return " (short form: no basis for a judgement)"
	}
	return ""
}

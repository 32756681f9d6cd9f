package metrics

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write docs/metrics.md anew")

const page = "../../../docs/metrics.md"

// docs/metrics.md is made from the definitions: go generate ./internal/node/metrics
func TestMetricsPageIsUpToDate(t *testing.T) {
	want := metricsPage()
	if *write {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the definitions say: run go generate ./internal/node/metrics", page)
	}
}

const pageHead = `# Metrics

<!-- Made from internal/node/metrics by go generate ./internal/node/metrics. Do not edit. -->

` + "`headrace.admin.listener`" + ` (127.0.0.1:9644 unless told otherwise) serves ` + "`/metrics`" + ` in Prometheus' text and in OpenMetrics. What Apache
Kafka has is exported once, under the name by which dashboards made for jmx_exporter (as Strimzi sets it up) and kafka_exporter
query it; the rest begins with ` + "`headrace_`" + `. Beside these come ` + "`process_*`" + ` and ` + "`go_*`" + ` of Prometheus' Go client.
[deploy/](../deploy/) has a Grafana board, alert rules and a scrape configuration.

Series of partitions, of topics and of committed offsets stop at ` + "`headrace.metrics.max.partitions`" + ` and ` + "`headrace.metrics.max.group.offsets`" + `;
` + "`headrace_metrics_left_out`" + ` counts the rest. Groups are looked at once in ten seconds at most.
`

func metricsPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("\n## Ours\n\n")
	defTable(&b, func(d Def) bool { return d.From == "" })
	b.WriteString("\n## Kafka's, as jmx_exporter names them\n\n")
	defTable(&b, func(d Def) bool { return d.From == fromJMX })
	b.WriteString("\n## kafka_exporter's\n\n")
	defTable(&b, func(d Def) bool { return d.From == fromExporter })
	b.WriteString("\n## What is not there\n\nPanels that query these stay empty: a number that is not true would be worse.\n\n| metric | why |\n|---|---|\n")
	for _, a := range NotExported() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(a.Names, "`, `"), a.Why)
	}
	b.WriteString("\nNames of other exporters' making (`…persec`, `…persec_total`, `kafka_server_raft_metrics_…`: Confluent's stacks, Strimzi's Metrics\nReporter) are not exported a second time.\n")
	return b.String()
}

func defTable(b *strings.Builder, which func(Def) bool) {
	b.WriteString("| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n")
	for _, d := range Table() {
		if !which(d) {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %v | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Unit, strings.ReplaceAll(d.Help, "|", "\\|"))
	}
}

func TestEveryDefinitionIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Table() {
		ours := strings.HasPrefix(d.Name, "headrace_")
		switch {
		case seen[d.Name]:
			t.Errorf("%s is defined twice", d.Name)
		case ours == (d.From != ""):
			t.Errorf("%s: whose name is it?", d.Name)
		case !slices.IsSorted(d.Labels):
			t.Errorf("%s: labels are not sorted", d.Name)
		case !strings.HasSuffix(d.Help, "."):
			t.Errorf("%s: the meaning is no sentence", d.Name)
		case ours && d.Unit != "" && !strings.HasSuffix(strings.TrimSuffix(d.Name, "_total"), "_"+d.Unit):
			t.Errorf("%s: the name does not end with the unit %s", d.Name, d.Unit)
		case LeftOut(d.Name):
			t.Errorf("%s is both exported and not", d.Name)
		}
		seen[d.Name] = true
	}
}

package app

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/metrics"
)

// families is a scrape by metric.
type families map[string]*dto.MetricFamily

func scrapeText(t *testing.T, w *world) string {
	t.Helper()
	resp, err := http.Get("http://" + w.node.AdminAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", resp.StatusCode, b, err)
	}
	return string(b)
}

func scrape(t *testing.T, w *world) families {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	f, err := p.TextToMetricFamilies(strings.NewReader(scrapeText(t, w)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// value is that of the one series of a metric with these labels.
func (f families) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range f[name].GetMetric() {
		if has(m, labels) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("no series %s %v", name, labels)
	return -1
}

func has(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

// watched is a node under a little of everything: 10 records in, 7 of them consumed and committed, and a request that fails.
func watched(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, vfs.NewMem(), map[string]string{"headrace.admin.listener": "127.0.0.1:0"})
	w.start()
	t.Cleanup(w.stop)
	if _, err := w.admin.CreateTopic(w.ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	w.produce("orders", values(0, 7)...)
	w.consume("billing", "orders", 7)
	w.produce("orders", values(7, 10)...)
	w.admin.ListEndOffsets(w.ctx, "nowhere") // an error in an answer
	w.consume("audit", "orders", 10)
	return w
}

func TestAScrapeTellsWhatWasDone(t *testing.T) {
	w := watched(t)
	f := scrape(t, w)
	size := f.value(t, "kafka_log_log_size", "topic", "orders", "partition", "0")
	for _, c := range []struct {
		want float64
		name string
		of   []string
	}{
		{10, "kafka_server_brokertopicmetrics_messagesin_total", []string{"topic", "orders"}},
		{size, "kafka_server_brokertopicmetrics_bytesin_total", []string{"topic", "orders"}},
		{0, "kafka_server_brokertopicmetrics_failedproducerequests_total", []string{"topic", "orders"}},
		{10, "kafka_topic_partition_current_offset", []string{"topic", "orders", "partition", "0"}},
		{0, "kafka_topic_partition_oldest_offset", []string{"topic", "orders"}},
		{1, "kafka_topic_partition_leader", []string{"topic", "orders"}},
		{1, "kafka_cluster_partition_atminisr", []string{"topic", "orders"}},
		{0, "kafka_cluster_partition_underminisr", []string{"topic", "orders"}},
		{1, "kafka_topic_partitions", []string{"topic", "orders"}},
		{7, "kafka_consumergroup_current_offset", []string{"consumergroup", "billing", "topic", "orders", "partition", "0"}},
		{3, "kafka_consumergroup_lag", []string{"consumergroup", "billing", "topic", "orders", "partition", "0"}},
		{3, "kafka_consumergroup_lag_sum", []string{"consumergroup", "billing", "topic", "orders"}},
		{0, "kafka_consumergroup_lag", []string{"consumergroup", "audit"}},
		{0, "headrace_consumergroup_lag_seconds", []string{"consumergroup", "audit"}},
		{0, "kafka_consumergroup_members", []string{"consumergroup", "billing"}},
		{2, "headrace_groups", []string{"state", "Empty"}},
		{6, "kafka_server_replicamanager_leadercount", nil}, // orders, and 5 of __consumer_offsets
		{6, "kafka_server_replicamanager_partitioncount", nil},
		{2, "kafka_controller_kafkacontroller_globaltopiccount", nil},
		{1, "kafka_controller_kafkacontroller_activecontrollercount", nil},
		{0, "kafka_server_replicamanager_partitionswithlatetransactionscount", nil},
		{1, "kafka_brokers", nil},
		{1, "kafka_broker_info", []string{"id", "1", "address", w.node.Addresses()[0]}},
		{1, "headrace_log_dir_online", []string{"dir", "/data"}},
		{0, "kafka_log_logmanager_offlinelogdirectorycount", nil},
	} {
		if got := f.value(t, c.name, c.of...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.of, got, c.want)
		}
	}
	if out := f.value(t, "kafka_server_brokertopicmetrics_bytesout_total", "topic", "orders"); out < size {
		t.Errorf("%v bytes out, of a log of %v that was read whole", out, size)
	}
	if age := f.value(t, "headrace_consumergroup_lag_seconds", "consumergroup", "billing"); age < 0 || age > 60 {
		t.Errorf("what billing has not consumed is %v s old", age)
	}
	if n := f.value(t, "headrace_request_errors_total", "api", "Metadata", "error", "UNKNOWN_TOPIC_OR_PARTITION"); n < 1 {
		t.Errorf("a topic that is nowhere was asked for, and %v errors were counted", n)
	}
	all := f.value(t, "kafka_server_brokertopicmetrics_messagesin_total", "topic", "")
	if all < 10 {
		t.Errorf("%v messages in all topics", all)
	}
}

func TestSeriesOfTopicsAreBoundedAsThoseOfPartitionsAre(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"headrace.metrics.max.partitions": "1", "headrace.admin.listener": "127.0.0.1:0"})
	w.start()
	for _, topic := range []string{"a", "b", "c"} {
		w.create(topic, nil)
	}
	f := scrape(t, w)
	for name, want := range map[string]int{
		"kafka_topic_partitions": 1, "kafka_log_log_size": 1,
		"kafka_server_brokertopicmetrics_messagesin_total": 2, // and the sum
	} {
		if got := len(f[name].GetMetric()); got != want {
			t.Errorf("%s has %d series, want %d", name, got, want)
		}
	}
	if got := f.value(t, "headrace_metrics_left_out", "what", "topics"); got != 2 {
		t.Errorf("%v topics are told to be left out", got)
	}
	w.stop()
}

func TestWhatADeletedTopicHadCountedStaysInTheSum(t *testing.T) {
	w := watched(t)
	const name = "kafka_server_brokertopicmetrics_bytesin_total"
	before := scrape(t, w).value(t, name, "topic", "")
	if _, err := w.admin.DeleteTopic(w.ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	f := scrape(t, w)
	if after := f.value(t, name, "topic", ""); after < before {
		t.Errorf("%v bytes after a topic was deleted, %v before", after, before)
	}
	for _, m := range f[name].GetMetric() {
		if has(m, []string{"topic", "orders"}) {
			t.Error("a deleted topic has a series")
		}
	}
}

func TestEveryDefinedMetricIsExportedAsItIsDefined(t *testing.T) {
	w := watched(t)
	f := scrape(t, w)
	defined := map[string]bool{}
	for _, d := range metrics.Table() {
		defined[d.Name] = true
		got, ok := f[d.Name]
		if !ok {
			if strings.Contains(d.Name, "_linux_") && runtime.GOOS != "linux" {
				continue
			}
			t.Errorf("%s is not exported", d.Name)
			continue
		}
		if kind := strings.ToLower(got.GetType().String()); kind != d.Kind.String() {
			t.Errorf("%s is a %s, not a %v", d.Name, kind, d.Kind)
		}
		for _, m := range got.GetMetric() {
			var names []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
			}
			if slices.Sort(names); !slices.Equal(names, d.Labels) {
				t.Errorf("%s has the labels %v, not %v", d.Name, names, d.Labels)
			}
		}
	}
	for name := range f {
		if !defined[name] && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is exported and not defined", name)
		}
	}
}

func TestOurNamesAreAsPrometheusWantsThem(t *testing.T) {
	w := watched(t)
	problems, err := promlint.New(strings.NewReader(scrapeText(t, w))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "headrace_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestWhatPublicDashboardsQueryIsThere(t *testing.T) {
	text, err := os.ReadFile("../node/metrics/testdata/dashboards.tsv")
	if err != nil {
		t.Fatal(err)
	}
	w := watched(t)
	f := scrape(t, w)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(strings.TrimRight(line, "\n"), "\t")
		board, name, labels := row[0], row[1], strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' })
		if metrics.LeftOut(name) || runtime.GOOS != "linux" && strings.Contains(name, "_linux_") {
			continue
		}
		if !f.serves(name, labels) {
			t.Errorf("%s: no series of %s with %v", board, name, labels)
		}
	}
}

// serves tells whether some series of a metric has all the labels, with something in them.
func (f families) serves(name string, labels []string) bool {
	return slices.ContainsFunc(f[name].GetMetric(), func(m *dto.Metric) bool {
		have := map[string]bool{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue() != ""
		}
		return !slices.ContainsFunc(labels, func(l string) bool { return !have[l] })
	})
}

// metricName finds names in PromQL: those of histograms end with what Prometheus adds.
var metricName = regexp.MustCompile(`\b(?:headrace|kafka|process|go)_[a-z0-9_]+\b`)

func TestOurBoardAndAlertsQueryWhatIsThere(t *testing.T) {
	w := watched(t)
	f := scrape(t, w)
	check := func(where, expr string) {
		t.Helper()
		for _, name := range metricName.FindAllString(expr, -1) {
			base := name
			for _, end := range []string{"_bucket", "_count", "_sum"} {
				if b, ok := strings.CutSuffix(name, end); ok && f[b].GetType() == dto.MetricType_HISTOGRAM {
					base = b
				}
			}
			if len(f[base].GetMetric()) == 0 {
				t.Errorf("%s: %s is not exported", where, name)
			}
		}
		if opened, closed := strings.Count(expr, "("), strings.Count(expr, ")"); expr == "" || opened != closed {
			t.Errorf("%s: %q", where, expr)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	parsed(t, "../../deploy/prometheus/alerts.yml", func(b []byte) error { return yaml.Unmarshal(b, &rules) })
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			check(r.Alert, r.Expr)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s says not how bad it is, or what to do", r.Alert)
			}
		}
	}
	var board map[string]any
	parsed(t, "../../deploy/grafana/headrace.json", func(b []byte) error { return json.Unmarshal(b, &board) })
	for expr := range exprs(board) {
		n++
		check("board", expr)
	}
	if n < 40 {
		t.Errorf("only %d queries were found", n)
	}
}

func parsed(t *testing.T, path string, parse func([]byte) error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = parse(b)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// exprs walks the queries of a board.
func exprs(v any) func(yield func(string) bool) {
	all := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, in := range v {
				if s, ok := in.(string); ok && (key == "expr" || key == "definition") {
					all[s] = true
				}
				walk(in)
			}
		case []any:
			for _, in := range v {
				walk(in)
			}
		}
	}
	walk(v)
	return maps.Keys(all)
}

func TestOpenMetricsIsSpokenToWhoAsksForIt(t *testing.T) {
	w := watched(t)
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://"+w.node.AdminAddress()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(string(b), "# EOF\n") {
		t.Errorf("%s, %d bytes, %v", resp.Header.Get("Content-Type"), len(b), err)
	}
}

func TestTheAdminListenerFollowsTheNode(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"headrace.admin.listener": "127.0.0.1:0"})
	w.start()
	get := func(path string) int {
		t.Helper()
		resp, err := http.Get("http://" + w.node.AdminAddress() + path)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if get("/readyz") != 200 || get("/livez") != 200 || get("/debug/pprof/cmdline") != 200 {
		t.Error("a node that serves is not ready")
	}
	w.stop()
	if get("/livez") != 0 {
		t.Error("a node that was stopped is alive")
	}
}

func TestANodeWithoutALogDirIsNotReady(t *testing.T) {
	var broken atomic.Bool
	disk := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && op.Kind == vfs.OpSync && strings.Contains(op.Path, "orders-") {
			return syscall.EIO
		}
		return nil
	})
	w := newWorld(t, disk, map[string]string{"headrace.admin.listener": "127.0.0.1:0"})
	w.start(kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	defer func() { _ = w.node.Close(time.Now()) }() // it cannot be clean
	w.create("orders", nil)
	w.produce("orders", "v")
	broken.Store(true)
	if err := w.client.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err == nil {
		t.Fatal("a record was acknowledged whose flush failed")
	}
	resp, err := http.Get("http://" + w.node.AdminAddress() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || !strings.Contains(string(b), "log dir") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	f := scrape(t, w)
	if f.value(t, "headrace_log_dir_online", "dir", "/data") != 0 || f.value(t, "kafka_log_logmanager_offlinelogdirectorycount") != 1 {
		t.Error("the log dir is online")
	}
}

func TestASecondNodeTakesAnotherPortOnlyWhereTheDefaultsIsTaken(t *testing.T) {
	first := newWorld(t, vfs.NewMem(), nil)
	first.start() // on the default's port, or on another where some other process has that
	defer first.stop()
	second := newWorld(t, vfs.NewMem(), nil)
	second.start()
	defer second.stop()
	if a, b := first.node.AdminAddress(), second.node.AdminAddress(); a == b || a == "" || b == "" {
		t.Errorf("%s and %s", a, b)
	}
	chosen := newWorld(t, vfs.NewMem(), map[string]string{"headrace.admin.listener": first.node.AdminAddress()})
	if err := chosen.tryStart(); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a port that was asked for and is taken: %v", err)
	}
	off := newWorld(t, vfs.NewMem(), map[string]string{"headrace.admin.listener": ""})
	off.start()
	defer off.stop()
	if at := off.node.AdminAddress(); at != "" {
		t.Errorf("it was turned off, and is at %s", at)
	}
}

// tryStart starts a node that may not start.
func (w *world) tryStart() error {
	w.t.Helper()
	static, err := conf.NewStatic(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := Start(w.ctx, Options{Config: cfg, Static: static, Env: w.env, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		_ = n.Close(time.Now())
	}
	return err
}

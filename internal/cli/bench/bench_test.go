package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// world is a cluster and the command that loads it.
type world struct {
	t       *testing.T
	cluster *kfake.Cluster
	errs    bytes.Buffer
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &world{t: t, cluster: cluster}
}

// run executes headrace bench with these arguments.
func (w *world) run(ctx context.Context, line string) (out string, err error) {
	w.t.Helper()
	var stdout bytes.Buffer
	w.errs.Reset()
	env := term.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &w.errs, Getenv: func(name string) string {
		if name == "HEADRACE_BOOTSTRAP" {
			return w.cluster.ListenAddrs()[0]
		}
		return ""
	}}
	root := &cobra.Command{Use: "headrace", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(New(target.New(env), env))
	root.SetArgs(append([]string{"bench"}, strings.Fields(line)...))
	root.SetOut(&stdout)
	err = root.ExecuteContext(ctx)
	return stdout.String(), err
}

// measure runs a load that must succeed.
func (w *world) measure(line string) Result {
	w.t.Helper()
	out, err := w.run(w.t.Context(), line+" -q -o json")
	if err != nil {
		w.t.Fatalf("bench %s: %v", line, err)
	}
	return w.result(out)
}

func (w *world) result(out string) Result {
	w.t.Helper()
	var r Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("%v in %q", err, out)
	}
	return r
}

func (w *world) admin() *kadm.Client {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// ends are the log ends of a topic's partitions.
func (w *world) ends(topic string) (ends []int64) {
	w.t.Helper()
	got, err := w.admin().ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range got.Offsets().Sorted() {
		ends = append(ends, o.At)
	}
	return ends
}

func (w *world) noTopicIsLeft() {
	w.t.Helper()
	topics, err := w.admin().ListTopics(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if names := topics.Names(); len(names) > 0 {
		w.t.Errorf("topics are left behind: %v", names)
	}
}

func TestProduceSendsAsManyAsAskedFor(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(4, "t"))
	r := w.measure("produce --topic t --records 1000 --record-size 50 --producers 3 --keys 500")
	var sum int64
	ends := w.ends("t")
	for _, end := range ends {
		if end == 0 {
			t.Errorf("keys leave a partition out: %v", ends)
		}
		sum += end
	}
	if r.Records != 1000 || sum != 1000 || r.Bytes < 51_000 || r.Bytes > 53_000 {
		t.Errorf("%d records of %d bytes measured, %d sent", r.Records, r.Bytes, sum)
	}
	if r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.P999 < r.Latency.P50 || r.Latency.Max < r.Latency.P999*0.99 {
		t.Errorf("latencies %+v", r.Latency)
	}
}

func TestALoadRemovesTheTopicThatItMade(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"produce --records 10", "latency --records 3", "consume --records 10 --record-size 20", "latency --records 20 --rate 1000"} {
		r := w.measure(line)
		if r.Records == 0 {
			t.Errorf("bench %s measured nothing", line)
		}
		w.noTopicIsLeft()
	}
}

func TestALoadKeepsTheTopicThatWasNamed(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(2, "mine"))
	w.measure("produce --topic mine --records 10")
	if ends := w.ends("mine"); ends[0]+ends[1] != 10 {
		t.Errorf("the topic holds %v", ends)
	}
}

func TestATopicThatIsNotThereIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, load := range []string{"produce", "consume", "latency"} {
		if _, err := w.run(t.Context(), load+" --topic missing"); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("bench %s: %v", load, err)
		}
	}
}

func TestAStallCountsForAllThatWasDueMeanwhile(t *testing.T) {
	const stall = 800 * time.Millisecond
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	stalled := false
	w.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if !stalled {
			stalled = true
			w.cluster.KeepControl()
			<-time.After(stall) // the cluster itself is slow, once
		}
		return nil, nil, false
	})
	// All records are due during the stall, and the client holds no more than a quarter of them: the others are sent late.
	r := w.measure("produce --topic t --rate 50000 --records 40000 --record-size 10")
	if r.Latency.P50 < 250 || r.Latency.Max < 700 {
		t.Errorf("a stall of %s shows as p50 %.0f ms, max %.0f ms", stall, r.Latency.P50, r.Latency.Max)
	}
	if r.Latency.From != "when the rate wanted it" {
		t.Errorf("latency counts from %q", r.Latency.From)
	}
}

func TestTheRateIsKept(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	r := w.measure("produce --topic t --rate 2000 --producers 4 --duration 500ms --record-size 10")
	if r.Records < 990 || r.Records > 1010 {
		t.Errorf("%d records in half a second at 2,000/s", r.Records)
	}
}

func TestTheWarmupDoesNotCount(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	r := w.measure("produce --topic t --rate 1000 --warmup 200ms --records 100 --record-size 10")
	sent := w.ends("t")[0]
	if r.Records != 100 || sent < 290 || sent > 310 {
		t.Errorf("%d of %d records counted", r.Records, sent)
	}
}

func TestConsumeReadsToTheEnd(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(5, "t"))
	w.measure("produce --topic t --records 3000 --record-size 30 --keys 100")
	for _, line := range []string{"consume --topic t", "consume --topic t --consumers 3", "consume --topic t --consumers 9 --rate 50000"} {
		if r := w.measure(line); r.Records != 3000 {
			t.Errorf("bench %s read %d records of 3000", line, r.Records)
		} else if timed := strings.Contains(line, "rate"); timed != (r.Latency != nil) {
			t.Errorf("bench %s has latencies %+v", line, r.Latency)
		}
	}
	if r := w.measure("consume --topic t --records 700 --consumers 2"); r.Records != 700 {
		t.Errorf("read %d records, not 700", r.Records)
	}
}

func TestConsumeEndsThoughTheLastRecordIsAMarker(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if r := w.measure("consume --topic t"); r.Records != 1 {
		t.Errorf("read %d records, not 1", r.Records)
	}
}

func TestLatencyIgnoresRecordsOfOthers(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	w.measure("produce --topic t --records 100 --record-size 100")
	if r := w.measure("latency --topic t --records 20"); r.Records != 20 || r.Latency.P50 <= 0 || r.Latency.P50 > 1000 {
		t.Errorf("%d records, %+v", r.Records, r.Latency)
	}
}

func TestAnInterruptedLoadTellsWhatItMeasuredAndCleansUp(t *testing.T) {
	for _, load := range []string{"produce --rate 1000", "latency", "latency --rate 1000"} {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		requests := 0
		w.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if requests++; requests == 20 {
				cancel()
			}
			return nil, nil, false
		})
		out, err := w.run(ctx, load+" -q -o json")
		if code := term.ExitCode(ctx, err); code != term.ExitInterrupted {
			t.Errorf("bench %s: exit %d, %v", load, code, err)
		}
		if r := w.result(out); !r.Interrupted || r.Records == 0 {
			t.Errorf("bench %s told %+v", load, r)
		}
		w.noTopicIsLeft()
	}
}

func TestAFileHoldsWhatCompareReads(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "t"))
	a, b := filepath.Join(t.TempDir(), "a.json"), filepath.Join(t.TempDir(), "b.json")
	w.measure("produce --topic t --records 50 --record-size 10 --file " + a)
	w.measure("produce --topic t --records 50 --record-size 20 --file " + b)
	out, err := w.run(t.Context(), "compare "+a+" "+b)
	if err != nil || !strings.Contains(out, "throughput") || !strings.Contains(out, "p99.9") || !strings.Contains(out, "different: recordSize is 10 in a and 20 in b\n") {
		t.Errorf("compare: %v\n%s", err, out)
	}
	w.measure("latency --topic t --records 2 --file " + b)
	if _, err := w.run(t.Context(), "compare "+a+" "+b); err == nil || !strings.Contains(err.Error(), "cannot be compared") {
		t.Errorf("a result of produce compares with one of latency: %v", err)
	}
	if err := os.WriteFile(b, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(t.Context(), "compare "+a+" "+b); err == nil || !strings.Contains(err.Error(), "does not hold a result") {
		t.Errorf("any JSON passes for a result: %v", err)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{
		"produce --rate -1", "produce --acks 2", "produce --compression lzma", "produce --producers 0", "produce extra", "produce --partitions 0",
		"consume --from middle", "consume --from end", "latency --record-size 8", "latency --acks 0", "compare one.json", "produce --duration -1s",
	} {
		_, err := w.run(t.Context(), line)
		if err == nil {
			t.Errorf("bench %s passes", line)
		}
	}
	w.noTopicIsLeft()
}

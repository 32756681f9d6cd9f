package kafkatools

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

// tuned is a call whose command line was read, and what it said.
func tuned(t *testing.T, options func(*call), args string) (*call, *strings.Builder) {
	t.Helper()
	var errs strings.Builder
	c := &call{ctx: t.Context(), args: strings.Fields(args), env: term.Env{Stderr: &errs}}
	options(c)
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	return c, &errs
}

// effects are the values that options give a client.
func effects(t *testing.T, opts []kgo.Opt, of map[string]any) string {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []string
	for want, option := range of {
		if got := fmt.Sprint(client.OptValue(option)); got != want {
			all = append(all, fmt.Sprintf("%s instead of %s", got, want))
		}
	}
	return strings.Join(all, ", ")
}

func TestOptionsOfTheProducerHaveTheirEffect(t *testing.T) {
	c, errs := tuned(t, (*call).producerOptions, "--topic t --message-send-max-retries 7 --retry-backoff-ms 321 --max-memory-bytes 5000000 --metadata-expiry-ms 4000 --batch-size 2000000 --timeout 12 --request-timeout-ms 1234 --request-required-acks 1")
	p := newProps()
	p.pairs([]string{"delivery.timeout.ms=55000", "linger.ms=99"})
	opts, err := c.producerSettings(p)
	if err != nil {
		t.Fatal(err)
	}
	s := &settings{p: p}
	s.common()
	bad := effects(t, append(opts, s.opts...), map[string]any{
		"7": kgo.RecordRetries, "5000000": kgo.MaxBufferedBytes, "4s": kgo.MetadataMaxAge, "12ms": kgo.ProducerLinger, "1.234s": kgo.ProduceRequestTimeout, "55s": kgo.RecordDeliveryTimeout,
	})
	if bad != "" || errs.String() != "" {
		t.Error(bad, errs.String())
	}
	client, err := kgo.NewClient(append(opts, s.opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if largest := client.OptValue(kgo.ProducerBatchMaxBytesFn).(func(string) int32)("t"); largest != 2000000 {
		t.Error(largest)
	}
	if pause := client.OptValue(kgo.RetryBackoffFn).(func(int) time.Duration)(3); pause != 321*time.Millisecond {
		t.Error(pause)
	}
}

func TestABatchSizeThatCannotBeIsTold(t *testing.T) {
	for given, want := range map[string]string{
		"--batch-size 20000": "batch.size=20000 has no effect in this tool below max.request.size=1048576",
		"--topic t":          "",
	} {
		c, errs := tuned(t, (*call).producerOptions, given)
		if _, err := c.producerSettings(newProps()); err != nil || !strings.Contains(errs.String(), want) || want == "" && errs.String() != "" {
			t.Error(given, err, errs.String())
		}
	}
}

func TestPropertiesOfTheConsumerHaveTheirEffect(t *testing.T) {
	c, _ := tuned(t, (*call).consumerOptions, "--bootstrap-server x:1 --topic t --group g --command-property session.timeout.ms=7000 --command-property fetch.min.bytes=77 --command-property max.poll.interval.ms=8000 --command-property client.rack=r --command-property auto.commit.interval.ms=900")
	r, err := c.newReading()
	if err != nil {
		t.Fatal(err)
	}
	opts, err := r.options()
	if err != nil {
		t.Fatal(err)
	}
	if bad := effects(t, opts, map[string]any{"7s": kgo.SessionTimeout, "77": kgo.FetchMinBytes, "8s": kgo.RebalanceTimeout, "r": kgo.Rack, "900ms": kgo.AutoCommitInterval}); bad != "" {
		t.Error(bad)
	}
	c, _ = tuned(t, (*call).consumerOptions, "--bootstrap-server x:1 --topic t --group g --command-property partition.assignment.strategy=my.Own")
	if r, err = c.newReading(); err != nil {
		t.Fatal(err)
	}
	if _, err = r.options(); err == nil || !strings.Contains(err.Error(), "my.Own is not there") {
		t.Error(err)
	}
}

func TestPropertiesWithoutEffectAreTold(t *testing.T) {
	c := newCluster(t)
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte("client.id=me\nbootstrap.servers=there:1\ninterceptor.classes=a\nsasl.mechanism=PLAIN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const text = " WARN These configurations have no effect in this tool: interceptor.classes, "
	for _, line := range []string{"kafka-topics --list", "kafka-get-offsets", "kafka-consumer-groups --list", "kafka-configs --describe --topic orders", "kafka-console-producer --topic orders --max-block-ms 1000", "kafka-console-consumer --topic orders --timeout-ms 10"} {
		code, _, errs := run(t, c, "", append(strings.Fields(line), "--command-config", file)...)
		want := text + "sasl.mechanism ("
		if strings.Contains(line, "max-block") {
			want = text + "max.block.ms, sasl.mechanism ("
		}
		if code != 0 || strings.Count(errs, "WARN") != 1 || !strings.Contains(errs, want) {
			t.Error(line, code, errs)
		}
	}
	if code, _, errs := run(t, c, "", "kafka-console-producer", "--topic", "orders", "--reader-property", "parse.kee=true"); code != 0 || !strings.Contains(errs, "no effect in this tool: parse.kee (") {
		t.Error(code, errs)
	}
	if code, _, errs := run(t, c, "", "kafka-console-producer", "--topic", "orders", "--command-property", "linger.ms=soon"); code != 1 || !strings.Contains(errs, "Invalid value soon for configuration linger.ms") {
		t.Error(code, errs)
	}
}

func TestIncludeTakesTheExpressionsOfJavaAndTopicsThatComeLater(t *testing.T) {
	c := newCluster(t)
	for _, topic := range []string{"orders-eu", "__hidden"} {
		if code, _, errs := run(t, c, "", "kafka-topics", "--create", "--topic", topic, "--partitions", "1"); code != 0 {
			t.Fatal(errs)
		}
		if code, _, errs := run(t, c, "in "+topic+"\n", "kafka-console-producer", "--topic", topic, "--timeout", "1"); code != 0 {
			t.Fatal(errs)
		}
	}
	for _, group := range [][]string{nil, {"--group", "g"}} {
		code, out, errs := run(t, c, "", append([]string{"kafka-console-consumer", "--include", "(?!__)orders(?=-).*", "--from-beginning", "--max-messages", "1"}, group...)...)
		if code != 0 || out != "in orders-eu\n" {
			t.Error(group, code, out, errs)
		}
	}
	if code, _, errs := run(t, c, "", "kafka-console-consumer", "--include", "["); code != 1 || !strings.Contains(errs, "PatternSyntaxException") {
		t.Error(code, errs)
	}

	out, in := io.Pipe()
	var errs strings.Builder
	ended := make(chan int)
	go func() {
		args := []string{"--bootstrap-server", c.ListenAddrs()[0], "--include", "(?!__)orders-.*|late(?!r)", "--from-beginning", "--max-messages", "2", "--command-property", "metadata.max.age.ms=1000"}
		ended <- Run(t.Context(), "kafka-console-consumer", args, term.Env{Stdin: strings.NewReader(""), Stdout: in, Stderr: &errs})
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "in orders-eu" {
		t.Fatal(lines.Text())
	}
	if code, _, errs := run(t, c, "", "kafka-topics", "--create", "--topic", "late", "--partitions", "1"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := run(t, c, "at last\n", "kafka-console-producer", "--topic", "late", "--timeout", "1"); code != 0 {
		t.Fatal(errs)
	}
	if !lines.Scan() || lines.Text() != "at last" {
		t.Error(lines.Text())
	}
	if code := <-ended; code != 0 {
		t.Error(code, errs.String())
	}
}

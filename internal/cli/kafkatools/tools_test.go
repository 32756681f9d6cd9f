package kafkatools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/headrace/headrace/internal/cli/term"
)

// run runs a tool against a cluster and returns its code and what it printed.
func run(t *testing.T, c *kfake.Cluster, stdin string, words ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	env := term.Env{Stdin: strings.NewReader(stdin), Stdout: &o, Stderr: &e, Getenv: func(string) string { return "" }}
	args := append([]string{"--bootstrap-server", strings.Join(c.ListenAddrs(), ",")}, words[1:]...)
	code = Run(t.Context(), words[0], args, env)
	return code, o.String(), e.String()
}

func newCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTopicsAreCreatedListedAndDeleted(t *testing.T) {
	c := newCluster(t)
	if code, out, _ := run(t, c, "", "kafka-topics", "--create", "--topic", "made", "--partitions", "3"); code != 0 || out != "Created topic made.\n" {
		t.Fatal(code, out)
	}
	if code, out, _ := run(t, c, "", "kafka-topics.sh", "--list"); code != 0 || out != "made\norders\n" {
		t.Fatal(code, out)
	}
	if _, out, _ := run(t, c, "", "kafka-topics", "--describe", "--topic", "made"); !strings.Contains(out, "\tPartitionCount: 3\tReplicationFactor: ") || strings.Count(out, "\tTopic: made\tPartition: ") != 3 {
		t.Fatal(out)
	}
	if code, _, _ := run(t, c, "", "kafka-topics", "--delete", "--topic", "ma.*"); code != 0 {
		t.Fatal(code)
	}
	code, out, errs := run(t, c, "", "kafka-topics", "--describe", "--topic", "made")
	if code != 1 || out != "Error while executing topic command : Topic 'made' does not exist as expected\n" || !strings.Contains(errs, "ERROR java.lang.IllegalArgumentException") {
		t.Fatal(code, out, errs)
	}
}

func TestRecordsGoInAndOut(t *testing.T) {
	c := newCluster(t)
	if code, out, errs := run(t, c, "a:1\nb:2\n", "kafka-console-producer", "--topic", "orders", "--timeout", "1", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:"); code != 0 || out != "" || errs != "" {
		t.Fatal(code, out, errs)
	}
	code, out, errs := run(t, c, "", "kafka-console-consumer", "--topic", "orders", "--from-beginning", "--max-messages", "2", "--formatter-property", "print.key=true", "--group", "g")
	if code != 0 || len(out) != len("a\t1\nb\t2\n") || errs != "Processed a total of 2 messages\n" {
		t.Fatal(code, out, errs)
	}
	if _, out, _ := run(t, c, "", "kafka-consumer-groups", "--list"); out != "g\n" {
		t.Fatal(out)
	}
	code, out, errs = run(t, c, "", "kafka-console-consumer", "--topic", "orders", "--group", "g", "--timeout-ms", "300")
	if code != 0 || out != "" || !strings.HasSuffix(errs, "TimeoutException\nProcessed a total of 0 messages\n") {
		t.Fatal("the group does not go on where it was:", code, out, errs)
	}
	if _, out, _ = run(t, c, "", "kafka-consumer-groups", "--reset-offsets", "--group", "g", "--topic", "orders", "--to-earliest", "--execute"); !strings.Contains(out, "\ng               orders          0          0\n") {
		t.Fatal(out)
	}
	if _, out, _ = run(t, c, "", "kafka-get-offsets", "--topic", "orders", "--time", "earliest"); out != "orders:0:0\norders:1:0\n" {
		t.Fatal(out)
	}
}

func TestWhatIsNotThereIsRefused(t *testing.T) {
	c := newCluster(t)
	file := filepath.Join(t.TempDir(), "client.properties")
	for properties, want := range map[string]string{
		"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\n": "sasl.mechanism=OAUTHBEARER is not there",
		"security.protocol=SASL_SSL\n":                                   "sasl.mechanism=GSSAPI is not there",
		"security.protocol=SSL\nssl.truststore.location=/x.jks\n":        "ssl.truststore.type=JKS is not there",
		"security.protocol=nonsense\n":                                   "Invalid value nonsense for configuration security.protocol",
	} {
		if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, _ := run(t, c, "", "kafka-topics", "--list", "--command-config", file); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: %d, %s", properties, code, out)
		}
	}
	if code, _, errs := run(t, c, "", "kafka-console-consumer", "--topic", "orders", "--formatter", "my.Formatter"); code != 1 || !strings.HasPrefix(errs, "my.Formatter\n") {
		t.Error(code, errs)
	}
}

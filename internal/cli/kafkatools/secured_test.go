package kafkatools

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newSecured is a cluster of three nodes that wants TLS and a login, and the file with the certificate to trust.
func newSecured(t *testing.T) (c *kfake.Cluster, ca string) {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer certified.Close()
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(9, "orders"), kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: certified.TLS.Certificates}),
		kfake.Superuser("PLAIN", "ann", `p"w`), kfake.Superuser("SCRAM-SHA-256", "bob", "secret"), kfake.Superuser("SCRAM-SHA-512", "cid", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, ca
}

func TestASecuredClusterOfThreeNodesIsReadAndWritten(t *testing.T) {
	c, ca := newSecured(t)
	file := filepath.Join(t.TempDir(), "client.properties")
	with := func(login string, more ...string) {
		t.Helper()
		text := "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location=" + filepath.ToSlash(ca) + "\n" + login + strings.Join(more, "")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const plain = "sasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"ann\" password=\"p\\\\\"w\";\n"
	const scram = "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=bob password='secret';\nsasl.mechanism=SCRAM-SHA-256\n"
	with(plain)
	if code, out, errs := run(t, c, "1\n2\n3\n", "kafka-console-producer", "--topic", "orders", "--command-config", file); code != 0 || errs != "" {
		t.Fatal(code, out, errs)
	}
	with(scram)
	for line, want := range map[string]string{
		"kafka-topics --list":                              "orders\n",
		"kafka-get-offsets --topic orders --time earliest": "orders:0:0\norders:1:0\norders:2:0\norders:3:0\norders:4:0\norders:5:0\norders:6:0\norders:7:0\norders:8:0\n",
	} {
		if code, out, errs := run(t, c, "", append(strings.Fields(line), "--command-config", file)...); code != 0 || out != want || errs != "" {
			t.Error(line, code, out, errs)
		}
	}
	with(strings.NewReplacer("bob", "cid", "256", "512").Replace(scram), "ssl.endpoint.identification.algorithm=\n")
	code, out, errs := run(t, c, "", "kafka-console-consumer", "--topic", "orders", "--from-beginning", "--max-messages", "3", "--command-config", file, "--group", "g")
	if code != 0 || len(out) != len("1\n2\n3\n") || errs != "Processed a total of 3 messages\n" {
		t.Error(code, out, errs)
	}
	code, out, errs = run(t, c, "", "kafka-consumer-groups", "--reset-offsets", "--group", "g", "--all-topics", "--to-earliest", "--execute", "--command-config", file)
	if code != 0 || !strings.Contains(out, "orders") || errs != "" {
		t.Error(code, out, errs)
	}

	with(plain)
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil, true
	})
	if code, out, errs := run(t, c, "", "kafka-topics", "--list", "--command-config", file); code != 1 || !strings.Contains(errs, "SaslAuthenticationException: ") {
		t.Error("a wrong password:", code, out, errs)
	}
	if err := os.WriteFile(file, []byte("security.protocol=SASL_SSL\n"+scram), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, c, "", "kafka-topics", "--list", "--command-config", file); code != 1 || !strings.Contains(out+errs, "certificate") {
		t.Error("a certificate that nobody trusts:", code, out, errs)
	}
}

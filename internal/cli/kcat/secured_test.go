package kcat

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestASecuredClusterOfThreeNodesIsReadAndWritten(t *testing.T) {
	certified := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer certified.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(9, "t"), kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: certified.TLS.Certificates}),
		kfake.Superuser("PLAIN", "ann", "secret"), kfake.Superuser("SCRAM-SHA-256", "bob", "secret"), kfake.Superuser("SCRAM-SHA-512", "cid", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	secured := func(stdin, mechanism, user, password, args string) (int, string, string) {
		t.Helper()
		all := []string{"-m", "1", "-b", strings.Join(c.ListenAddrs(), ","), "-X", "security.protocol=SASL_SSL", "-X", "ssl.ca.location=" + ca,
			"-X", "sasl.mechanisms=" + mechanism, "-X", "sasl.username=" + user, "-X", "sasl.password=" + password}
		return run1(t, stdin, append(all, strings.Fields(args)...)...)
	}
	if code, _, errs := secured("a:1\nb:2\nc:3\n", "PLAIN", "ann", "secret", "-P -t t -K :"); code != 0 || errs != "" {
		t.Error(code, errs)
	}
	code, out, errs := secured("", "SCRAM-SHA-256", "bob", "secret", "-C -t t -e -q -f %k%s,")
	got := strings.Split(out, ",")
	slices.Sort(got)
	if code != 0 || strings.Join(got, " ") != " a1 b2 c3" || errs != "" {
		t.Error(code, out, errs)
	}
	if code, out, errs := secured("", "SCRAM-SHA-512", "cid", "secret", "-G g -q -e -X auto.offset.reset=earliest -X ssl.endpoint.identification.algorithm=none t"); code != 0 || len(out) != len("1\n2\n3\n") || errs != "" {
		t.Error(code, out, errs)
	}
	if code, out, _ := secured("", "SCRAM-SHA-512", "cid", "secret", "-L"); code != 0 || !strings.Contains(out, " 3 brokers:\n") || strings.Count(out, "    partition ") != 9 {
		t.Error(code, out)
	}
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil, true
	})
	if code, _, errs := secured("", "PLAIN", "ann", "guess", "-L"); code != 1 || !strings.Contains(errs, "Local: Broker transport failure") || !strings.Contains(errs, "SASL_AUTHENTICATION_FAILED") {
		t.Error("a wrong password:", code, errs)
	}
	if code, _, errs := run1(t, "", "-m", "1", "-b", c.ListenAddrs()[0], "-L", "-X", "security.protocol=ssl"); code != 1 || !strings.Contains(errs, "certificate") {
		t.Error("a certificate that nobody trusts:", code, errs)
	}
}

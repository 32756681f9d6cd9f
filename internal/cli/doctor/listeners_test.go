package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// advertising is a node at an address that tells its clients another.
func advertising(t *testing.T, host string, port int32) (at string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("here"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if host != "" {
		c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp := req.ResponseKind().(*kmsg.MetadataResponse)
			id := "here"
			resp.ClusterID = &id
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port = 1, host, port
			resp.Brokers = append(resp.Brokers, b)
			return resp, nil, true
		})
	}
	return c.ListenAddrs()[0]
}

func listeners(t *testing.T, args ...string) (r report, text string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	// Every name but localhost is one that nobody knows; the network of the test has loopback alone.
	e := term.Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, _ := net.SplitHostPort(address); strings.HasSuffix(host, ".test") {
			if host != "broker.test" {
				return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Name: host, IsNotFound: true}}
			}
			address = "127.0.0.1:" + port
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Listeners(target.New(e), e))
	root.SetArgs(append([]string{"listeners"}, args...))
	code = e.Conclude(t.Context(), root.ExecuteContext(t.Context()))
	_ = json.Unmarshal(stdout.Bytes(), &r)
	return r, stdout.String() + stderr.String(), code
}

func TestAClusterThatIsReachedAsItTellsIsWell(t *testing.T) {
	_, text, code := listeners(t, "-b", advertising(t, "", 0))
	if code != term.ExitOK || !strings.Contains(text, "All is well") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func TestAnAdvertisedAddressThatDoesNotWorkIsExplained(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := int32(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	for _, c := range []struct {
		host string
		port int32
		why  string
	}{
		{"nowhere.test", 9092, "cannot be reached from this machine"},
		{"localhost", closed, "means this machine here, not the one of the node"},
	} {
		_, port, err := net.SplitHostPort(advertising(t, c.host, c.port))
		if err != nil {
			t.Fatal(err)
		}
		seed := net.JoinHostPort("broker.test", port)
		r, text, code := listeners(t, "-b", seed, "-o", "json")
		if code != term.ExitFailed || len(r.Advice) != 1 || r.Healthy {
			t.Fatalf("%s: exit code %d:\n%s", c.host, code, text)
		}
		at := net.JoinHostPort(c.host, strconv.Itoa(int(c.port)))
		for _, want := range []string{at, c.why, "advertised.listeners=PLAINTEXT://" + seed} {
			if !strings.Contains(r.Advice[0], want) {
				t.Errorf("%s: %q is missing: %s", c.host, want, r.Advice[0])
			}
		}
	}
}

// A localhost that leads to another cluster's node is no address of this one.
func TestANodeOfAnotherClusterIsNoticed(t *testing.T) {
	other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("other"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.ListenAddrs()[0])
	n, _ := strconv.Atoi(port)
	_, text, code := listeners(t, "-b", advertising(t, "localhost", int32(n)))
	if code != term.ExitFailed || !strings.Contains(text, "a node of another cluster answers (other)") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}

func TestNoNodeAtAllIsUnreachable(t *testing.T) {
	r, text, code := listeners(t, "-b", "nowhere.test:9092", "-o", "json")
	if code != term.ExitUnreachable || len(r.Steps) != 1 || r.Steps[0].OK || !strings.Contains(text, "no node answers at nowhere.test:9092") {
		t.Errorf("exit code %d: %s", code, text)
	}
}

package app

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/node/reach"
)

func TestDefaultRoutesAreReadAsLinuxWritesThem(t *testing.T) {
	got := gateways("Iface\tDestination\tGateway \tFlags\nlo\t0000007F\t00000000\t0001\neth0\t00000000\t010012AC\t0003\n")
	if len(got) != 1 || got[0] != netip.MustParseAddr("172.18.0.1") {
		t.Errorf("%v", got)
	}
}

// A client of 127.0.0.2 counts as one of another machine: this one is told to own 127.0.0.1 alone.
func TestAClientOfAnotherMachineThatIsToldLocalhostIsNamed(t *testing.T) {
	stderr := newOutput()
	elsewhere := func(env *Env) {
		env.Network = func() reach.Machine { return reach.Machine{Own: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}} }
		env.Stderr = stderr
	}
	p := startProcess(t, map[string]string{"KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:0", "KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:9092"}, elsewhere)
	p.stdout.await(t, p.ctx, "ready")
	_, port, err := net.SplitHostPort(<-p.addresses)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(from, to string) {
		t.Helper()
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		cl, err := kgo.NewClient(kgo.SeedBrokers(net.JoinHostPort(to, port)), kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if _, err := cl.SeedBrokers()[0].Request(p.ctx, kmsg.NewPtrMetadataRequest()); err != nil {
			t.Skip("no second loopback address here:", err)
		}
	}
	ask("127.0.0.1", "127.0.0.1")
	ask("127.0.0.2", "127.0.0.3")
	ask("127.0.0.2", "127.0.0.3")
	stderr.await(t, p.ctx, "advertised.listeners=PLAINTEXT://127.0.0.3:"+port)
	p.stop()
	if n := strings.Count(stderr.String(), "was told to connect"); n != 1 {
		t.Errorf("%d lines about one host:\n%s", n, stderr)
	}
}

package reach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var machine = Machine{
	Own:      []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.168.1.5/24"), netip.MustParsePrefix("172.18.0.2/16"), netip.MustParsePrefix("fe80::5/64")},
	Gateways: []netip.Addr{netip.MustParseAddr("172.18.0.1")},
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func TestWhoCannotGetToWhereItIsSentIsTold(t *testing.T) {
	own := addrs("192.168.1.5")
	for _, c := range []struct {
		what, host    string
		ips           []netip.Addr
		remote, local string
		want          string // empty: nothing is said
	}{
		{"this machine by loopback", "localhost", addrs("127.0.0.1"), "127.0.0.1:1", "127.0.0.1:9092", ""},
		{"this machine by another loopback", "127.0.0.1", addrs("127.0.0.1"), "127.0.0.2:1", "127.0.0.2:9092", ""},
		{"this machine by its address", "localhost", addrs("127.0.0.1"), "192.168.1.5:1", "192.168.1.5:9092", ""},
		{"this machine by an address of a link", "localhost", addrs("127.0.0.1"), "[fe80::5%eth0]:1", "[fe80::5%eth0]:9092", ""},
		{"another machine, told localhost", "localhost", addrs("127.0.0.1"), "192.168.1.77:1", "192.168.1.5:9092", "PLAINTEXT://192.168.1.5:9092,IN://in:1"},
		{"another machine, told 127.0.0.1", "127.0.0.1", addrs("127.0.0.1"), "10.9.9.9:1", "192.168.1.5:9092", "PLAINTEXT://192.168.1.5:9092"},
		{"another machine, told ::1", "::1", addrs("::1"), "[fd00::9]:1", "[fd00::5]:9092", "PLAINTEXT://[fd00::5]:9092"},
		{"an address of a socket that takes both", "localhost", addrs("127.0.0.1"), "[::ffff:192.168.1.77]:1", "[::ffff:192.168.1.5]:9092", "PLAINTEXT://192.168.1.5:9092"},
		{"the host of a container, through a mapped port", "localhost", addrs("127.0.0.1"), "172.18.0.1:1", "172.18.0.2:9092", ""},
		{"another container", "localhost", addrs("127.0.0.1"), "172.18.0.3:1", "172.18.0.2:9092", "PLAINTEXT://172.18.0.2:9092"},
		{"a name that the hosts file has as loopback", "myhost", addrs("127.0.1.1"), "192.168.1.77:1", "192.168.1.5:9092", ""},
		{"a name that is not known", "kafka-1", nil, "192.168.1.77:1", "192.168.1.5:9092", "PLAINTEXT://192.168.1.5:9092"},
		{"a name that is not known, this machine", "kafka-1", nil, "127.0.0.1:1", "127.0.0.1:9092", "PLAINTEXT://127.0.0.1:9092"},
		{"an old address of this machine", "192.168.1.44", addrs("192.168.1.44"), "192.168.1.77:1", "192.168.1.5:9092", "PLAINTEXT://192.168.1.5:9092"},
		{"a load balancer", "203.0.113.9", addrs("203.0.113.9"), "192.168.1.77:1", "192.168.1.5:9092", ""},
		{"as it should be", "broker.example", own, "192.168.1.77:1", "192.168.1.5:9092", ""},
	} {
		l := Listener{Name: "PLAINTEXT", Host: c.host, Port: 9092}
		g := Meeting{Listener: l, IPs: c.ips, Remote: netip.MustParseAddrPort(c.remote), Local: netip.MustParseAddrPort(c.local)}
		got := machine.Trouble(g, []Listener{l, {Name: "IN", Host: "in", Port: 1}})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		if got != "" && (!strings.Contains(got, c.host+":9092") || !strings.Contains(got, g.Remote.Addr().Unmap().String())) {
			t.Errorf("%s: the client or what it was told is missing: %s", c.what, got)
		}
	}
}

func TestAdvertisedAddressesAreLookedAtFromTheStart(t *testing.T) {
	for _, c := range []struct {
		bind, host string
		ips        []netip.Addr
		wrong      bool
	}{
		{"", "kafka-1", nil, true},
		{"", "192.168.1.5", addrs("192.168.1.5"), false},
		{"127.0.0.1", "192.168.1.5", addrs("192.168.1.5"), true},
		{"127.0.0.1", "localhost", addrs("127.0.0.1", "::1"), false},
		{"0.0.0.0", "192.168.1.5", addrs("192.168.1.5"), false},
		{"127.0.0.1", "203.0.113.9", addrs("203.0.113.9"), false}, // something forwards
	} {
		if got := machine.AtStart(Listener{Name: "PLAINTEXT", Bind: c.bind, Host: c.host, Port: 9092}, c.ips); (got != "") != c.wrong {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// counter is a log that counts its lines.
type counter struct {
	slog.Handler
	lines int
}

func (c *counter) Handle(context.Context, slog.Record) error { c.lines++; return nil }

func (c *counter) WithAttrs([]slog.Attr) slog.Handler { return c }

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func watch(log *counter) *Watch {
	return Start(Config{
		Listeners: []Listener{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}}, Machine: machine, Log: slog.New(log),
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host != "localhost" {
				return nil, errors.New("no such host")
			}
			return addrs("127.0.0.1"), nil
		},
	})
}

func TestAClientHostIsNamedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &counter{}
		w := watch(log)
		meet := func(host string) {
			w.Met(time.Now(), host, "PLAINTEXT", host+":5000", "192.168.1.5:9092")
			synctest.Wait()
		}
		for range 5 {
			meet("192.168.1.77")
		}
		meet("192.168.1.78")
		meet("127.0.0.1")
		if log.lines != 2 {
			t.Errorf("%d lines about two hosts", log.lines)
		}
		time.Sleep(again)
		meet("192.168.1.77")
		if log.lines != 3 {
			t.Errorf("%d lines after an hour", log.lines)
		}
		w.Met(time.Now(), "pipe", "PLAINTEXT", "pipe", "pipe")
		synctest.Wait()
		w.Close()
	})
}

func TestHostsAreRememberedWithinABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &counter{}
		w := watch(log)
		defer w.Close()
		meet := func(i int) {
			host := fmt.Sprintf("10.1.%d.%d", i/256, i%256)
			w.Met(time.Now(), host, "PLAINTEXT", host+":5000", "192.168.1.5:9092")
			synctest.Wait()
		}
		for i := range 2 * mostHosts {
			meet(i)
		}
		if len(w.seen) != mostHosts || log.lines != mostHosts {
			t.Errorf("%d hosts remembered, %d lines", len(w.seen), log.lines)
		}
		time.Sleep(again)
		meet(3 * mostHosts)
		if len(w.seen) != 1 {
			t.Errorf("%d hosts remembered after an hour", len(w.seen))
		}
	})
}

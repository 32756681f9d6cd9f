package app

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/node/reach"
	"github.com/headrace/headrace/internal/node/transport"
)

// watchClients looks for clients that cannot get to the addresses they are told.
func (n *Node) watchClients() {
	if n.Env.Network == nil {
		return
	}
	c := reach.Config{Machine: n.Env.Network(), Lookup: lookupHost, Log: n.Log.With("component", "listeners")}
	for i, a := range n.Config.Advertised {
		l := reach.Listener{Name: a.Name, Bind: n.Config.Listeners[i].Host, Host: a.Host, Port: uint16(a.Port)}
		if host, err := advertisedHost(a.Host); err == nil {
			l.Host = host
		}
		c.Listeners = append(c.Listeners, l)
	}
	n.watch = reach.Start(c)
}

// met notes that a client asked where the nodes are.
func (n *Node) met(c transport.Client) {
	if n.watch != nil {
		n.watch.Met(time.Now(), c.Host, c.Listener, c.Address, c.Local)
	}
}

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// network is this machine's.
func network() (m reach.Machine) {
	for _, n := range ownAddresses() {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			m.Own = append(m.Own, netip.PrefixFrom(a.Unmap(), ones))
		}
	}
	if routes, err := os.ReadFile("/proc/net/route"); err == nil { // on Linux, where containers are
		m.Gateways = gateways(string(routes))
	}
	return m
}

// gateways are those of the default routes of /proc/net/route, whose addresses are hexadecimal from the last byte to the first.
func gateways(routes string) (all []netip.Addr) {
	for line := range strings.Lines(routes) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		if b, err := hex.DecodeString(f[2]); err == nil && len(b) == 4 {
			all = append(all, netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}))
		}
	}
	return all
}

// Package reach finds out when the address that clients are told and the addresses they come from cannot meet: the most common
// trouble of a first hour, and one that looks to a client like a cluster that never answers. The composition root starts a
// Watch and the Metadata handler tells it who asks. One goroutine, owned by the Watch, looks names up and judges; the handler
// never waits for it.
package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Listener is one listener, with the address that its clients are told.
type Listener struct {
	Name string
	Bind string // the host it listens on; empty: every interface
	Host string // advertised
	Port uint16 // advertised
}

// Machine is what is known of this machine's network.
type Machine struct {
	Own      []netip.Prefix // addresses of its interfaces with their networks
	Gateways []netip.Addr   // default routes: behind them, in a container, may be the host with clients of its own
}

// here tells whether an address is one of the machine.
func (m Machine) here(a netip.Addr) bool {
	return slices.ContainsFunc(m.Own, func(p netip.Prefix) bool {
		return p.Addr() == a || a.IsLoopback() && p.Addr().IsLoopback() && p.Contains(a)
	})
}

// near tells whether an address lies in a network of the machine's.
func (m Machine) near(a netip.Addr) bool {
	return slices.ContainsFunc(m.Own, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Meeting is a client that came in at Local and was told to connect to the listener's advertised address, which has the
// addresses IPs here; none means that the name is not known.
type Meeting struct {
	Listener
	IPs           []netip.Addr
	Remote, Local netip.AddrPort
}

// Trouble tells in one line why the client cannot get to where it was sent, or is empty when it can, or when nobody can tell.
// all are the listeners of the node, for the line to set.
func (m Machine) Trouble(g Meeting, all []Listener) string {
	// Prefixes know no zones, and a zone means nothing to another machine.
	remote, local := g.Remote.Addr().Unmap().WithZone(""), g.Local.Addr().Unmap().WithZone("")
	if !remote.IsValid() || !local.IsValid() {
		return ""
	}
	elsewhere := !m.here(remote)
	told := g.Host + ":" + strconv.Itoa(int(g.Port))
	why := ""
	switch {
	case elsewhere && onlyLoopback(g.Host) && !slices.Contains(m.Gateways, remote):
		why = fmt.Sprintf("%s, which on the client's machine is the client itself", told)
	case len(g.IPs) == 0:
		why = fmt.Sprintf("%s, a name that is not known here; it must be known where the client is", told)
	case elsewhere && !slices.ContainsFunc(g.IPs, m.here) && slices.ContainsFunc(g.IPs, m.near):
		why = fmt.Sprintf("%s, which is in the network of this machine and is not its address", told)
	default:
		return ""
	}
	return fmt.Sprintf("a client at %s reached this node at %s and was told to connect to %s; unless that works there, set advertised.listeners=%s",
		remote, netip.AddrPortFrom(local, g.Local.Port()), why, suggest(g, local, all))
}

// onlyLoopback tells whether a host means the machine itself on every machine. A name that is in the hosts file as loopback may
// have another address elsewhere.
func onlyLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// suggest is the value of advertised.listeners with the address by which the client came, and the others as they are.
func suggest(g Meeting, local netip.Addr, all []Listener) string {
	var values []string
	for _, l := range all {
		if l.Name == g.Name {
			l.Host, l.Port = local.String(), g.Local.Port()
		}
		host := l.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		values = append(values, l.Name+"://"+host+":"+strconv.Itoa(int(l.Port)))
	}
	return strings.Join(values, ",")
}

// AtStart tells what is wrong with an advertised address before any client has come, or is empty. ips are its addresses here.
func (m Machine) AtStart(l Listener, ips []netip.Addr) string {
	bind, err := netip.ParseAddr(l.Bind)
	own := slices.DeleteFunc(slices.Clone(ips), func(a netip.Addr) bool { return !m.here(a) })
	switch {
	case len(ips) == 0:
		return fmt.Sprintf("clients are told to connect to %s:%d, and this machine does not know that name: set advertised.listeners to one that clients know", l.Host, l.Port)
	case err == nil && !bind.IsUnspecified() && len(own) > 0 && !slices.Contains(own, bind.Unmap()):
		return fmt.Sprintf("clients are told to connect to %s:%d, and the listener %s is open on %s alone: listen on %s or on every interface", l.Host, l.Port, l.Name, bind, own[0])
	}
	return ""
}

package conf

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Listener is one address with its name.
type Listener struct {
	Name string // upper case
	Host string // empty: every interface, or for an advertised address the machine's name
	Port int    // 0: a free one
}

// Address is host:port, as net.Listen takes it.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// String is NAME://host:port.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// chooseListeners reads the listeners and divides them into those of clients and of controllers.
func chooseListeners(r reader, n *Node) error {
	all, err := parseListeners("listeners", r.list("listeners"))
	if err != nil {
		return err
	}
	if err := checkProtocols(r, all); err != nil {
		return err
	}
	if err := divideListeners(r, n, all); err != nil {
		return err
	}
	if name := strings.ToUpper(r.text("inter.broker.listener.name")); name != "" && n.Broker && !named(n.Listeners, name) {
		return wrong("inter.broker.listener.name", "inter.broker.listener.name=%s is not one of listeners", name)
	}
	return advertise(r, n, all)
}

// divideListeners tells the listeners of clients from those of controllers. Of a node with one role all are of one kind.
func divideListeners(r reader, n *Node, all []Listener) error {
	const key = "controller.listener.names"
	controllers := upper(r.list(key))
	for _, l := range all {
		switch of := slices.Contains(controllers, l.Name); {
		case of && n.Broker && n.Controller:
			n.Controllers = append(n.Controllers, l)
			continue
		case of && !n.Controller:
			return wrong("listeners", "listeners has %s, which %s names: a node with process.roles=broker has no listener for controllers", l, key)
		case !of && !n.Broker && len(controllers) > 0:
			return wrong("listeners", "listeners has %s, which %s does not name: a node with process.roles=controller has no other listeners", l, key)
		}
		n.Listeners = append(n.Listeners, l)
	}
	switch {
	case len(n.Listeners) > 0:
		return nil
	case !n.Broker:
		return wrong("listeners", "listeners is empty: name an address at which other nodes reach this one")
	}
	return wrong("listeners", "listeners has no listener for clients: all are in controller.listener.names")
}

// advertise finds what clients are told about each of the listeners: its advertised address, else its own.
func advertise(r reader, n *Node, all []Listener) error {
	advertised, err := parseListeners("advertised.listeners", r.list("advertised.listeners"))
	if err != nil {
		return err
	}
	for _, a := range advertised {
		if a.Host == "0.0.0.0" || a.Host == "::" {
			return wrong("advertised.listeners", "advertised.listeners: clients cannot connect to %s: name an address they can reach", a.Host)
		}
		if !named(all, a.Name) {
			return wrong("advertised.listeners", "advertised.listeners names %s, which is not one of listeners", a.Name)
		}
	}
	n.Advertised, n.AdvertisedControllers = advertisedFor(n.Listeners, advertised), advertisedFor(n.Controllers, advertised)
	return nil
}

func advertisedFor(listeners, advertised []Listener) (told []Listener) {
	for _, l := range listeners {
		i := slices.IndexFunc(advertised, func(a Listener) bool { return a.Name == l.Name })
		switch {
		case i >= 0:
			told = append(told, advertised[i])
		case l.Host == "0.0.0.0" || l.Host == "::":
			told = append(told, Listener{Name: l.Name, Port: l.Port})
		default:
			told = append(told, l)
		}
	}
	return told
}

// checkProtocols refuses a listener that asks for more than plain text: it must not run without it.
func checkProtocols(r reader, all []Listener) error {
	protocols := map[string]string{}
	for _, pair := range strings.Split(r.text("listener.security.protocol.map"), ",") {
		name, protocol, ok := strings.Cut(strings.TrimSpace(pair), ":")
		protocol = strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
			return wrong("listener.security.protocol.map", "listener.security.protocol.map: %q is not NAME:PROTOCOL, such as PLAINTEXT:PLAINTEXT", pair)
		}
		protocols[strings.ToUpper(strings.TrimSpace(name))] = protocol
	}
	controllers := upper(r.list("controller.listener.names"))
	for _, l := range all {
		protocol, ok := protocols[l.Name]
		// As in Apache Kafka, a controller listener is plain text where no map is given.
		if !ok && !r.isSet("listener.security.protocol.map") && slices.Contains(controllers, l.Name) {
			continue
		}
		if !ok {
			return wrong("listener.security.protocol.map", "listener.security.protocol.map has no protocol for the listener %s", l.Name)
		}
		if protocol != "PLAINTEXT" {
			return wrong("listeners", "the listener %s has the security protocol %s, which is not there yet: only PLAINTEXT is", l.Name, protocol)
		}
	}
	return nil
}

// parseListeners reads NAME://host:port entries; no name and, but for 0, no address may come twice.
func parseListeners(key string, entries []string) ([]Listener, error) {
	var all []Listener
	for _, entry := range entries {
		name, address, ok := strings.Cut(entry, "://")
		if !ok || name == "" {
			return nil, wrong(key, "%s: %q is not NAME://host:port", key, entry)
		}
		host, port, err := splitHostPort(address)
		if err != nil {
			return nil, wrong(key, "%s: %s", key, err)
		}
		l := Listener{Name: strings.ToUpper(name), Host: host, Port: port}
		if named(all, l.Name) {
			return nil, wrong(key, "%s: the name %s comes twice", key, l.Name)
		}
		if key == "listeners" && port != 0 && slices.ContainsFunc(all, func(o Listener) bool { return o.Port == port && o.Host == host }) {
			return nil, wrong(key, "%s: the address %s comes twice", key, address)
		}
		all = append(all, l)
	}
	return all, nil
}

func splitHostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", address)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q: the port must be a number up to 65535", address)
	}
	if strings.ContainsAny(host, "/@ ") {
		return "", 0, fmt.Errorf("%q is not host:port", address)
	}
	return host, int(n), nil
}

func named(all []Listener, name string) bool {
	return slices.ContainsFunc(all, func(l Listener) bool { return l.Name == name })
}

func upper(names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strings.ToUpper(n)
	}
	return all
}

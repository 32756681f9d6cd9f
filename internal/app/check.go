package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
)

const (
	enoughFiles  = 65536   // for a node with some thousands of partitions and connections
	enoughSpace  = 1 << 30 // bytes
	lookupPeriod = 3 * time.Second
)

// configSource is what headrace config looks at.
type configSource struct{ env Env }

func (s configSource) Static(file string) (conf.Static, []conf.Problem) {
	named, err := s.env.configFile(file)
	if err != nil {
		return conf.Static{}, []conf.Problem{{Text: err.Error(), Refused: true}}
	}
	return s.env.configuration(named, nil)
}

// Machine looks at the directories, addresses and limits that a node with this configuration would meet.
func (s configSource) Machine(ctx context.Context, static conf.Static) []conf.Problem {
	n, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return nil // told with the configuration
	}
	m := machine{env: s.env, static: static}
	m.checkDirs(n)
	m.checkAddresses(ctx, n)
	if files := s.env.FileLimit(); files > 0 && files < enoughFiles {
		m.warn("", "the process may open %d files, connections included; each partition takes a few: raise the limit to %d or more (ulimit -n, LimitNOFILE of a systemd unit)", files, enoughFiles)
	}
	return m.problems
}

// machine collects what is wrong with it.
type machine struct {
	env      Env
	static   conf.Static
	problems []conf.Problem
}

func (m *machine) warn(key, format string, args ...any) {
	m.problems = append(m.problems, conf.Problem{Where: m.static.Where(key), Key: key, Text: fmt.Sprintf(format, args...)})
}

func (m *machine) refuse(key, format string, args ...any) {
	m.warn(key, format, args...)
	m.problems[len(m.problems)-1].Refused = true
}

func (m *machine) checkDirs(n conf.Node) {
	key := "log.dirs"
	if _, set := m.static.Get(key); !set {
		key = "log.dir"
	}
	for _, dir := range n.LogDirs {
		m.checkDir(key, dir)
	}
	if !slices.Contains(n.LogDirs, n.MetadataLogDir) {
		m.checkDir("metadata.log.dir", n.MetadataLogDir)
	}
}

// checkDir looks at a directory, or where it is missing at the one above in which the node will make it.
func (m *machine) checkDir(key, dir string) {
	there := dir
	for {
		info, err := m.env.FS.Stat(there)
		if err == nil && !info.IsDir() {
			m.refuse(key, "%s: %s is a file, not a directory", key, there)
			return
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(there) == there {
			m.refuse(key, "%s: %s cannot be used: %s", key, dir, err)
			return
		}
		there = filepath.Dir(there)
	}
	if err := writable(there); err != nil {
		m.refuse(key, "%s: %s cannot be written to: %s; give it to the user that the node runs as", key, there, err)
		return
	}
	if total, free, err := m.env.FS.Usage(there); err == nil && total > 0 && (free < enoughSpace || free < total/20) {
		m.warn(key, "%s: the disk of %s has only %d MiB free of %d", key, dir, free>>20, total>>20)
	}
}

func (m *machine) checkAddresses(ctx context.Context, n conf.Node) {
	ctx, cancel := context.WithTimeout(ctx, lookupPeriod)
	defer cancel()
	own := ownAddresses()
	for i, l := range n.Listeners {
		if ips, err := lookup(ctx, l.Host); err != nil {
			m.refuse("listeners", "listeners: the host of %s is not known: %s", l, reasonOf(err))
		} else if len(ips) > 0 && len(own) > 0 && !slices.ContainsFunc(ips, own.has) {
			m.refuse("listeners", "listeners: %s is not an address of this machine: listen on one that is", l)
		}
		a := n.Advertised[i]
		if a == l {
			continue
		}
		if _, err := lookup(ctx, a.Host); err != nil {
			m.warn("advertised.listeners", "advertised.listeners: the host of %s is not known here: %s; clients are told to connect to it", a, reasonOf(err))
		}
	}
}

// lookup finds the addresses of a host; there are none for the host that stands for every interface.
func lookup(ctx context.Context, host string) ([]net.IP, error) {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, nil
	}
	return net.DefaultResolver.LookupIP(ctx, "ip", host)
}

func reasonOf(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.Err
	}
	text := err.Error()
	if k := new(kerr.Error); errors.As(err, &k) {
		text = strings.TrimSuffix(text, ": "+k.Error()) // which says the same once more, in Kafka's words
	}
	return text
}

// plain is an error that people read: its text is reasonOf.
type plain struct{ error }

func (p plain) Error() string { return reasonOf(p.error) }
func (p plain) Unwrap() error { return p.error }

// addresses are those of the machine's interfaces.
type addresses []*net.IPNet

func ownAddresses() (own addresses) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			own = append(own, n)
		}
	}
	return own
}

// has tells whether an address is one of the machine; all of 127.0.0.0/8 is.
func (own addresses) has(ip net.IP) bool {
	return ip.IsLoopback() || slices.ContainsFunc(own, func(n *net.IPNet) bool { return n.IP.Equal(ip) })
}

package conf

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// defaultAdmin is where the admin listener is unless it is told otherwise: on this machine alone, at the port at which probes
// made for Redpanda look.
const defaultAdmin = "127.0.0.1:9644"

// logLevels are those that headrace.log.level knows.
var logLevels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"}

var brokerAdmin = []Def{
	{Name: "headrace.admin.listener", Kind: String, Default: defaultAdmin, Own: true, valid: rule{words: "host:port, or empty", why: checkAdmin},
		Doc: "Where /metrics, /livez, /readyz and /loglevels are served over HTTP, without a login: keep it on loopback or a network of your own. Empty for nowhere. Where the default's port is in use, another free one is taken and told."},
	{Name: "headrace.admin.pprof", Kind: String, Default: "auto", Own: true, valid: oneOf("auto", "true", "false"),
		Doc: "Whether the admin listener serves profiles at /debug/pprof/, which show memory and take processor time. auto is where the listener is on loopback."},
	{Name: "headrace.metrics.max.partitions", Kind: Int, Default: "5000", Own: true, valid: atLeast(0),
		Doc: "Partitions that have series of their own in /metrics, 16 each, and as many topics, 8 each; headrace_metrics_left_out counts those beyond."},
	{Name: "headrace.metrics.max.group.offsets", Kind: Int, Default: "10000", Own: true, valid: atLeast(0),
		Doc: "Committed offsets of groups that have series of their own in /metrics, 3 each; headrace_metrics_left_out counts the groups beyond."},
	{Name: "headrace.log.format", Kind: String, Default: "text", Own: true, valid: oneOf("text", "json"),
		Doc: "Form of the node's own log, on standard error: a line of key=value pairs, or of JSON."},
	{Name: "headrace.log.level", Kind: List, Default: "INFO", Own: true, valid: rule{words: "a level, and component=level", why: checkLevels},
		Doc: "What the node's own log tells at the start: TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF for all, and component=LEVEL for one, as in WARN,transport=DEBUG. While the node runs, /loglevels and kafka-configs --entity-type broker-loggers change it."},
}

// AdminConfig is what operators see of a node, and where.
type AdminConfig struct {
	Listener      string // host:port; empty: none
	Chosen        bool   // the configuration says where
	Profiles      bool
	MaxPartitions int
	MaxOffsets    int
	LogFormat     string            // text or json
	LogLevels     map[string]string // by component; under "" for all
}

func chooseAdmin(r reader, n *Node) error {
	n.Admin = AdminConfig{
		Listener: r.text("headrace.admin.listener"), Chosen: r.isSet("headrace.admin.listener"),
		MaxPartitions: int(r.num("headrace.metrics.max.partitions")), MaxOffsets: int(r.num("headrace.metrics.max.group.offsets")),
		LogFormat: r.text("headrace.log.format"), LogLevels: map[string]string{},
	}
	for _, l := range r.list("headrace.log.level") {
		component, level := splitLevel(l)
		n.Admin.LogLevels[component] = level
	}
	switch r.text("headrace.admin.pprof") {
	case "true":
		n.Admin.Profiles = true
	case "auto":
		n.Admin.Profiles = n.Admin.Local()
	}
	return nil
}

// Local tells whether the listener is reached from this machine alone.
func (a AdminConfig) Local() bool {
	host, _, err := net.SplitHostPort(a.Listener)
	ip := net.ParseIP(host)
	return err == nil && (strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback())
}

func checkAdmin(v value) string {
	if v.s == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(v.s)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		return fmt.Sprintf("Invalid value %s for configuration {}: want host:port, or nothing for no admin listener", v.s)
	}
	return ""
}

// splitLevel cuts component=LEVEL; without a component the level is that of all.
func splitLevel(s string) (component, level string) {
	component, level, ok := strings.Cut(s, "=")
	if !ok {
		component, level = "", s
	}
	return strings.TrimSpace(component), strings.ToUpper(strings.TrimSpace(level))
}

func checkLevels(v value) string {
	for _, s := range v.list {
		if _, level := splitLevel(s); !slices.Contains(logLevels, level) {
			return fmt.Sprintf("Invalid value %s for configuration {}: the levels are %s", s, strings.Join(logLevels, ", "))
		}
	}
	return ""
}

package conf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the variables that set broker keys, as in the container image of Apache Kafka.
const envPrefix = "KAFKA_"

// notKeys are variables of that image which set no broker key, with what becomes of them here. Those without a word are
// passed over silently.
var notKeys = map[string]string{
	"KAFKA_VERSION":              "",
	"KAFKA_HEAP_OPTS":            "Headrace runs without a JVM",
	"KAFKA_OPTS":                 "Headrace runs without a JVM",
	"KAFKA_JMX_OPTS":             "Headrace runs without a JVM",
	"KAFKA_JMX_HOSTNAME":         "Headrace runs without a JVM",
	"KAFKA_JMX_PORT":             "Headrace runs without a JVM",
	"KAFKA_JVM_PERFORMANCE_OPTS": "Headrace runs without a JVM",
	"KAFKA_GC_LOG_OPTS":          "Headrace runs without a JVM",
	"KAFKA_LOG4J_OPTS":           "Headrace does not log by Log4j",
	"KAFKA_LOG4J_ROOT_LOGLEVEL":  "Headrace does not log by Log4j",
	"KAFKA_LOG4J_LOGGERS":        "Headrace does not log by Log4j",
	"KAFKA_TOOLS_LOG4J_LOGLEVEL": "Headrace does not log by Log4j",
}

// Variable is the environment variable that sets a broker key: KAFKA_ and the key in capitals, with _ for a point, __ for an
// underscore and ___ for a dash.
func Variable(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "_", "__", "-", "___").Replace(key))
}

// keyOf is the key that a variable sets, read as Apache Kafka's image reads it.
func keyOf(variable string) string {
	key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, envPrefix)), "_", ".")
	return strings.ReplaceAll(strings.ReplaceAll(key, "...", "-"), "..", "_")
}

// SetsKeys tells whether the environment (lines of NAME=value) has a variable that sets a broker key.
func SetsKeys(environ []string) bool {
	return slices.ContainsFunc(variables(environ), func(v variable) bool {
		_, ok := Lookup(ScopeBroker, v.key)
		return ok
	})
}

// variable is one variable that sets a key, or means to.
type variable struct{ name, key, text string }

// links are the variables that Kubernetes and Docker put into a container for a service named kafka.
var links = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT|SERVICE_PORT_\w+|PORT_[0-9]+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$`)

// variables are those of the environment that begin as keys do, sorted by name, without what a service named kafka leaves.
func variables(environ []string) []variable {
	var found []variable
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		link := links.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(text, "://")
		if strings.HasPrefix(name, envPrefix) && name != envPrefix && !link {
			found = append(found, variable{name, keyOf(name), text})
		}
	}
	slices.SortFunc(found, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return found
}

// WithEnvironment is s with what the environment (lines of NAME=value) sets, which wins over what s has, and all there is to
// tell of it. Unlike in a file, an unknown key is only warned of: the environment is shared with other programs.
func (s Static) WithEnvironment(environ []string) (Static, []Problem) {
	next := s.clone()
	var problems []Problem
	tell := func(p Problem) {
		problems = append(problems, p)
		if !p.Refused && !slices.Contains(next.warnings, p) {
			next.warnings = append(next.warnings, p)
		}
	}
	next.clusterID = clusterID(environ)
	for _, v := range variables(environ) {
		if v.name == "KAFKA_CLUSTER_ID" {
			continue
		}
		where := "environment " + v.name
		switch why, passed := v.passedOver(); {
		case passed && why != "":
			tell(Problem{Where: where, Key: v.key, Text: why})
		case !passed:
			if p, told := next.set(where, v.key, v.text); told {
				tell(p)
			}
		}
	}
	if p, derived := next.listenAsAdvertised(); derived {
		tell(p)
	}
	return next, problems
}

// clusterID takes the image's CLUSTER_ID, or the same by the rule of keys.
func clusterID(environ []string) (id string) {
	for _, name := range []string{"KAFKA_CLUSTER_ID", "CLUSTER_ID"} {
		for _, e := range environ {
			if text, ok := strings.CutPrefix(e, name+"="); ok && text != "" {
				id = text
			}
		}
	}
	return id
}

// passedOver tells of a variable that sets no key, and why; without a word it is of no interest to anybody.
func (v variable) passedOver() (why string, passed bool) {
	if why, ok := notKeys[v.name]; ok {
		if why != "" {
			why = "it has no effect: " + why
		}
		return why, true
	}
	if _, ok := Lookup(ScopeBroker, v.key); ok {
		return "", false
	}
	if l, ok := legacyOf(v.key); ok {
		if l.refused && strings.TrimSpace(v.text) == "" {
			return v.key + " is empty and has no effect", true
		}
		return fmt.Sprintf("%s has no effect: %s", v.key, l.why), l.removed
	}
	if key, ok := strings.CutPrefix(v.key, "cfg."); ok {
		return fmt.Sprintf("it has no effect: name it %s", Variable(key)), true
	}
	if hint := otherScope(ScopeBroker, v.key); hint != "" {
		return "it has no effect: " + hint, true
	}
	return fmt.Sprintf("it has no effect: there is no key %q; did you mean %s?", v.key, Variable(Nearest(ScopeBroker, v.key))), true
}

// listenAsAdvertised does what Apache Kafka's image does for an environment that advertises addresses and tells of none to
// listen on: their ports, on every interface.
func (s *Static) listenAsAdvertised() (Problem, bool) {
	g, ok := s.values["advertised.listeners"]
	if _, told := s.values["listeners"]; told || !ok || !strings.HasPrefix(g.where, "environment ") {
		return Problem{}, false
	}
	d, _ := Lookup(ScopeBroker, "advertised.listeners")
	v, err := parse(d, g.text)
	if err != nil {
		return Problem{}, false
	}
	advertised, err := parseListeners("advertised.listeners", v.list)
	if err != nil {
		return Problem{}, false // NewNode tells
	}
	var all []string
	for _, l := range advertised {
		l.Host = "0.0.0.0"
		all = append(all, l.String())
	}
	text := strings.Join(all, ",")
	s.values["listeners"] = given{text, g.where}
	return Problem{Where: g.where, Key: "listeners", Text: "listeners is not set: listening on " + text}, true
}

package target

import (
	"slices"
	"strconv"
	"strings"

	"github.com/headrace/headrace/internal/cli/term"
)

// setting is one thing that says where the cluster is or how to get in. It has one name as a flag and as a key of a context.
type setting struct {
	name, letter, env string
	doc               string
	isSwitch, secret  bool
	standard          string // when nobody says anything
}

const (
	bootstrapEnv = "HEADRACE_BOOTSTRAP"
	contextEnv   = "HEADRACE_CONTEXT"
)

var settings = []setting{
	{name: "bootstrap", letter: "b", env: bootstrapEnv, standard: DefaultBootstrap, doc: "addresses of nodes to ask first, host:port separated by commas"},
	{name: "tls", env: "HEADRACE_TLS", isSwitch: true, doc: "encrypt connections"},
	{name: "tls-ca", env: "HEADRACE_TLS_CA", doc: "file with the certificates to trust (default: the system's)"},
	{name: "tls-cert", env: "HEADRACE_TLS_CERT", doc: "file with the certificate to show"},
	{name: "tls-key", env: "HEADRACE_TLS_KEY", doc: "file with the key of --tls-cert"},
	{name: "tls-server-name", env: "HEADRACE_TLS_SERVER_NAME", doc: "name that certificates of nodes must bear (default: the host's)"},
	{name: "tls-insecure", env: "HEADRACE_TLS_INSECURE", isSwitch: true, doc: "trust any certificate"},
	{name: "sasl", env: "HEADRACE_SASL", doc: "log in by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
	{name: "user", env: "HEADRACE_USER", doc: "user to log in as"},
	{name: "password", env: "HEADRACE_PASSWORD", secret: true, doc: "password of the user; others see it on the command line, so prefer the environment or a context"},
}

func (s setting) help() string {
	text := s.doc + "; environment " + s.env
	if s.standard != "" {
		text += " (default " + s.standard + ")"
	}
	return text
}

// Value is what one setting has, and where that comes from.
type Value struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Shown is the value as it may be printed.
func (v Value) Shown() string {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == v.Name })
	if settings[i].secret && v.Value != "" {
		return "********"
	}
	return v.Value
}

// Resolve finds the value of every setting: by flag, environment, context, default, the first that is there. context is the name of
// the one that counts, or empty.
//
// An address by flag or environment sets the current context aside, so that its password never goes to a place that the context
// does not name. A context that is named by --context or HEADRACE_CONTEXT counts nevertheless.
func (t *Target) Resolve() (values []Value, context string, err error) {
	for _, s := range settings {
		v := Value{Name: s.name, Value: s.standard, Source: "default"}
		if text := t.env.Getenv(s.env); text != "" {
			v.Value, v.Source = text, "environment "+s.env
		}
		if text := t.flags[s.name]; text != nil && *text != "" {
			v.Value, v.Source = *text, "flag --"+s.name
		}
		values = append(values, v)
	}
	context = t.context
	if context == "" {
		context = t.env.Getenv(contextEnv)
	}
	if context == "" && values[0].Source != "default" {
		return values, "", nil
	}
	contexts, err := t.LoadContexts()
	if err != nil {
		return nil, "", err
	}
	if context == "" {
		context = contexts.Current
	}
	if context == "" {
		return values, "", nil
	}
	named, err := contexts.Get(context)
	if err != nil {
		return nil, "", err
	}
	for i, v := range values {
		if text := named[v.Name]; text != "" && v.Source == "default" {
			values[i].Value, values[i].Source = text, "context "+context
		}
	}
	return values, context, nil
}

// clusterOf makes a cluster of values, and refuses those that contradict each other.
func clusterOf(values []Value) (Cluster, error) {
	get := func(name string) string {
		i := slices.IndexFunc(values, func(v Value) bool { return v.Name == name })
		return values[i].Value
	}
	c := Cluster{
		Bootstrap: get("bootstrap"),
		TLS:       TLS{CA: get("tls-ca"), Cert: get("tls-cert"), Key: get("tls-key"), ServerName: get("tls-server-name")},
		SASL:      SASL{Mechanism: strings.ToUpper(get("sasl")), User: get("user"), Password: get("password")},
	}
	var err error
	if c.TLS.Enabled, err = onOff("tls", get("tls")); err != nil {
		return c, err
	}
	if c.TLS.Insecure, err = onOff("tls-insecure", get("tls-insecure")); err != nil {
		return c, err
	}
	c.TLS.Enabled = c.TLS.Enabled || c.TLS.CA != "" || c.TLS.Cert != "" || c.TLS.Key != "" || c.TLS.ServerName != "" || c.TLS.Insecure
	switch {
	case c.SASL.Mechanism != "" && !slices.Contains(mechanisms, c.SASL.Mechanism):
		return c, term.Usage("sasl: %q is none of %s", get("sasl"), strings.Join(mechanisms, ", "))
	case c.SASL.Mechanism != "" && c.SASL.User == "":
		return c, term.Usage("sasl: the user is missing: give --user or HEADRACE_USER")
	case c.SASL.Mechanism == "" && c.SASL.User != "":
		return c, term.Usage("user: the way to log in is missing: give --sasl %s", strings.Join(mechanisms, ", "))
	}
	_, err = c.seeds()
	return c, err
}

func onOff(name, text string) (bool, error) {
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, term.Usage("%s: %q is neither true nor false", name, text)
	}
	return on, nil
}

// Package configs is the commands that read and change the configs of a running cluster: of topics, nodes, the cluster and groups.
// The root of the command line puts them into headrace config; the goroutines are those of the client.
package configs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// New makes the commands get, set, delete and describe.
func New(at *target.Target, env term.Env) []*cobra.Command {
	c := &commands{at, env}
	all := []*cobra.Command{c.get(), c.describe(), c.set(), c.delete()}
	for _, cmd := range all {
		at.Flags(cmd)
		cmd.ValidArgsFunction = c.complete(cmd.Name() == "set")
	}
	return all
}

type commands struct {
	at  *target.Target
	env term.Env
}

const resourceHelp = "RESOURCE is topic/NAME, node/ID, cluster (what all nodes have unless they differ) or group/NAME."

// resource is what has configs.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
	text string // as it was typed
}

func parseResource(text string) (resource, error) {
	kind, name, _ := strings.Cut(text, "/")
	r := resource{name: name, text: text}
	switch kind {
	case "topic":
		r.kind = kmsg.ConfigResourceTypeTopic
	case "node", "broker":
		r.kind = kmsg.ConfigResourceTypeBroker
	case "group":
		r.kind = kmsg.ConfigResourceTypeGroupConfig
	case "cluster":
		r.kind = kmsg.ConfigResourceTypeBroker
		if name != "" {
			return r, term.Usage("%q: the cluster has no name", text)
		}
		return r, nil
	default:
		return r, term.Usage("%q is none of topic/NAME, node/ID, cluster, group/NAME", text)
	}
	if name == "" {
		return r, term.Usage("%q has no name: it is %s/NAME", text, kind)
	}
	return r, nil
}

// scope is where the registry of keys has those of the resource.
func (r resource) scope() conf.Scope {
	if r.kind == kmsg.ConfigResourceTypeBroker {
		return conf.ScopeBroker
	}
	if r.kind == kmsg.ConfigResourceTypeGroupConfig {
		return conf.ScopeGroup
	}
	return conf.ScopeTopic
}

// refusal says what could not be done to the configs of a resource, with the nearest key where one is not known.
func (r resource) refusal(verb string, err error, message string) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return target.Refused(err, "cannot %s the configs of %s: it does not exist (headrace topic list shows those that do)", verb, r.text)
	case errors.Is(err, kerr.BrokerNotAvailable):
		return target.Refused(err, "cannot %s the configs of %s: there is no such node (headrace cluster nodes shows those there are)", verb, r.text)
	}
	text := target.Explain(err, message).Error()
	if _, name, ok := strings.Cut(text, " config name: "); ok && errors.Is(err, kerr.InvalidConfig) {
		text += fmt.Sprintf(": did you mean %s?", conf.Nearest(r.scope(), strings.TrimSuffix(name, ".")))
	}
	return target.Refused(err, "cannot %s the configs of %s: %s", verb, r.text, text)
}

// read asks for the configs of a resource: those named, or all.
func read(ctx context.Context, client *kgo.Client, r resource, keys []string) ([]entry, error) {
	// Kafka answers a describe of a topic that is missing with the topic's own error, and of a node that is missing with a timeout.
	if r.kind == kmsg.ConfigResourceTypeBroker && r.name != "" {
		if err := hasNode(ctx, client, r); err != nil {
			return nil, err
		}
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = r.kind, r.name
	one.ConfigNames = keys
	req.Resources = append(req.Resources, one)
	var entries []entry
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, answer := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
				message := ""
				if answer.ErrorMessage != nil {
					message = *answer.ErrorMessage
				}
				return nil, r.refusal("read", err, message)
			}
			for _, c := range answer.Configs {
				entries = append(entries, r.entryOf(c))
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Key, b.Key) })
	for _, key := range keys {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.Key == key }) {
			return nil, fmt.Errorf("%s has no config %s%s", r.text, key, nearest(r, key))
		}
	}
	return entries, nil
}

func nearest(r resource, key string) string {
	if near := conf.Nearest(r.scope(), key); near != "" && near != key {
		return ": did you mean " + near + "?"
	}
	return ""
}

func hasNode(ctx context.Context, client *kgo.Client, r resource) error {
	nodes, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		return err
	}
	for _, id := range nodes.NodeIDs() {
		if fmt.Sprint(id) == r.name {
			return nil
		}
	}
	return r.refusal("read", kerr.BrokerNotAvailable, "")
}

// entry is one config as the commands tell it.
type entry struct {
	Key       string  `json:"key"`
	Value     *string `json:"value"` // null: not set, or hidden
	Source    string  `json:"source"`
	Default   *string `json:"default"` // null: none, or not told
	ReadOnly  bool    `json:"readOnly"`
	Sensitive bool    `json:"sensitive"`
	Doc       string  `json:"doc,omitempty"`
}

func (r resource) entryOf(c kmsg.DescribeConfigsResponseResourceConfig) entry {
	e := entry{Key: c.Name, Value: c.Value, Source: sourceName(c.Source), ReadOnly: c.ReadOnly, Sensitive: c.IsSensitive}
	if c.Documentation != nil {
		e.Doc = *c.Documentation
	}
	if c.Source == kmsg.ConfigSourceDefaultConfig {
		e.Default = c.Value
	}
	for _, s := range c.ConfigSynonyms {
		if s.Source == kmsg.ConfigSourceDefaultConfig {
			e.Default = synonymValue(c.Name, s)
		}
	}
	// Where the unit of the broker's key is another, a set value hides the default from the answer.
	if d, known := conf.Lookup(r.scope(), c.Name); known && e.Default == nil && !d.Null {
		e.Default = &d.Default
	}
	return e
}

// synonymValue is the value of another key that stands for one, with its name where its unit is another: retention.ms has its
// default from log.retention.hours.
func synonymValue(key string, s kmsg.DescribeConfigsResponseResourceConfigConfigSynonym) *string {
	unit := func(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
	if s.Value == nil || unit(key) == unit(s.Name) {
		return s.Value
	}
	text := s.Name + "=" + *s.Value
	return &text
}

// sourceName is where a value was set, in a word.
func sourceName(s kmsg.ConfigSource) string {
	switch s {
	case kmsg.ConfigSourceDynamicTopicConfig:
		return "topic"
	case kmsg.ConfigSourceDynamicBrokerConfig:
		return "node"
	case kmsg.ConfigSourceDynamicDefaultBrokerConfig:
		return "cluster"
	case kmsg.ConfigSourceStaticBrokerConfig:
		return "file"
	case kmsg.ConfigSourceDefaultConfig:
		return "default"
	case kmsg.ConfigSourceDynamicBrokerLoggerConfig:
		return "logger"
	case kmsg.ConfigSourceGroupConfig:
		return "group"
	}
	return strings.ToLower(s.String())
}

// shown is a value as a table has it.
func (e entry) shown() string {
	switch {
	case e.Sensitive:
		return "(hidden)"
	case e.Value == nil:
		return "-"
	}
	return *e.Value
}

package nodeconf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// explanation is all there is to say of one key.
type explanation struct {
	Key      string  `json:"key"`
	Scope    string  `json:"scope"` // node, topic or group
	Effect   string  `json:"effect"`
	Meaning  string  `json:"meaning"`
	Type     string  `json:"type,omitempty"`
	Values   string  `json:"values,omitempty"`
	Default  *string `json:"default"`
	Update   string  `json:"update,omitempty"`
	Value    *string `json:"value"`
	Source   string  `json:"source,omitempty"`
	Variable string  `json:"variable,omitempty"`
	NodeKeys string  `json:"node_keys,omitempty"` // those that give a topic key its default
}

// What a key does: the values of Effect.
const (
	effective = "in use"
	inert     = "no effect"
	refused   = "refused"
)

// current is where the values come from: a configuration, or a live node.
type current struct {
	value  map[string]*string
	source map[string]string
}

// Explain is headrace config explain.
func Explain(t *target.Target, e term.Env, source Source) *cobra.Command {
	var file string
	var all bool
	var node int32
	cmd := &cobra.Command{
		Use:   "explain KEY... | --all",
		Short: "Tell what a key means, its default and range, its value and where that comes from",
		Long: "Tells what a key of the node or of topics does, its type, default and range, whether it can change while the node runs, the value in\n" +
			"force and where that comes from: a line of the file, a variable, the default. With --bootstrap, the value that a running node has.",
		Example: "  headrace config explain log.retention.ms --config server.properties\n  headrace config explain --all -b 127.0.0.1:9092",
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name keys, or --all")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return keyNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	t.Flags(cmd)
	form := term.OutputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "the file; environment HEADRACE_CONFIG")
	f.BoolVar(&all, "all", false, "every key that does something")
	f.Int32Var(&node, "node", -1, "with --bootstrap, the number of the node to ask (default: any)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var now current
		if cmd.Flags().Changed("bootstrap") {
			var err error
			if now, err = ask(cmd.Context(), t, node); err != nil {
				return err
			}
		} else {
			static, problems := source.Static(file)
			if err := distrust(e, problems, file != ""); err != nil {
				return err
			}
			now = configured(static)
		}
		if all {
			every := now.every()
			return e.Print(*form, every, term.Table(every, term.Col("key", func(x explanation) any { return x.Key }),
				term.Col("value", func(x explanation) any { return shown(x.Value) }), term.Col("source", func(x explanation) any { return x.Source }),
				term.Col("update", func(x explanation) any { return x.Update })))
		}
		return now.explain(e, *form, args)
	}
	return cmd
}

// distrust tells what of a configuration does not count in the values that are explained. A file that was named and cannot be
// read is an error: the values would be those of no node.
func distrust(e term.Env, problems []conf.Problem, named bool) error {
	for _, p := range problems {
		switch {
		case p.Refused && p.Key == "" && named:
			return p
		case p.Refused:
			e.Warn("%s", p)
		}
	}
	return nil
}

func keyNames() (names []string) {
	for _, d := range slices.Concat(conf.Broker(), conf.Topic(), conf.GroupKeys()) {
		if !d.Internal {
			names = append(names, d.Name)
		}
	}
	return names
}

func (c current) explain(e term.Env, form term.Form, names []string) error {
	var found []explanation
	var unknown []error
	for _, name := range names {
		x, ok := c.of(name)
		if !ok {
			near := conf.Nearest(conf.ScopeBroker, name)
			unknown = append(unknown, fmt.Errorf("there is no key %q: did you mean %q?", name, near))
			continue
		}
		found = append(found, x...)
	}
	if len(found) > 0 {
		if err := e.Print(form, found, texts(found)); err != nil {
			return err
		}
	}
	return errors.Join(unknown...)
}

// of explains the keys of that name: some are keys of the node and of topics.
func (c current) of(name string) (found []explanation, ok bool) {
	if d, ok := conf.Lookup(conf.ScopeBroker, name); ok {
		found = append(found, c.node(d))
	}
	if d, ok := conf.Lookup(conf.ScopeTopic, name); ok {
		found = append(found, c.below(d, "topic"))
	}
	if d, ok := conf.Lookup(conf.ScopeGroup, name); ok {
		found = append(found, c.below(d, "group"))
	}
	if why, no, ok := conf.Legacy(name); ok && len(found) == 0 {
		x := explanation{Key: name, Scope: "node", Effect: inert, Meaning: why}
		if no {
			x.Effect = refused
		}
		found = append(found, x)
	}
	return found, len(found) > 0
}

func (c current) every() (all []explanation) {
	for _, d := range conf.Broker() {
		all = append(all, c.node(d))
	}
	return all
}

func (c current) node(d conf.Def) explanation {
	x := describe(d, "node")
	x.Update, x.Variable = d.Update.String(), conf.Variable(d.Name)
	x.Value, x.Source = c.value[d.Name], c.source[d.Name]
	return x
}

// below explains a key of topics or groups, whose default is a key of the node.
func (c current) below(d conf.Def, scope string) explanation {
	x := describe(d, scope)
	x.Update = "any time, " + scope + " by " + scope
	var keys []string
	for _, s := range d.Synonyms {
		keys = append(keys, s.Name)
	}
	x.NodeKeys = strings.Join(keys, ", ")
	return x
}

func describe(d conf.Def, scope string) explanation {
	x := explanation{Key: d.Name, Scope: scope, Effect: effective, Meaning: d.Doc, Type: strings.ToLower(d.Kind.String()), Values: d.Values()}
	if !d.Null {
		x.Default = &d.Default
	}
	return x
}

// configured are the values of a node that is not running.
func configured(static conf.Static) current {
	c := current{map[string]*string{}, map[string]string{}}
	for _, entry := range conf.Describe(conf.ScopeBroker, "-", nil, conf.Layers{Static: static}, conf.Include{}) {
		c.value[entry.Name] = entry.Value
		c.source[entry.Name] = "default"
		if where := static.Where(entry.Name); where != "" {
			c.source[entry.Name] = where
		}
	}
	return c
}

// sources are the words for what DescribeConfigs calls the source of a value.
var sources = map[string]string{
	"DYNAMIC_BROKER_CONFIG":         "set for this node while it ran",
	"DYNAMIC_DEFAULT_BROKER_CONFIG": "set for all nodes while they ran",
	"STATIC_BROKER_CONFIG":          "the node's file or environment",
	"DEFAULT_CONFIG":                "default",
}

// ask takes the values from a running node.
func ask(ctx context.Context, t *target.Target, node int32) (current, error) {
	c := current{map[string]*string{}, map[string]string{}}
	err := t.Admin(ctx, func(ctx context.Context, a *kadm.Client) error {
		if node < 0 {
			nodes, err := a.ListBrokers(ctx)
			if err != nil || len(nodes) == 0 {
				return errors.Join(errors.New("the cluster names no node"), err)
			}
			node = nodes.NodeIDs()[0]
		}
		described, err := a.DescribeBrokerConfigs(ctx, node)
		if err != nil {
			return err
		}
		for _, d := range described {
			if d.Err != nil {
				return fmt.Errorf("describe node %d: %w", node, target.Explain(d.Err, d.ErrMessage))
			}
			for _, k := range d.Configs {
				c.value[k.Key], c.source[k.Key] = k.Value, sources[k.Source.String()]
			}
		}
		return nil
	})
	return c, err
}

func shown(v *string) string {
	switch {
	case v == nil:
		return "(none)"
	case *v == "":
		return "(empty)"
	}
	return *v
}

func texts(all []explanation) func(io.Writer) error {
	return func(w io.Writer) error {
		var b strings.Builder
		for i, x := range all {
			if i > 0 {
				b.WriteString("\n")
			}
			x.write(&b)
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}

func (x explanation) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s  (key of the %s)\n  %s\n", x.Key, x.Scope, x.Meaning)
	row := func(head, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-9s %s\n", head, text)
		}
	}
	if x.Effect != effective {
		row("effect", map[string]string{inert: "none: accepted with a warning", refused: "a node refuses to start with it"}[x.Effect])
		return
	}
	row("type", x.Type)
	row("values", x.Values)
	row("default", shown(x.Default))
	row("changes", map[string]string{"read-only": "with a restart", "per-broker": "while the node runs, for one node", "cluster-wide": "while the node runs, for one node or for all"}[x.Update])
	if x.Scope == "node" {
		row("value", fmt.Sprintf("%s  (%s)", shown(x.Value), x.Source))
		row("variable", x.Variable)
		return
	}
	row("changes", x.Update)
	row("node key", x.NodeKeys)
}

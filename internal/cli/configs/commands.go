package configs

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/term"
)

// resourceAnd wants a resource and at least some of what is named.
func resourceAnd(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("RESOURCE is missing: topic/NAME, node/ID, cluster or group/NAME")
		case len(args) == 1 && what != "":
			return fmt.Errorf("%s is missing", what)
		}
		return nil
	}
}

func (c *commands) get() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "get RESOURCE KEY...", Short: "Print values of a running cluster, for scripts",
		Long:    "Prints the value of a key alone, or KEY=VALUE for several. " + resourceHelp,
		Example: "  headrace config get topic/orders retention.ms",
		Args:    resourceAnd("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd, args[0], func(ctx context.Context, client *kgo.Client, r resource) error {
				entries, err := read(ctx, client, r, args[1:])
				if err != nil {
					return err
				}
				values := map[string]*string{}
				for _, e := range entries {
					values[e.Key] = e.Value
				}
				return c.env.Print(*form, values, func(w io.Writer) error {
					for _, e := range entries {
						line := e.shown()
						if len(entries) > 1 {
							line = e.Key + "=" + line
						}
						fmt.Fprintln(w, line)
					}
					return nil
				})
			})
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func (c *commands) describe() *cobra.Command {
	var form *term.Form
	var changed bool
	cmd := &cobra.Command{
		Use: "describe RESOURCE [KEY...]", Short: "Show keys of a running cluster with value, source, default and meaning",
		Long: "Shows the keys of a resource: their values, where each was set (topic, node, cluster, group, file, default), and their defaults. Keys that\n" +
			"are named are shown with what they mean. " + resourceHelp,
		Example: "  headrace config describe topic/orders\n  headrace config describe node/1 log.retention.ms",
		Args:    resourceAnd(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys := args[1:]
			if len(keys) == 0 {
				keys = nil // all
			}
			return c.with(cmd, args[0], func(ctx context.Context, client *kgo.Client, r resource) error {
				entries, err := read(ctx, client, r, keys)
				if err != nil {
					return err
				}
				if changed {
					entries = slices.DeleteFunc(entries, func(e entry) bool { return e.Source == "default" })
				}
				return c.env.Print(*form, append([]entry{}, entries...), func(w io.Writer) error {
					if len(keys) > 0 {
						return explain(w, entries)
					}
					return table(entries)(w)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&changed, "changed", false, "only keys that differ from their defaults by being set")
	form = term.OutputFlag(cmd)
	return cmd
}

func table(entries []entry) func(io.Writer) error {
	return term.Table(entries,
		term.Col("key", func(e entry) any { return e.Key }),
		term.Col("value", func(e entry) any { return e.shown() }),
		term.Col("source", func(e entry) any { return e.Source }),
		term.Col("default", func(e entry) any { return e.standard() }))
}

func (e entry) standard() string {
	if e.Default == nil {
		return "-"
	}
	return *e.Default
}

// explain prints keys one below the other, with what they mean.
func explain(w io.Writer, entries []entry) error {
	for i, e := range entries {
		if i > 0 {
			fmt.Fprintln(w)
		}
		access := ""
		if e.ReadOnly {
			access = ", cannot change while the node runs"
		}
		fmt.Fprintf(w, "%s = %s\n  from %s, default %s%s\n", e.Key, e.shown(), e.Source, e.standard(), access)
		if e.Doc != "" {
			fmt.Fprintf(w, "  %s\n", e.Doc)
		}
	}
	return nil
}

// change is one key that is set or taken back.
type change struct {
	Key   string  `json:"key"`
	Op    string  `json:"op"`
	Value *string `json:"value"`
	Old   *string `json:"old"`

	op kmsg.IncrementalAlterConfigOp
}

func (c *commands) set() *cobra.Command {
	return c.changing(&cobra.Command{
		Use: "set RESOURCE KEY=VALUE...", Short: "Set keys of a running cluster",
		Long:    "Sets keys. KEY+=VALUE adds to a list, KEY-=VALUE takes out of one. " + resourceHelp,
		Example: "  headrace config set topic/orders retention.ms=3600000 --dry-run\n  headrace config set cluster log.retention.ms=86400000",
		Args:    resourceAnd("KEY=VALUE"),
	}, parseSet)
}

func (c *commands) delete() *cobra.Command {
	return c.changing(&cobra.Command{
		Use: "delete RESOURCE KEY...", Short: "Give keys of a running cluster their defaults again",
		Long:    "Takes back what was set for a resource, so that the next setting or the default counts. " + resourceHelp,
		Example: "  headrace config delete topic/orders retention.ms",
		Args:    resourceAnd("KEY"),
	}, func(key string) (change, error) {
		if strings.Contains(key, "=") {
			return change{}, term.Usage("%q: a key alone is deleted, without a value", key)
		}
		return change{Key: key, Op: "delete", op: kmsg.IncrementalAlterConfigOpDelete}, nil
	})
}

func parseSet(text string) (change, error) {
	key, value, ok := strings.Cut(text, "=")
	ch := change{Key: key, Op: "set", Value: &value, op: kmsg.IncrementalAlterConfigOpSet}
	if add, yes := strings.CutSuffix(key, "+"); yes {
		ch.Key, ch.Op, ch.op = add, "append", kmsg.IncrementalAlterConfigOpAppend
	}
	if sub, yes := strings.CutSuffix(key, "-"); yes {
		ch.Key, ch.Op, ch.op = sub, "subtract", kmsg.IncrementalAlterConfigOpSubtract
	}
	if !ok || ch.Key == "" {
		return ch, term.Usage("%q is not KEY=VALUE", text)
	}
	return ch, nil
}

// changing completes a command that changes keys.
func (c *commands) changing(cmd *cobra.Command, parse func(string) (change, error)) *cobra.Command {
	var dryRun bool
	var form *term.Form
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var changes []change
		for _, text := range args[1:] {
			ch, err := parse(text)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(changes, func(other change) bool { return other.Key == ch.Key }) {
				return term.Usage("%s is given twice", ch.Key)
			}
			changes = append(changes, ch)
		}
		return c.with(cmd, args[0], func(ctx context.Context, client *kgo.Client, r resource) error {
			after, err := alter(ctx, client, r, changes, dryRun)
			if err != nil {
				return err
			}
			answer := struct {
				Resource string   `json:"resource"`
				DryRun   bool     `json:"dryRun"`
				Changes  []change `json:"changes"`
			}{r.text, dryRun, after}
			return c.env.Print(*form, answer, func(w io.Writer) error { return tell(w, r, after, dryRun) })
		})
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "let the cluster check the change, and change nothing")
	form = term.OutputFlag(cmd)
	return cmd
}

// alter makes the changes, and returns them with the values that were there before.
func alter(ctx context.Context, client *kgo.Client, r resource, changes []change, dryRun bool) ([]change, error) {
	before, err := read(ctx, client, r, nil)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dryRun
	one := kmsg.NewIncrementalAlterConfigsRequestResource()
	one.ResourceType, one.ResourceName = r.kind, r.name
	for i, ch := range changes {
		if j := slices.IndexFunc(before, func(e entry) bool { return e.Key == ch.Key }); j >= 0 {
			changes[i].Old = before[j].Value
		}
		key := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		key.Name, key.Op, key.Value = ch.Key, ch.op, ch.Value
		one.Configs = append(one.Configs, key)
	}
	req.Resources = append(req.Resources, one)
	for _, shard := range client.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, answer := range shard.Resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
				message := ""
				if answer.ErrorMessage != nil {
					message = *answer.ErrorMessage
				}
				return nil, r.refusal("change", err, message)
			}
		}
	}
	return changes, nil
}

func tell(w io.Writer, r resource, changes []change, dryRun bool) error {
	done := ""
	if dryRun {
		done = "would "
	}
	for _, ch := range changes {
		was := "not set"
		if ch.Old != nil {
			was = *ch.Old
		}
		text := ch.Op + " " + ch.Key
		if ch.Value != nil {
			text += " " + *ch.Value
		}
		if _, err := fmt.Fprintf(w, "%s: %s%s (was %s)\n", r.text, done, text, was); err != nil {
			return err
		}
	}
	return nil
}

func (c *commands) with(cmd *cobra.Command, name string, f func(context.Context, *kgo.Client, resource) error) error {
	r, err := parseResource(name)
	if err != nil {
		return err
	}
	return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error { return f(ctx, client, r) })
}

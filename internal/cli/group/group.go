// Package group is the commands about consumer groups: who is in them, how far behind they are, and where they go on. The root of
// the command line calls New; the goroutines are those of the client.
package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// commands are those of headrace group.
type commands struct {
	at  *target.Target
	env term.Env
}

// New makes the command group.
func New(at *target.Target, env term.Env) *cobra.Command {
	c := &commands{at, env}
	cmd := term.Group("group", "List, describe, move and delete consumer groups",
		c.list(), c.describe(), c.resetOffsets(), c.deleteOffsets(), c.delete())
	at.Flags(cmd)
	return cmd
}

// listed is one line of group list.
type listed struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Protocol    string `json:"protocolType"`
	Coordinator int32  `json:"coordinator"`
}

func (c *commands) list() *cobra.Command {
	var form *term.Form
	var states []string
	cmd := &cobra.Command{
		Use: "list", Short: "List groups",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.at.Admin(cmd.Context(), func(ctx context.Context, a *kadm.Client) error {
				groups, err := a.ListGroups(ctx, states...)
				if err != nil {
					return target.Explain(err, "")
				}
				list := []listed{}
				for _, g := range groups.Sorted() {
					list = append(list, listed{g.Group, g.State, g.ProtocolType, g.Coordinator})
				}
				return c.env.Print(*form, list, term.Table(list,
					term.Col("name", func(l listed) any { return l.Name }),
					term.Col("state", func(l listed) any { return l.State }),
					term.Col("type", func(l listed) any { return l.Protocol }),
					term.Col("coordinator", func(l listed) any { return l.Coordinator })))
			})
		},
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only groups in these states, such as Stable or Empty")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Dead"}, cobra.ShellCompDirectiveNoFileComp))
	form = term.OutputFlag(cmd)
	return cmd
}

// find describes one group and tells whether there is such a group.
func find(ctx context.Context, a *kadm.Client, name string) (kadm.DescribedGroup, bool, error) {
	all, err := a.DescribeGroups(ctx, name)
	g, ok := all[name]
	if !ok && err != nil {
		return g, false, groupError("describe", name, err)
	}
	switch {
	case errors.Is(g.Err, kerr.GroupIDNotFound):
		return g, false, nil
	case g.Err != nil:
		return g, false, groupError("describe", name, target.Explain(g.Err, g.ErrMessage))
	}
	return g, g.State != "Dead", nil
}

func missing(verb, name string) error {
	return fmt.Errorf("cannot %s group %s: it does not exist (headrace group list shows those that do)", verb, name)
}

func groupError(verb, name string, err error) error {
	return fmt.Errorf("cannot %s group %s: %w", verb, name, target.Explain(err, ""))
}

// live tells why a group with members cannot be changed.
func live(verb string, g kadm.DescribedGroup) error {
	n := len(g.Members)
	return fmt.Errorf("cannot %s group %s: it is in use by %d %s (state %s): stop them first", verb, g.Group, n, term.Plural(n, "member"), g.State)
}

// committedOffset is where a group stands in a partition.
type committedOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
}

// committed lists where the group stands, in order. choice, where it is not empty, says of which topics and partitions.
func committed(ctx context.Context, a *kadm.Client, name string, choice offsets.Choices) ([]committedOffset, error) {
	all, err := a.FetchOffsets(ctx, name)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, groupError("read the offsets of", name, err)
	}
	list := []committedOffset{}
	for _, o := range all.Sorted() {
		if o.Err != nil {
			return nil, groupError("read the offsets of", name, o.Err)
		}
		if o.At >= 0 && choice.Has(o.Topic, o.Partition) {
			list = append(list, committedOffset{o.Topic, o.Partition, o.At})
		}
	}
	return list, nil
}

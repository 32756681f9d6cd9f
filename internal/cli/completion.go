package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/headrace/headrace/internal/base/conf"
)

// completionTimeout is how long a shell waits for live names before it gets none.
const completionTimeout = 700 * time.Millisecond

// live makes a completion of names that the cluster tells. Failure is silent: a shell has no place for it.
func (c *command) live(cmd *cobra.Command, typed string, ask func(context.Context, *kadm.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	soon, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	var names []string
	err := c.at.Admin(soon, func(ctx context.Context, a *kadm.Client) error {
		all, err := ask(ctx, a)
		for _, name := range all {
			if strings.HasPrefix(name, typed) {
				names = append(names, name)
			}
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *command) completeTopics(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		topics, err := a.ListTopics(ctx)
		return without(topics.Names(), args), err
	})
}

func (c *command) completeGroups(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		groups, err := a.ListGroups(ctx)
		return without(groups.Groups(), args), err
	})
}

func (c *command) completeNodes(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		nodes, err := a.ListBrokers(ctx)
		var ids []string
		for _, id := range nodes.NodeIDs() {
			ids = append(ids, strconv.Itoa(int(id)))
		}
		return without(ids, args), err
	})
}

func (c *command) completeContexts(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	contexts, err := c.at.LoadContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return startingWith(contexts.Names(), typed), cobra.ShellCompDirectiveNoFileComp
}

// completeKeys completes the names of config keys, with what stands behind a key.
func completeKeys(scope conf.Scope, behind, typed string) ([]string, cobra.ShellCompDirective) {
	defs := conf.Topic()
	if scope == conf.ScopeBroker {
		defs = conf.Broker()
	}
	var names []string
	for _, d := range defs {
		names = append(names, d.Name+behind)
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if behind != "" {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return startingWith(names, typed), directive
}

func startingWith(names []string, typed string) []string {
	var some []string
	for _, name := range names {
		if strings.HasPrefix(name, typed) {
			some = append(some, name)
		}
	}
	return some
}

// without leaves out what the command line names already.
func without(names, given []string) []string {
	var rest []string
	for _, name := range names {
		used := false
		for _, g := range given {
			used = used || g == name
		}
		if !used {
			rest = append(rest, name)
		}
	}
	return rest
}

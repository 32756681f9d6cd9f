package target

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// completionTimeout is how long a shell waits for live names before it gets none.
const completionTimeout = 700 * time.Millisecond

// live makes a completion of names that the cluster tells. Failure is silent: a shell has no place for it.
func (t *Target) live(cmd *cobra.Command, typed string, ask func(context.Context, *kadm.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	soon, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	var names []string
	err := t.Admin(soon, func(ctx context.Context, a *kadm.Client) error {
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

// CompleteTopics completes the names of topics.
func (t *Target) CompleteTopics(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return t.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		topics, err := a.ListTopics(ctx)
		return Without(topics.Names(), args), err
	})
}

// CompleteGroups completes the names of groups.
func (t *Target) CompleteGroups(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return t.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		groups, err := a.ListGroups(ctx)
		return Without(groups.Groups(), args), err
	})
}

// CompleteNodes completes the names of nodes.
func (t *Target) CompleteNodes(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	return t.live(cmd, typed, func(ctx context.Context, a *kadm.Client) ([]string, error) {
		nodes, err := a.ListBrokers(ctx)
		var ids []string
		for _, id := range nodes.NodeIDs() {
			ids = append(ids, strconv.Itoa(int(id)))
		}
		return Without(ids, args), err
	})
}

// CompleteContexts completes the names of contexts.
func (t *Target) CompleteContexts(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	contexts, err := t.LoadContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return StartingWith(contexts.Names(), typed), cobra.ShellCompDirectiveNoFileComp
}

// StartingWith chooses the names that begin with what is typed.
func StartingWith(names []string, typed string) []string {
	var some []string
	for _, name := range names {
		if strings.HasPrefix(name, typed) {
			some = append(some, name)
		}
	}
	return some
}

// Without leaves out what the command line names already.
func Without(names, given []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(given, name) })
}

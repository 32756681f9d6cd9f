package configs

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/target"
)

// CompleteKeys completes the names of config keys, with the equals sign where a value follows.
func CompleteKeys(scope conf.Scope, withValue bool, typed string) ([]string, cobra.ShellCompDirective) {
	defs := conf.Topic()
	if scope == conf.ScopeBroker {
		defs = conf.Broker()
	}
	directive, behind := cobra.ShellCompDirectiveNoFileComp, ""
	if withValue {
		directive, behind = directive|cobra.ShellCompDirectiveNoSpace, "="
	}
	var names []string
	for _, d := range defs {
		names = append(names, d.Name+behind)
	}
	return target.StartingWith(names, typed), directive
}

// complete completes resources, then keys.
func (c *commands) complete(withValue bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return c.completeResource(cmd, typed)
		}
		r, err := parseResource(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return CompleteKeys(r.scope(), withValue, typed)
	}
}

func (c *commands) completeResource(cmd *cobra.Command, typed string) ([]string, cobra.ShellCompDirective) {
	kind, name, named := strings.Cut(typed, "/")
	if !named {
		return target.StartingWith([]string{"topic/", "node/", "cluster", "group/"}, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	var names []string
	switch kind {
	case "topic":
		names, _ = c.at.CompleteTopics(cmd, nil, name)
	case "node":
		names, _ = c.at.CompleteNodes(cmd, nil, name)
	case "group":
		names, _ = c.at.CompleteGroups(cmd, nil, name)
	}
	for i := range names {
		names[i] = kind + "/" + names[i]
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/configs"
	"github.com/headrace/headrace/internal/cli/nodeconf"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) config() *cobra.Command {
	cmd := term.Group("config", "Read and change the keys of a cluster, check a node's configuration, tell what keys mean",
		nodeconf.Check(c.env, c.roles.Configuration), nodeconf.Explain(c.at, c.env, c.roles.Configuration))
	cmd.AddCommand(configs.New(c.at, c.env)...)
	return cmd
}

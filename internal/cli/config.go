package cli

import (
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/nodeconf"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) config() *cobra.Command {
	return term.Group("config", "Check a node's configuration and tell what its keys mean",
		nodeconf.Check(c.env, c.roles.Configuration), nodeconf.Explain(c.at, c.env, c.roles.Configuration))
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/doctor"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) doctor() *cobra.Command {
	return term.Group("doctor", "Find out why a cluster cannot be worked with", doctor.Listeners(c.at, c.env))
}

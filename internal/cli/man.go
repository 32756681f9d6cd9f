package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) man() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "man DIR", Short: "Write man pages, one a command, into a directory",
		Args:    term.One("DIR"),
		Example: "  headrace man ~/.local/share/man/man1 && man headrace-topic-create",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			root := cmd.Root()
			// The date is fixed, so that the same commands give the same pages.
			header := &doc.GenManHeader{Section: "1", Source: "headrace", Manual: "Headrace", Date: &time.Time{}}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("write man pages: %w", err)
			}
			n := pages(root)
			return c.env.Print(*form, map[string]any{"dir": args[0], "pages": n}, term.Lines("%d man pages in %s\n", n, args[0]))
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

// pages counts the commands that have one.
func pages(cmd *cobra.Command) int {
	n := 1
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			n += pages(sub)
		}
	}
	return n
}

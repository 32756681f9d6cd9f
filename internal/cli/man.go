package cli

import (
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
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
			root.DisableAutoGenTag = true
			literal(root)
			date := built()
			header := &doc.GenManHeader{Section: "1", Source: "headrace", Manual: "Headrace", Date: &date}
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

// built is when the commit was made, so that the same program writes the same pages; a fixed time where nobody knows.
func built() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return at
			}
		}
	}
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
}

// literal marks up the descriptions of a command and those below it, which the writer of pages takes for Markdown.
func literal(cmd *cobra.Command) {
	cmd.Short, cmd.Long = markdown(cmd.Short), markdown(cmd.Long)
	for _, sub := range cmd.Commands() {
		literal(sub)
	}
}

// markdown is text in Markdown that reads as it is: paragraphs, and lines that are kept as they are where they are indented.
func markdown(text string) string {
	escape := regexp.MustCompile("[\\\\`*_<>\\[\\]]")
	var b strings.Builder
	kept := false
	for line := range strings.Lines(text) {
		indented := strings.HasPrefix(line, "  ")
		if indented != kept {
			b.WriteByte('\n')
		}
		if kept = indented; indented {
			b.WriteString("    " + line)
			continue
		}
		b.WriteString(escape.ReplaceAllString(line, `\$0`))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// Package nodeconf is headrace config check and headrace config explain: what is wrong with a node's configuration before it
// starts, and what a key means and is. The config group of cli holds the commands; the composition root hands in what looks at
// files, environment and machine. It starts no goroutine.
package nodeconf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/term"
)

// Source looks at what a node would start with.
type Source interface {
	// Static reads the configuration file (none when file is empty, and no other is named) and the environment.
	Static(file string) (conf.Static, []conf.Problem)
	// Machine tells what of the machine stands in the way of a node with this configuration.
	Machine(ctx context.Context, static conf.Static) []conf.Problem
}

// finding is a Problem as it is printed.
type finding struct {
	Level string `json:"level"` // error or warning
	Where string `json:"where,omitempty"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
}

// Check is headrace config check.
func Check(e term.Env, source Source) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Tell everything that is wrong with a node's configuration, and start nothing",
		Long: "Reads the configuration as headrace server would, from the file and from the environment, and tells all errors and warnings at once,\n" +
			"with the line or the variable of each. It also looks at the machine: log dirs, free space, the addresses that are listened on and\n" +
			"advertised, and the limit of open files. The exit code is 1 when a node would not start, else 0.",
		Example: "  headrace config check --config /etc/headrace/server.properties",
		Args:    cobra.NoArgs,
	}
	form := term.OutputFlag(cmd)
	cmd.Flags().StringVar(&file, "config", "", "the file; environment HEADRACE_CONFIG")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		static, problems := source.Static(file)
		problems = append(problems, source.Machine(cmd.Context(), static)...)
		findings := []finding{}
		refused := 0
		for _, p := range problems {
			f := finding{Level: "warning", Where: p.Where, Key: p.Key, Text: p.Text}
			if p.Refused {
				f.Level = "error"
				refused++
			}
			findings = append(findings, f)
		}
		if err := e.Print(*form, findings, lines(findings)); err != nil {
			return err
		}
		if refused > 0 {
			return fmt.Errorf("a node would not start with this configuration: %d %s", refused, term.Plural(refused, "error"))
		}
		return nil
	}
	return cmd
}

func lines(findings []finding) func(io.Writer) error {
	return func(w io.Writer) error {
		if len(findings) == 0 {
			_, err := fmt.Fprintln(w, "nothing is wrong")
			return err
		}
		var all error
		for _, f := range findings {
			where := ""
			if f.Where != "" {
				where = f.Where + ": "
			}
			_, err := fmt.Fprintf(w, "%-7s  %s%s\n", f.Level, where, strings.TrimSpace(f.Text))
			all = errors.Join(all, err)
		}
		return all
	}
}

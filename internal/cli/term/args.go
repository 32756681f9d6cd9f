package term

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Group makes a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// One wants exactly the argument that the usage line names.
func One(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing", name)
		case len(args) > 1:
			return fmt.Errorf("only one %s is taken, and %q comes after it", name, args[1])
		}
		return nil
	}
}

// Both wants exactly the two arguments that the usage line names.
func Both(first, second string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s and %s are missing", first, second)
		case 1:
			return fmt.Errorf("%s is missing", second)
		case 2:
			return nil
		}
		return fmt.Errorf("only %s and %s are taken, and %q comes after them", first, second, args[2])
	}
}

// AtLeastOne wants the argument that the usage line names, once or more.
func AtLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	}
}

// UnknownCommand refuses arguments that name no subcommand, with the nearest that is one.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(": did you mean %q?", near[0])
	}
	return Usage("%s (see %s --help)", text, cmd.CommandPath())
}

// ComplainInUsage makes the complaints of a command and those below it about their arguments usage errors, with a way to the
// help.
func ComplainInUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil || errors.As(err, new(*UsageError)) {
				return err
			}
			return Usage("%s: %s (see %s --help)", cmd.CommandPath(), err, cmd.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		ComplainInUsage(sub)
	}
}

// Package cli is the headrace command: it reads arguments, talks to any Kafka cluster through the wire protocol, and prints.
// The composition root calls Run and hands in the functions that start a node; cli itself knows no node. Reading standard input
// is its only goroutine (see lineReader); it may stay behind in a read that cannot be cancelled, until the process ends.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes, part of the interface to scripts.
const (
	ExitOK          = 0
	ExitFailed      = 1   // the cluster, a file or the network refused
	ExitUsage       = 2   // wrong arguments
	ExitUnreachable = 3   // no node answers at the address
	ExitInterrupted = 130 // Ctrl-C before the work was done
)

// Env is what the command has of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Dial replaces the network, as in a test; nil is the real one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Roles are the functions that start a node. They return when ctx is done and the node has stopped.
type Roles struct {
	Dev    func(ctx context.Context, o DevOptions) error
	Server func(ctx context.Context, o ServerOptions) error
	Adopt  func(ctx context.Context, o AdoptOptions) error
}

// Run executes one command line, without the program's name, and returns the exit code.
func Run(ctx context.Context, args []string, env Env, roles Roles) int {
	c := &command{env: env, roles: roles}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	switch {
	case code == ExitInterrupted:
		fmt.Fprintln(env.Stderr, "headrace: interrupted")
	case err != nil && code != ExitOK:
		fmt.Fprintln(env.Stderr, "headrace: "+oneLine(err))
	}
	return code
}

// command carries what all subcommands share.
type command struct {
	env       Env
	roles     Roles
	bootstrap string
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "headrace",
		Short: "An event streaming platform for every Kafka client, in one binary",
		Long: "Headrace is an event streaming platform in one binary that speaks the protocol of Apache Kafka.\n\n" +
			"Exit codes: 0 done, 1 refused or failed, 2 wrong arguments, 3 no node answers, 130 interrupted.",
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%s", err) })
	root.AddCommand(c.dev(), c.server(), c.adopt(), c.topic(), c.produce(), c.consume(), c.version())
	for _, cmd := range root.Commands() {
		asUsage(cmd)
	}
	return root
}

// usageError is a wrong command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// asUsage makes the complaints of a command and those below it about their arguments usage errors, with a way to the help.
func asUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil || errors.As(err, new(*usageError)) {
				return err
			}
			return usage("%s: %s (see %s --help)", cmd.CommandPath(), err, cmd.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}

// one and atLeastOne want the arguments that the usage line names.
func one(name string) cobra.PositionalArgs {
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

func atLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	}
}

// unknownCommand refuses arguments that name no subcommand, with the nearest that is one.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(": did you mean %q?", near[0])
	}
	return usage("%s (see %s --help)", text, cmd.CommandPath())
}

func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, new(*usageError)):
		return ExitUsage
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ctx.Err())):
		return ExitInterrupted
	case errors.As(err, new(*unreachableError)):
		return ExitUnreachable
	}
	return ExitFailed
}

// oneLine keeps an error, and several that are joined, to one line.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}

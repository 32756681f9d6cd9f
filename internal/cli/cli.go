// Package cli is the headrace command: it reads arguments, talks to any Kafka cluster through the wire protocol, and prints.
// The composition root calls Run and hands in the functions that start a node; cli itself knows no node. It starts no goroutine
// besides those of clients and the one that reads standard input (see term.Env.Input).
package cli

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/bench"
	"github.com/headrace/headrace/internal/cli/cluster"
	"github.com/headrace/headrace/internal/cli/group"
	"github.com/headrace/headrace/internal/cli/kafkatools"
	"github.com/headrace/headrace/internal/cli/kcat"
	"github.com/headrace/headrace/internal/cli/nodeconf"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// Roles are the functions that start a node. They return when ctx is done and the node has stopped.
type Roles struct {
	Dev    func(ctx context.Context, o DevOptions) error
	Server func(ctx context.Context, o ServerOptions) error
	Adopt  func(ctx context.Context, o AdoptOptions) error

	// Configuration is what headrace config looks at before a node starts.
	Configuration nodeconf.Source
}

// Run executes one command line, without the program's name, and returns the exit code.
func Run(ctx context.Context, args []string, env term.Env, roles Roles) int {
	// Programs of other names read their own arguments, and have begun before the commands here are made.
	switch {
	case len(args) > 0 && kafkatools.Is(args[0]):
		return kafkatools.Run(ctx, args[0], args[1:], env)
	case len(args) > 0 && kcat.Is(args[0]):
		return kcat.Run(ctx, args[1:], env)
	}
	c := &command{env: env, roles: roles, at: target.New(env)}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return env.Conclude(ctx, root.ExecuteContext(ctx))
}

// Args are the arguments of a process without the program's name, except where that is the name of a tool that headrace can
// stand in for: a link to headrace by that name is that tool.
func Args(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	if name := filepath.Base(argv[0]); kafkatools.Is(name) || kcat.Is(name) {
		return append([]string{name}, argv[1:]...)
	}
	return argv[1:]
}

// command carries what all subcommands share.
type command struct {
	env   term.Env
	roles Roles
	at    *target.Target
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "headrace",
		Short: "An event streaming platform for every Kafka client, in one binary",
		Long: "Headrace is an event streaming platform in one binary that speaks the protocol of Apache Kafka.\n\n" +
			"Exit codes: 0 done, 1 refused or failed, 2 wrong arguments, 3 no node answers, 130 interrupted, 141 nobody reads the output.",
		Args:          term.UnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, SilenceUsage: true,
		Version: thisVersion().String(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return term.Usage("%s (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(
		c.dev(), c.server(), c.adopt(),
		c.topic(), c.produce(), c.consume(), group.New(c.at, c.env), cluster.New(c.at, c.env), c.config(), c.context(),
		c.doctor(), bench.New(c.at, c.env),
		c.man(), c.version(),
	)
	root.AddCommand(append(kafkatools.New(c.env), kcat.New(c.env))...)
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = term.UnknownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		case "help":
			cmd.Args = helpOfWhat
		}
		term.ComplainInUsage(cmd)
	}
	return root
}

// helpOfWhat refuses to help with a command that there is not.
func helpOfWhat(cmd *cobra.Command, names []string) error {
	found, rest, err := cmd.Root().Find(names)
	if err != nil {
		return err // says so itself
	}
	return term.UnknownCommand(found, rest)
}

package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli"
	"github.com/headrace/headrace/internal/cli/term"
)

// Main runs one command line, without the program's name, and returns the exit code of the process.
func Main(ctx context.Context, args []string, env Env) int {
	return cli.Run(ctx, args, term.Env{Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Getenv: env.Getenv}, cli.Roles{
		Dev:    alone(env, env.dev),
		Server: alone(env, env.server),
		Adopt:  env.adopt,

		Configuration: configSource{env},
	})
}

// alone runs a node that has the process to itself.
func alone[Options any](env Env, run func(context.Context, Options) error) func(context.Context, Options) error {
	return func(ctx context.Context, o Options) error {
		if env.CoarseTimers != nil {
			env.CoarseTimers(ctx)
		}
		return run(ctx, o)
	}
}

// dev runs one node with the defaults of a developer's machine.
func (env Env) dev(ctx context.Context, o cli.DevOptions) error {
	static, err := devConfig(o)
	if err != nil {
		return err
	}
	ready := func(n *Node) { env.devReady(n, o) }
	return service{env: env, log: env.logger(static), static: static, ready: ready}.run(ctx)
}

// devConfig differs from Kafka's defaults in what gets in the way of one developer: groups do not wait three seconds for
// more members, and nothing is replicated.
func devConfig(o cli.DevOptions) (conf.Static, error) {
	return conf.NewStatic(map[string]string{
		"node.id":                          "1",
		"listeners":                        "PLAINTEXT://" + o.Listen,
		"log.dirs":                         o.DataDir,
		"durability":                       o.Durability.String(),
		"num.partitions":                   strconv.Itoa(int(o.Partitions)),
		"offsets.topic.replication.factor": "1",
		"group.initial.rebalance.delay.ms": "0",
	})
}

// devReady tells that the node is ready, in the form that was asked for: scripts read the address from it.
func (env Env) devReady(n *Node, o cli.DevOptions) {
	answer := struct {
		Address string `json:"address"`
		Admin   string `json:"admin"` // of the listener with the metrics; empty where it is off
		DataDir string `json:"dataDir"`
	}{n.Addresses()[0], n.AdminAddress(), o.DataDir}
	// A node runs on when nobody reads where it is.
	_ = term.Env{Stdout: env.Stdout}.Print(o.Output, answer, func(w io.Writer) error {
		devBanner(w, n, o)
		return nil
	})
}

// devBanner says where the node is and how to talk to it.
func devBanner(w io.Writer, n *Node, o cli.DevOptions) {
	at := n.Addresses()[0]
	fmt.Fprintf(w, `headrace is ready at %[1]s, data in %[2]s (Ctrl-C stops it)

  headrace:  headrace topic create greetings -b %[1]s
             echo hello | headrace produce greetings -b %[1]s
             headrace consume greetings -b %[1]s --from start
  kcat:      kcat -b %[1]s -L
  Java:      bootstrap.servers=%[1]s
  Python:    Producer({"bootstrap.servers": "%[1]s"})
  Node.js:   new Kafka({ brokers: ["%[1]s"] })
  Go:        kgo.NewClient(kgo.SeedBrokers("%[1]s"))
  Metrics:   %[3]s
`, at, o.DataDir, metricsAt(n))
}

// server runs a node from a configuration file, the environment, or both.
func (env Env) server(ctx context.Context, o cli.ServerOptions) error {
	file, err := env.configFile(o.Config)
	if err != nil {
		return err
	}
	flags := flagKeys{{"--join", "controller.quorum.bootstrap.servers", o.Join}, {"--roles", "process.roles", o.Roles}}
	static, problems := env.configuration(file, flags)
	if err := refused(problems); err != nil {
		return err
	}
	ready := func(n *Node) {
		fmt.Fprintf(env.Stdout, "headrace is ready at %v\n", n.Addresses())
		if conf.SetsKeys(env.Environ()) {
			// testcontainers and others that start Apache Kafka's image wait for this line of its log.
			fmt.Fprintf(env.Stdout, "[headrace id=%d] Transitioning from RECOVERY to RUNNING\n", n.Config.ID)
		}
	}
	reread := func() (conf.Static, []conf.Problem) { return env.configuration(file, flags) }
	return service{env: env, log: env.logger(static), static: static, ready: ready, reread: reread}.run(ctx)
}

// logger writes to standard error, in the form that the configuration asks for.
func (env Env) logger(static conf.Static) *slog.Logger {
	format, _ := static.Get("headrace.log.format")
	return newLogger(env.Stderr, format)
}

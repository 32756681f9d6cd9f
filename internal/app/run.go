package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli"
	"github.com/headrace/headrace/internal/cli/term"
)

// Main runs one command line, without the program's name, and returns the exit code of the process.
func Main(ctx context.Context, args []string, env Env) int {
	return cli.Run(ctx, args, term.Env{Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Getenv: env.Getenv}, cli.Roles{
		Dev:    env.dev,
		Server: env.server,
		Adopt:  env.adopt,
	})
}

// dev runs one node with the defaults of a developer's machine.
func (env Env) dev(ctx context.Context, o cli.DevOptions) error {
	static, err := devConfig(o)
	if err != nil {
		return err
	}
	return env.run(ctx, static, func(n *Node) { devBanner(env.Stdout, n, o) })
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
`, at, o.DataDir)
}

// server runs a node from a configuration file.
func (env Env) server(ctx context.Context, o cli.ServerOptions) error {
	static, err := conf.ParseFile(o.Config)
	if err != nil {
		return err
	}
	return env.run(ctx, static, func(n *Node) {
		fmt.Fprintf(env.Stdout, "headrace is ready at %v\n", n.Addresses())
	})
}

// run runs a node until ctx ends, then stops it cleanly.
func (env Env) run(ctx context.Context, static conf.Static, ready func(*Node)) error {
	log := slog.New(slog.NewTextHandler(env.Stderr, nil))
	for _, w := range static.Warnings() {
		log.Warn("configuration", "line", w)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		return err
	}
	n, err := Start(ctx, Options{Config: cfg, Static: static, Env: env, Log: log})
	if err != nil {
		return err
	}
	ready(n)
	select {
	case <-ctx.Done():
	case <-n.quorum.Done():
		// Records that were flushed can still be read; nothing can be created or changed any more.
		log.Error("the metadata log has failed: topics and configs cannot change until a restart", "err", n.quorum.Err())
		<-ctx.Done()
	}
	log.Info("stopping")
	if err := n.Close(time.Now()); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	log.Info("stopped cleanly")
	return nil
}

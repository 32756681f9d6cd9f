// Command headrace is an event streaming platform for Kafka clients in one binary: see headrace --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A write to a pipe that nobody reads is then an error like another: a consumer leaves its group, and a node goes on without its log.
	signal.Ignore(syscall.SIGPIPE)
	env := app.OSEnv()
	env.CoarseTimers = app.CoarseTimers
	code := app.Main(ctx, cli.Args(os.Args), env)
	stop()
	os.Exit(code)
}

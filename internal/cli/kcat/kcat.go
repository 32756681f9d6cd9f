// Package kcat is headrace with the options of kcat (kafkacat) 1.7: -P, -C, -G, -L and -Q print what kcat prints, so that its
// users and their scripts need nothing else. Package cli adds New's command and sends a process that is called kcat to Run. It
// starts no goroutine besides the client's and the one that reads standard input (term.Env.Input).
package kcat

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

// Is tells whether name, without a folder, is kcat's.
func Is(name string) bool { return name == "kcat" || name == "kafkacat" }

// New makes the command. It reads its own arguments.
func New(e term.Env) *cobra.Command {
	return &cobra.Command{
		Use: "kcat", Short: "Produce, consume and look at a cluster, with kcat's options", Aliases: []string{"kafkacat"},
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if code := Run(cmd.Context(), args, e); code != 0 {
				return ended(code)
			}
			return nil
		},
	}
}

// ended is the exit code of a run that has said all there is to say.
type ended int

func (e ended) Error() string { return "" }

// ExitCode is the code that the process ends with.
func (e ended) ExitCode() int { return int(e) }

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, args []string, e term.Env) int {
	r := &run{ctx: ctx, env: e, out: bufio.NewWriterSize(e.Stdout, 64<<10), o: defaults()}
	err := r.o.read(args, e)
	if err == nil {
		err = r.start()
	}
	r.flush()
	var code ended
	switch {
	case err == nil && r.failed.Load():
		return 1
	case err == nil:
		return r.code
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil:
		return r.code // kcat ends well when it is told to
	case errors.As(err, new(*plainError)):
		fmt.Fprintf(e.Stderr, "%% %s\n", err)
		return 1
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(e.Stderr, "Error: %s\n\n%s", err, usageText)
		return 1
	}
	fmt.Fprintf(e.Stderr, "%% ERROR: %s\n", err)
	return 1
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// plainError is a complaint that kcat does not call an error.
type plainError struct{ text string }

func (e *plainError) Error() string { return e.text }

// fatal is an error in kcat's words, which begin with a capital.
func fatal(format string, args ...any) error { return fmt.Errorf(format, args...) }

// run is one run.
type run struct {
	ctx    context.Context
	env    term.Env
	out    *bufio.Writer
	o      options
	client *kgo.Client
	code   int
	failed atomic.Bool // a record was not delivered
}

// info prints a remark, if -q does not forbid it.
func (r *run) info(level int, format string, args ...any) {
	if r.o.verbosity >= level {
		r.flush()
		fmt.Fprintf(r.env.Stderr, "%% "+format+"\n", args...)
	}
}

func (r *run) flush() { _ = r.out.Flush() } // one that reads no more is not worth a word

func (r *run) start() error {
	switch {
	case r.o.help:
		_, err := r.out.WriteString(usageText)
		return err
	case r.o.version:
		fmt.Fprint(r.env.Stdout, "kcat - Apache Kafka producer and consumer tool\nheadrace kcat, with the options of kcat "+kcatVersion+" (JSON, Transactions)\n")
		return nil
	case r.o.dump:
		for _, kv := range r.o.props.dump() {
			fmt.Fprintln(r.env.Stdout, kv)
		}
		return nil
	}
	for _, w := range r.o.warnings {
		r.info(1, "%s", w)
	}
	if r.o.auto {
		name := map[byte]string{'C': "Consumer", 'P': "Producer"}[r.o.mode]
		r.info(1, "Auto-selecting %s mode (use -P or -C to override)", name)
	}
	switch r.o.mode {
	case 'L':
		return r.list()
	case 'Q':
		return r.query()
	case 'P':
		return r.produce()
	case 'G':
		return r.consumeGroup()
	}
	return r.consume()
}

const kcatVersion = "1.7.1"

// connect makes a client and waits as long as -m says until a node answers.
func (r *run) connect(opts ...kgo.Opt) error {
	base, err := r.o.props.clientOptions(r.o.brokers, r.env)
	if err != nil {
		return err
	}
	if r.client, err = kgo.NewClient(append(base, opts...)...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.o.metadataTimeout)
	defer cancel()
	for {
		err := r.client.Ping(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			r.client.Close()
			return &unreachable{err}
		}
		fmt.Fprintf(r.env.Stderr, "%%3|%d.%03d|FAIL|headrace#kcat-1| %s: %s\n", time.Now().Unix(), time.Now().UnixMilli()%1000, strings.Join(r.o.brokers, ","), cause(err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

type unreachable struct{ cause error }

func (u *unreachable) Error() string { return "Local: Broker transport failure" }
func (u *unreachable) Unwrap() error { return u.cause }

// cause is the last of several errors that are joined, in one line.
func cause(err error) string { return term.OneLine(err) }

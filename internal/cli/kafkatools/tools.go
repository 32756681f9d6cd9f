// Package kafkatools is headrace under the names of Apache Kafka's command-line tools: kafka-topics and the others take the same
// options, print the same lines and end with the same codes, so that scripts written for them go on working, without a JVM's
// start. Package cli adds New's commands and sends a process that is called by such a name to Run. The tools print to the streams
// they are given and start no goroutine besides the client's and the one that reads standard input (term.Env.Input).
package kafkatools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/term"
)

// kafkaVersion is the release whose tools these are.
const kafkaVersion = "4.3.1"

// tool is one of them.
type tool struct {
	name, short string
	run         func(c *call) error
}

func tools() []tool {
	return []tool{
		{"kafka-topics", "Create, list, describe, alter and delete topics", runTopics},
		{"kafka-configs", "Show and change configs of topics, brokers, users and others", runConfigs},
		{"kafka-consumer-groups", "List, describe, reset and delete consumer groups", runGroups},
		{"kafka-console-producer", "Send lines of standard input to a topic", runProducer},
		{"kafka-console-consumer", "Print the records of topics", runConsumer},
		{"kafka-get-offsets", "Print offsets of partitions", runOffsets},
	}
}

// Is tells whether name, without a folder, is a tool's, with or without the ending .sh.
func Is(name string) bool { return find(name) != nil }

func find(name string) *tool {
	all := tools()
	i := slices.IndexFunc(all, func(t tool) bool { return t.name == strings.TrimSuffix(name, ".sh") })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// New makes the commands that are called as the tools are. They read their own arguments.
func New(e term.Env) []*cobra.Command {
	var all []*cobra.Command
	for _, t := range tools() {
		all = append(all, &cobra.Command{
			Use: t.name, Short: t.short + ", as " + t.name + ".sh does", Aliases: []string{t.name + ".sh"},
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				if code := Run(cmd.Context(), t.name, args, e); code != 0 {
					return ended(code)
				}
				return nil
			},
		})
	}
	return all
}

// ended is the exit code of a tool that has said all there is to say.
type ended int

func (e ended) Error() string { return "" }

// ExitCode is the code that the process ends with.
func (e ended) ExitCode() int { return int(e) }

// Run runs the tool of that name and returns the exit code.
func Run(ctx context.Context, name string, args []string, e term.Env) int {
	c := &call{ctx: ctx, args: args, env: e, out: bufio.NewWriter(e.Stdout)}
	defer c.out.Flush()
	return c.conclude(find(name).run(c))
}

// call is one run of a tool.
type call struct {
	ctx  context.Context
	args []string
	env  term.Env
	out  *bufio.Writer
	p    parser
	line *parsed
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// complain writes one line to standard error, after what is on standard output.
func (c *call) complain(text string) {
	c.out.Flush()
	fmt.Fprintln(c.env.Stderr, text)
}

// conclude tells how the tool ended, unless it did so itself, and returns the code.
func (c *call) conclude(err error) int {
	var use *usageError
	var code ended
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &use):
		c.complain(use.text)
		fmt.Fprint(c.env.Stderr, c.p.help())
		return 1
	case c.ctx.Err() != nil:
		return term.ExitInterrupted
	}
	c.complain(asFailure(err).text)
	return 1
}

// begin reads the arguments. It is ready for --help and --version, which every tool has.
func (c *call) begin() error {
	c.p.flag("help", "Print usage information.")
	c.p.flag("version", "Display Kafka version.")
	line, err := c.p.parse(c.args)
	c.line = line
	return err
}

// aboutItself answers --help and --version.
func (c *call) aboutItself(what string) error {
	switch {
	case len(c.args) == 0 || c.line.has("help"):
		return usage("%s", what)
	case c.line.has("version"):
		c.printf("%s\n", kafkaVersion)
		c.out.Flush()
		return errDone
	}
	return nil
}

// errDone ends a tool that has nothing more to do.
var errDone = ended(0)

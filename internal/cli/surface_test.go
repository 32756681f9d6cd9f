package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// commandLines are all commands that do something by themselves, without those that are other programs'.
func commandLines(cmd *cobra.Command) []*cobra.Command {
	if cmd.DisableFlagParsing || cmd.Name() == "help" {
		return nil
	}
	if len(cmd.Commands()) == 0 {
		return []*cobra.Command{cmd}
	}
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		all = append(all, commandLines(sub)...)
	}
	return all
}

func allCommands(w *world) []*cobra.Command {
	env := term.Env{Getenv: w.getenv}
	return commandLines((&command{env: env, at: target.New(env)}).root())
}

// formless are the commands whose answer has one form: a script for a shell, or the logs of a node.
var formless = []string{"headrace adopt", "headrace server", "headrace completion bash", "headrace completion fish", "headrace completion powershell", "headrace completion zsh"}

func TestEveryCommandHasTheFormsAndTheExitCodes(t *testing.T) {
	w := &world{t: t}
	all := allCommands(w)
	if len(all) < 35 {
		t.Fatalf("only %d commands are found", len(all))
	}
	for _, cmd := range all {
		line := strings.TrimPrefix(cmd.CommandPath(), "headrace ")
		output := cmd.Flags().Lookup("output")
		switch {
		case slices.Contains(formless, cmd.CommandPath()):
			if output != nil {
				t.Errorf("%s: has --output, and is listed as a command without", line)
			}
		case output == nil || output.Shorthand != "o" || output.Value.Type() != "form":
			t.Errorf("%s: --output is missing", line)
		default:
			w.refused(term.ExitUsage, "", line+" -o nonsense", "must be table, json or yaml")
		}
		w.refused(term.ExitUsage, "", line+" --no-such-flag", "unknown flag: --no-such-flag (see headrace "+line+" --help)")
	}
}

// arguments are those that commands cannot do without.
var arguments = map[string]string{
	"topic create": "a", "topic describe": "a", "topic alter": "a --config retention.ms=1", "topic delete": "a", "topic trim": "a --to end --execute",
	"produce": "a", "consume": "a", "group describe": "g", "group delete": "g --execute", "group delete-offsets": "g --topic a --execute", "group reset-offsets": "g --topic a --to start --execute",
	"config get": "topic/a retention.ms", "config describe": "topic/a", "config set": "topic/a retention.ms=1", "config delete": "topic/a retention.ms",
	"cluster add-voter": "4", "cluster set-feature": "metadata.version 1", "cluster remove-voter": "4", "cluster decommission": "4",
	"config explain": "retention.ms -b 127.0.0.1:1", "bench produce": "--records 1", "bench consume": "--topic a", "bench latency": "--records 1",
}

func TestEveryCommandThatAsksAClusterSaysWhenNoneIsThere(t *testing.T) {
	w := &world{t: t, at: "127.0.0.1:1"}
	for _, cmd := range allCommands(w) {
		line := strings.TrimPrefix(cmd.CommandPath(), "headrace ")
		if strings.HasPrefix(line, "context ") || cmd.InheritedFlags().Lookup("bootstrap") == nil && cmd.Flags().Lookup("bootstrap") == nil {
			continue
		}
		w.refused(term.ExitUnreachable, "", line+" "+arguments[line], "127.0.0.1:1: ")
	}
}

package nodeconf

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// fixed is a file's text, and a machine with what is wrong with it.
type fixed struct {
	text    string
	machine []conf.Problem
}

func (f fixed) Static(file string) (conf.Static, []conf.Problem) {
	s, problems := conf.Examine("server.properties", []byte(f.text))
	return s, append(problems, conf.CheckNode(conf.Layers{Static: s})...)
}

func (f fixed) Machine(context.Context, conf.Static) []conf.Problem { return f.machine }

func run(t *testing.T, source Source, args ...string) (out string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	e := term.Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Check(e, source), Explain(target.New(e), e, source))
	term.ComplainInUsage(root)
	root.SetArgs(args)
	code = e.Conclude(t.Context(), root.ExecuteContext(t.Context()))
	return stdout.String() + stderr.String(), code
}

func TestCheckTellsEverythingAndFailsOnErrorsAlone(t *testing.T) {
	disk := []conf.Problem{{Where: "server.properties:1", Key: "log.dirs", Text: "the disk is full"}}
	out, code := run(t, fixed{"log.dirs=/d\nnum.io.threads=8", disk}, "check")
	want := "warning  server.properties:2: num.io.threads has no effect: Headrace has no request handler pool\nwarning  server.properties:1: the disk is full\n"
	if out != want || code != term.ExitOK {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, code = run(t, fixed{"nod.id=1\nnode.id=1\nbroker.id=2", disk}, "check", "-o", "json")
	var findings []finding
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&findings); err != nil {
		t.Fatal(err, out)
	}
	if len(findings) != 3 || findings[0].Level != "error" || findings[1].Where != "server.properties:2" || findings[2].Level != "warning" || code != term.ExitFailed {
		t.Errorf("exit code %d: %+v", code, findings)
	}
	if out, code := run(t, fixed{}, "check"); out != "nothing is wrong\n" || code != term.ExitOK {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestExplainTellsTheValueAndItsPlace(t *testing.T) {
	out, code := run(t, fixed{"num.partitions=6", nil}, "explain", "num.partitions", "retention.ms", "num.io.threads", "sasl.x")
	for _, want := range []string{
		"num.partitions  (key of the node)", "value     6  (server.properties:1)", "values    at least 1", "default   1", "changes   with a restart", "KAFKA_NUM_PARTITIONS",
		"retention.ms  (key of the topic)", "node key  log.retention.ms, log.retention.minutes, log.retention.hours",
		"none: accepted with a warning", "a node refuses to start with it",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if code != term.ExitOK {
		t.Errorf("exit code %d", code)
	}
	if out, code := run(t, fixed{}, "explain", "num.partitons"); code != term.ExitFailed || !strings.Contains(out, `did you mean "num.partitions"?`) {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, args := range [][]string{{"explain"}, {"explain", "--all", "node.id"}} {
		if out, code := run(t, fixed{}, args...); code != term.ExitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	out, _ = run(t, fixed{"num.partitions=6", nil}, "explain", "--all", "-o", "json")
	var all []explanation
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != len(conf.Broker()) {
		t.Errorf("%d of %d keys: %v", len(all), len(conf.Broker()), err)
	}
}

func TestExplainAsksARunningNode(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"log.retention.ms": "77"}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	out, code := run(t, fixed{"log.retention.ms=1", nil}, "explain", "log.retention.ms", "-b", cluster.ListenAddrs()[0])
	if code != term.ExitOK || !strings.Contains(out, "value     77  (") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// unreadable is a source whose file is not there.
type unreadable struct{ fixed }

func (unreadable) Static(string) (conf.Static, []conf.Problem) {
	return conf.Static{}, []conf.Problem{{Text: "no such file", Refused: true}}
}

func TestExplainDoesNotPassDefaultsOffAsTheFilesValues(t *testing.T) {
	out, code := run(t, unreadable{}, "explain", "num.partitions", "--config", "nope.properties")
	if code != term.ExitFailed || !strings.Contains(out, "no such file") || strings.Contains(out, "default") {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = run(t, unreadable{}, "explain", "num.partitions")
	if code != term.ExitOK || !strings.Contains(out, "no such file") || !strings.Contains(out, "(default)") {
		t.Errorf("without a file, exit code %d: %s", code, out)
	}
	out, code = run(t, fixed{text: "num.partitions=many"}, "explain", "num.partitions", "--config", "server.properties")
	if code != term.ExitOK || !strings.Contains(out, "server.properties:1: Invalid value many") {
		t.Errorf("of a value that is refused, exit code %d: %s", code, out)
	}
}

package app

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/vfs"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands of testdata/cli answer into the scripts")

// A script is a user's session with a node of its own:
//
//	# a comment
//	$ command line, in the words of a shell with single quotes
//	< a line of its standard input
//	what it prints, where an empty line is a dot, then
//	! what it prints to standard error
//	? its exit code, unless that is 0
//
// NODE and HOME stand for the address of the node and for a directory of the script's own.
func TestScriptsOfTheCommandLine(t *testing.T) {
	scripts, err := filepath.Glob("testdata/cli/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal(err, scripts)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, vfs.NewMem(), map[string]string{"offsets.topic.num.partitions": "1"})
			w.start()
			defer w.stop()
			s := &session{w: w, home: t.TempDir()}
			got := s.play(string(text))
			if *rewrite {
				err = os.WriteFile(path, []byte(got), 0o644)
			} else if got != string(text) {
				t.Errorf("%s answers otherwise (go test -rewrite renews it):\n%s", path, difference(string(text), got))
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

type session struct {
	w    *world
	home string
}

// play runs the commands of a script and returns it with what they answer now.
func (s *session) play(script string) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			if line == "" || strings.HasPrefix(line, "#") {
				fmt.Fprintln(&out, line)
			}
			continue // an answer, which is given anew
		}
		fmt.Fprintln(&out, line)
		var stdin strings.Builder
		for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "< "); i++ {
			fmt.Fprintln(&out, lines[i+1])
			fmt.Fprintln(&stdin, strings.TrimPrefix(lines[i+1], "< "))
		}
		out.WriteString(s.run(command, stdin.String()))
	}
	return out.String()
}

func (s *session) run(command, stdin string) string {
	node := s.w.node.Addresses()[0]
	words := shellWords(strings.NewReplacer("NODE", node, "HOME", s.home).Replace(command))
	var stdout, stderr bytes.Buffer
	env := s.w.env
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(stdin), &stdout, &stderr
	env.Getenv = func(name string) string {
		return map[string]string{"HEADRACE_BOOTSTRAP": node, "XDG_CONFIG_HOME": s.home}[name]
	}
	ctx, cancel := context.WithTimeout(s.w.ctx, 20*time.Second)
	defer cancel()
	code := Main(ctx, words, env)
	answer := ""
	for line := range strings.Lines(stdout.String()) {
		if line == "\n" {
			line = ".\n"
		}
		answer += line
	}
	for line := range strings.Lines(stderr.String()) {
		answer += "! " + line
	}
	if answer != "" && !strings.HasSuffix(answer, "\n") {
		answer += "\n"
	}
	if code != 0 {
		answer += fmt.Sprintf("? %d\n", code)
	}
	return s.plain(answer, node)
}

// plain puts words where an answer differs from one run to the next. What stands in columns keeps its width.
func (s *session) plain(answer, node string) string {
	answer = strings.ReplaceAll(answer, node, "NODE")
	answer = strings.ReplaceAll(answer, node[strings.LastIndexByte(node, ':')+1:], "PORT")
	answer = strings.ReplaceAll(answer, s.home, "HOME")
	for _, r := range []struct{ pattern, with string }{
		{`\b[A-Za-z0-9_-]{22}\b`, "THE-ID-OF-A-TOPIC-----"},
		{`(\d+\.\d)(s\)| *\n)`, "SECONDS$2"},
		{`"lagSeconds": \d[\d.]*`, `"lagSeconds": SECONDS`},
		{`\d+\.\d [KMGT]iB`, "SIZE"},
	} {
		answer = regexp.MustCompile(r.pattern).ReplaceAllString(answer, r.with)
	}
	return answer
}

// shellWords cuts at spaces outside of single quotes.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// difference is the first lines in which two texts differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := 0; i < max(len(a), len(b)); i++ {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			from := max(i-3, 0)
			return fmt.Sprintf("line %d\n--- want\n%s\n--- got\n%s", i+1, strings.Join(a[min(from, len(a)):min(i+8, len(a))], "\n"), strings.Join(b[min(from, len(b)):min(i+8, len(b))], "\n"))
		}
	}
	return ""
}

// A group in use cannot be moved or deleted, and its members are shown.
func TestAGroupInUseIsShownAndLeftAlone(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	defer w.stop()
	w.create("orders", nil)
	w.produce("orders", "1", "2")
	joined := make(chan struct{})
	member, err := kgo.NewClient(kgo.SeedBrokers(w.node.Addresses()...), kgo.ClientID("reader"), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"),
		kgo.DisableAutoCommit(), kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(joined) }))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	<-joined
	s := &session{w: w, home: t.TempDir()}
	shown := s.run("group describe billing", "")
	for _, want := range []string{"group billing  classic  state Stable  coordinator 1 (NODE)  assignor cooperative-sticky  members 1  lag ? (?s)", "reader  127.0.0.1  orders:0,1,2", "orders          1  ?            0  ?    ?"} {
		if !strings.Contains(shown, want) {
			t.Errorf("describe:\n%s\nhas no %q", shown, want)
		}
	}
	for command, want := range map[string]string{
		"group reset-offsets billing --to latest --topic orders --execute": "! headrace: cannot move the offsets of group billing: it is in use by 1 member (state Stable): stop them first\n? 1\n",
		"group delete billing --execute":                                   "! headrace: cannot delete group billing: it is in use by 1 member (state Stable): stop them first\n? 1\n",
	} {
		if got := s.run(command, ""); got != want {
			t.Errorf("%s: %s", command, got)
		}
	}
}

// The same goes for a group of the consumer protocol, which is asked for by requests of its own.
func TestAConsumerGroupInUseIsShownAndLeftAlone(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	defer w.stop()
	w.create("orders", nil)
	w.produce("orders", "1", "2")
	join := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	join.Group, join.MemberID, join.RebalanceTimeoutMillis = "billing", "a-member", 1000
	join.SubscribedTopicNames, join.Topics = []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	resp, err := join.RequestWith(w.ctx, w.client)
	for ; err == nil && resp.ErrorCode == kerr.CoordinatorLoadInProgress.Code; resp, err = join.RequestWith(w.ctx, w.client) {
		// __consumer_offsets has just been made, by this
	}
	if err != nil || resp.ErrorCode != 0 {
		t.Fatal(err, resp)
	}
	list := kmsg.NewPtrListGroupsRequest() // of all partitions: the others may still be loading
	for all, err := list.RequestWith(w.ctx, w.client); err != nil || all.ErrorCode != 0; all, err = list.RequestWith(w.ctx, w.client) {
		if err != nil || all.ErrorCode != kerr.CoordinatorLoadInProgress.Code {
			t.Fatal(err, all)
		}
	}
	s := &session{w: w, home: t.TempDir()}
	for command, want := range map[string]string{
		"group list":                     "billing  Stable  consumer  consumer            1\n",
		"group list --protocol Consumer": "billing  Stable",
		"group describe billing":         "group billing  consumer  state Stable  coordinator 1 (NODE)  assignor uniform  members 1  lag ? (?s)",
		"group describe  billing":        "127.0.0.1  orders:0,1,2",
		"group describe billing -o json": `"groupType": "consumer"`,
		"group reset-offsets billing --to latest --topic orders --execute": "it is in use by 1 member (state Stable): stop them first\n? 1\n",
		"group delete billing --execute":                                   "it is in use by 1 member (state Stable): stop them first\n? 1\n",
	} {
		if got := s.run(command, ""); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nhas no %q", command, got, want)
		}
	}
	if got := s.run("group list --protocol classic", ""); strings.Contains(got, "billing") {
		t.Errorf("group list --protocol classic: %s", got)
	}
	leave := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	leave.Group, leave.MemberID, leave.MemberEpoch = "billing", "a-member", -1
	if resp, err := leave.RequestWith(w.ctx, w.client); err != nil || resp.ErrorCode != 0 {
		t.Fatal(err, resp)
	}
	if got := s.run("group delete billing --execute", ""); strings.Contains(got, "!") {
		t.Errorf("group delete: %s", got)
	}
}

func TestAControllerAloneSaysSoToTheCommandLine(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), map[string]string{"process.roles": "controller"})
	w.start()
	defer w.stop()
	s := &session{w: w, home: t.TempDir()}
	const want = "! headrace: NODE is a controller alone, which takes no clients: name a broker of its cluster with --bootstrap HOST:PORT or HEADRACE_BOOTSTRAP\n? 1\n"
	if got := s.run("topic list", ""); got != want {
		t.Errorf("topic list: %s", got)
	}
}

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/term"
)

// world is a cluster and the command that talks to it.
type world struct {
	t    *testing.T
	at   string
	dial func(context.Context, string, string) (net.Conn, error)
	env  map[string]string
}

type result struct {
	code     int
	out, err string
}

func newWorld(t *testing.T, opts ...kfake.Opt) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &world{t: t, at: cluster.ListenAddrs()[0]}
}

// run executes a command line; words are cut at spaces, '·' stands for a space inside a word.
func (w *world) run(stdin, line string) result {
	w.t.Helper()
	return w.runContext(w.t.Context(), stdin, line)
}

func (w *world) runContext(ctx context.Context, stdin, line string) result {
	var out, errs bytes.Buffer
	env := term.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: w.getenv, Dial: w.dial}
	args := strings.Fields(line)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "·", " ")
	}
	code := Run(ctx, args, env, Roles{})
	return result{code, out.String(), errs.String()}
}

func (w *world) getenv(name string) string {
	if name == "HEADRACE_BOOTSTRAP" && w.at != "" {
		return w.at
	}
	return w.env[name]
}

// want runs a command line that must succeed and print exactly out.
func (w *world) want(stdin, line, out string) {
	w.t.Helper()
	r := w.run(stdin, line)
	if r.code != term.ExitOK || r.out != out {
		w.t.Errorf("headrace %s\nexit %d, stderr %q\n got %q\nwant %q", line, r.code, r.err, r.out, out)
	}
}

// refused runs a command line that must fail with this code and one line of error that contains text.
func (w *world) refused(code int, stdin, line, text string) {
	w.t.Helper()
	r := w.run(stdin, line)
	if r.code != code || !strings.Contains(r.err, text) || strings.Count(strings.TrimSuffix(r.err, "\n"), "\n") > 1 || !strings.Contains(r.err, "headrace: ") {
		w.t.Errorf("headrace %s\nexit %d, want %d; stdout %q\n got %q\nwant %q", line, r.code, code, r.out, r.err, text)
	}
}

func TestTopicsAreCreatedListedDescribedAlteredAndDeleted(t *testing.T) {
	w := newWorld(t)
	w.want("", "topic create orders --partitions 3 --config retention.ms=60000 --config cleanup.policy=compact", "created topic orders\n")
	w.refused(term.ExitFailed, "", "topic create orders", "cannot create topic orders: it exists already")
	w.want("", "topic create orders --if-not-exists", "")
	w.want("", "topic create a.b c-d", "created topic a.b\ncreated topic c-d\n")

	list := w.run("", "topic list")
	lines := strings.Split(strings.TrimSuffix(list.out, "\n"), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "NAME PARTITIONS REPLICAS ID" || strings.Join(strings.Fields(lines[3])[:3], " ") != "orders 3 1" {
		t.Errorf("topic list:\n%s", list.out)
	}
	var topics []topicJSON
	if err := json.Unmarshal([]byte(w.run("", "topic list --output json").out), &topics); err != nil || len(topics) != 3 || topics[2].Name != "orders" || len(topics[2].ID) != 22 {
		t.Errorf("topic list --output json: %v %+v", err, topics)
	}

	w.run("a\nb\n", "produce orders --partition 1")
	topics = nil
	if err := json.Unmarshal([]byte(w.run("", "topic describe orders -o json").out), &topics); err != nil {
		t.Fatal(err)
	}
	if d := topics[0].Detail; len(d) != 3 || d[1].End != 2 || d[0].End != 0 || topics[0].Configs["retention.ms"] != "60000" || topics[0].Configs["cleanup.policy"] != "compact" {
		t.Errorf("describe: %+v", topics[0])
	}
	text := w.run("", "topic describe orders a.b").out
	if !strings.Contains(text, "set   cleanup.policy=compact retention.ms=60000\n") || !strings.HasPrefix(text, "topic a.b  id ") {
		t.Errorf("describe:\n%s", text)
	}

	w.want("", "topic alter orders --partitions 4 --config max.message.bytes=2000 --delete-config cleanup.policy", "altered topic orders\n")
	topics = nil
	if err := json.Unmarshal([]byte(w.run("", "topic describe orders -o json").out), &topics); err != nil || topics[0].Partitions != 4 || topics[0].Configs["max.message.bytes"] != "2000" || topics[0].Configs["cleanup.policy"] != "" {
		t.Errorf("after alter: %v %+v", err, topics)
	}
	w.want("", "topic delete orders a.b", "deleted topic orders\ndeleted topic a.b\n")
	w.refused(term.ExitFailed, "", "topic delete orders", "cannot delete topic orders: it does not exist")
	w.want("", "topic delete orders --if-exists", "")
	w.refused(term.ExitFailed, "", "topic describe orders", "cannot describe topic orders: it does not exist (headrace topic list shows those that do)")
	w.refused(term.ExitFailed, "", "topic alter orders --partitions 9", "it does not exist")
}

func TestWrongUseIsOneLineAndExitCodeTwo(t *testing.T) {
	w := &world{t: t, at: "127.0.0.1:1"}
	for line, text := range map[string]string{
		"tpoic":                                    "unknown command \"tpoic\" for headrace: did you mean \"topic\"?",
		"topic lst":                                "unknown command \"lst\" for headrace topic: did you mean \"list\"?",
		"topic create":                             "headrace topic create: TOPIC is missing (see headrace topic create --help)",
		"topic create a --partitions x":            "invalid argument \"x\"",
		"topic create a --partitions 0":            "must be at least 1",
		"topic create a --config b":                "\"b\" is not key=value",
		"topic create a --config b=1 --config b=2": "b is given twice",
		"topic list -o xml":                        "must be table, json or yaml",
		"topic alter a":                            "nothing to change",
		"topic list --bootstrap http://x":          "is not host:port",
		"topic list --bootstrap h:0":               "is not host:port",
		"produce":                                  "TOPIC is missing",
		"produce a --acks 2":                       "--acks must be all, 1 or 0",
		"produce a -z brotli":                      "--compression must be",
		"produce a --format xml":                   "--format must be",
		"produce a --format json -K :":             "are for --format text",
		"produce a -p -3":                          "--partition must not be negative",
		"produce a -H x":                           "\"x\" is not name=value",
		"produce a b":                              "only one TOPIC is taken, and \"b\" comes after it",
		"consume":                                  "TOPIC is missing",
		"consume a --from yesterday":               "\"yesterday\" is none of start, end, an offset",
		"consume a --from @yesterday":              "neither RFC 3339",
		"consume a --follow --to end":              "--follow has no end",
		"consume a -n 0":                           "--count must be at least 1",
		"consume a --offset 1:x":                   "\"1:x\" is no range",
		"consume a --offset 1 --from 2":            "--from and --to cannot be used with it",
		"consume a --format xml":                   "--format must be text, json or a format",
		"consume a --format %z":                    "--format: column 1: %z is not known",
		"consume a -f --group":                     "-f is --format; to go on at the end, give --follow",
		"consume a -f text -o json":                "--format text and --output json contradict each other",
		"consume a --print keys":                   "\"keys\" is none of topic, partition",
		"consume a --format json --print key":      "are for --format text",
		"consume a --group g --from 5":             "--from can only be start, end or @TIME",
		"consume a --group g --partition 1":        "--partition and --to cannot be used",
		"consume a --no-such-flag":                 "unknown flag: --no-such-flag",
		"dev --durability fsync":                   "--durability must be flush or os, not \"fsync\"",
		"dev --listen 9092":                        "--listen: \"9092\" is not host:port",
		"dev --partitions 0":                       "--partitions must be at least 1",
		"adopt":                                    "DIR is missing",
		"version x":                                "",
	} {
		w.refused(term.ExitUsage, "", line, text)
	}
}

func TestAnUnreachableAddressIsNamedWithTheFix(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	w := &world{t: t, at: gone}
	for _, line := range []string{"topic list", "consume a", "produce a"} {
		w.refused(term.ExitUnreachable, "x", line, "cannot reach a node at "+gone+": connection refused; start one with \"headrace dev\", or name another with --bootstrap HOST:PORT or HEADRACE_BOOTSTRAP")
	}
	w.refused(term.ExitUnreachable, "", "topic list --bootstrap no-such-host.invalid", "cannot reach a node at no-such-host.invalid:9092")
}

func TestSomethingElseThatListensIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	w := &world{t: t, at: l.Addr().String()}
	w.refused(term.ExitUnreachable, "", "topic list", "does not speak the Kafka protocol")
}

// A node that advertises an address which only it can reach.
func TestAnAdvertisedAddressThatCannotBeReachedIsTold(t *testing.T) {
	w := newWorld(t)
	first := true
	w.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if first {
			first = false
			return (&net.Dialer{}).DialContext(ctx, network, w.at)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 9092}, Err: errors.New("no route to host")}
	}
	w.refused(term.ExitUnreachable, "x\n", "produce a", "the cluster says that a node is at 10.0.0.9:9092, and that cannot be reached: no route to host; start the node if it is down (headrace cluster health tells), or set its advertised.listeners")
}

func TestAnInterruptedCommandEndsWith130(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := w.runContext(ctx, "", "topic list"); r.code != term.ExitInterrupted || r.err != "headrace: interrupted\n" {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
}

func TestRolesGetTheirOptions(t *testing.T) {
	var got []any
	roles := Roles{
		Dev:    func(_ context.Context, o DevOptions) error { got = append(got, o); return nil },
		Server: func(_ context.Context, o ServerOptions) error { got = append(got, o); return errors.New("port in use") },
		Adopt:  func(_ context.Context, o AdoptOptions) error { got = append(got, o); return nil },
	}
	var errs bytes.Buffer
	env := term.Env{Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &errs, Getenv: func(string) string { return "" }}
	for _, c := range []struct {
		line string
		code int
		want any
	}{
		{"dev", term.ExitOK, DevOptions{DataDir: "./headrace-data", Listen: "127.0.0.1:9092", Durability: conf.DurabilityFlush, Partitions: 1, Output: term.FormTable}},
		{"dev --data-dir /d --listen 0.0.0.0:19092 --durability os --partitions 6 -o json", term.ExitOK, DevOptions{DataDir: "/d", Listen: "0.0.0.0:19092", Durability: conf.DurabilityOS, Partitions: 6, Output: term.FormJSON}},
		{"server --config /etc/headrace.yaml --roles broker --join a:1,b:2", term.ExitFailed,
			ServerOptions{Config: "/etc/headrace.yaml", Roles: []string{"broker"}, Join: []string{"a:1", "b:2"}}},
		{"adopt /kafka", term.ExitOK, AdoptOptions{Dirs: []string{"/kafka"}}},
		{"adopt /disk1 /disk2", term.ExitOK, AdoptOptions{Dirs: []string{"/disk1", "/disk2"}}},
	} {
		got = nil
		if code := Run(t.Context(), strings.Fields(c.line), env, roles); code != c.code || len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
			t.Errorf("%s: exit %d, options %+v", c.line, code, got)
		}
	}
	if errs.String() != "headrace: port in use\n" {
		t.Errorf("stderr %q", errs.String())
	}
}

// A role that ends because of a signal has done what it should.
func TestARoleEndsWellBySignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	roles := Roles{Dev: func(ctx context.Context, _ DevOptions) error { cancel(); return ctx.Err() }}
	env := term.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	if code := Run(ctx, []string{"dev"}, env, roles); code != term.ExitOK {
		t.Errorf("exit %d", code)
	}
}

func TestVersionAndHelpNeedNoCluster(t *testing.T) {
	w := &world{t: t, at: "127.0.0.1:1"}
	if r := w.run("", "version"); r.code != term.ExitOK || !strings.HasPrefix(r.out, "headrace ") || strings.Count(r.out, "\n") != 1 {
		t.Errorf("version: %+v", r)
	}
	if version, flag := w.run("", "version"), w.run("", "--version"); flag != version {
		t.Errorf("--version: %+v", flag)
	}
	if r := w.run("", "consume --help"); r.code != term.ExitOK || !strings.Contains(r.out, "--follow") || strings.Contains(r.out, "--sasl string") {
		t.Errorf("help: %+v", r)
	}
	if r := w.run("", ""); r.code != term.ExitOK || !strings.Contains(r.out, "Exit codes") {
		t.Errorf("no arguments: %+v", r)
	}
}

func TestHelpIsRefusedWithWhatIsNoCommand(t *testing.T) {
	w := &world{t: t}
	w.refused(term.ExitUsage, "", "help nothing", `unknown command "nothing" for headrace`)
	w.refused(term.ExitUsage, "", "help topic crate", `unknown command "crate" for headrace topic: did you mean "create"?`)
	for line, want := range map[string]string{"help": "Exit codes", "help topic create": "--partitions"} {
		if r := w.run("", line); r.code != term.ExitOK || !strings.Contains(r.out, want) {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

func TestManPagesAreWrittenOfEveryCommand(t *testing.T) {
	w := &world{t: t, at: "127.0.0.1:1"}
	dir := filepath.Join(t.TempDir(), "man1")
	if r := w.run("", "man "+dir); r.code != term.ExitOK || !strings.HasSuffix(r.out, " man pages in "+dir+"\n") {
		t.Fatalf("%+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || !strings.HasPrefix(w.run("", "man "+dir).out, strconv.Itoa(len(files))+" ") {
		t.Errorf("%d files, %v", len(files), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "headrace-group-reset-offsets.1"))
	if err != nil || !strings.Contains(string(page), "shift-by") || !strings.Contains(string(page), ".SH EXAMPLE") {
		t.Errorf("%v\n%s", err, page)
	}
}

func TestManPagesSayWhatTheHelpSays(t *testing.T) {
	dir := t.TempDir()
	if r := (&world{t: t}).run("", "man "+dir); r.code != term.ExitOK {
		t.Fatalf("%+v", r)
	}
	page, err := os.ReadFile(filepath.Join(dir, "headrace-consume.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"{unpack[<iq]}", "\n  %T %K %V lengths", `\\xNN`} {
		if !strings.Contains(strings.NewReplacer(`\&`, "", `\-`, "-").Replace(string(page)), want) {
			t.Errorf("%q is missing:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "0001") || strings.Contains(string(page), "cobra") {
		t.Errorf("the page tells of how it was made:\n%s", page)
	}
}

package app

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/base/vfs"
)

// output is what a process prints, with a way to wait for a text in it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.more:
		case <-ctx.Done():
			t.Fatalf("%q does not come; so far:\n%s", text, o)
		}
	}
}

// process is headrace server as a process runs it, on a disk in memory.
type process struct {
	t              *testing.T
	ctx            context.Context
	stdout, stderr *output
	hangups        chan os.Signal
	addresses      chan string
	end            context.CancelFunc
	code           chan int
	disk           vfs.FS
}

func startProcess(t *testing.T, vars map[string]string, changes ...func(*Env)) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	p := &process{
		t: t, ctx: ctx, stdout: newOutput(), stderr: newOutput(), hangups: make(chan os.Signal, 1), addresses: make(chan string, 8),
		code: make(chan int, 1), disk: vfs.NewMem(),
	}
	t.Cleanup(cancel)
	env := OSEnv()
	env.FS, env.Stdout, env.Stderr = p.disk, p.stdout, p.stderr
	env.Getenv = func(name string) string { return vars[name] }
	env.Environ = func() (all []string) {
		for name, text := range vars {
			all = append(all, name+"="+text)
		}
		return all
	}
	env.Hangups = func() (<-chan os.Signal, func()) { return p.hangups, func() {} }
	listen := env.Listen
	env.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		l, err := listen(ctx, network, address)
		if err == nil {
			p.addresses <- l.Addr().String()
		}
		return l, err
	}
	for _, change := range changes {
		change(&env)
	}
	running, end := context.WithCancel(ctx)
	p.end = end
	go func() { p.code <- Main(running, []string{"server"}, env) }()
	return p
}

func (p *process) stop() {
	p.t.Helper()
	p.end()
	select {
	case code := <-p.code:
		if code != 0 {
			p.t.Errorf("exit code %d: %s", code, p.stderr)
		}
	case <-p.ctx.Done():
		p.t.Fatal("the process does not end")
	}
}

// client connects to the first listener, whatever address the node advertises.
func (p *process) client() *kgo.Client {
	p.t.Helper()
	at := <-p.addresses
	cl, err := kgo.NewClient(kgo.SeedBrokers(at), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(cl.Close)
	return cl
}

func read(t *testing.T, fs vfs.FS, path string) string {
	t.Helper()
	text, err := vfs.ReadFile(fs, path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testcontainers are the variables that testcontainers' module for apache/kafka sets, but for the ports.
var testcontainers = map[string]string{
	"CLUSTER_ID": "4L6g3nShT-eMCtK--X86sw", "KAFKA_LISTENERS": "PLAINTEXT://127.0.0.1:0,BROKER://127.0.0.1:0,CONTROLLER://:9094",
	"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
	"KAFKA_INTER_BROKER_LISTENER_NAME":     "BROKER", "KAFKA_PROCESS_ROLES": "broker,controller", "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
	"KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094", "KAFKA_NODE_ID": "1", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
	"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1", "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
	"KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "9223372036854775807", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
	"KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://localhost:32768,BROKER://localhost:9093", "KAFKA_HEAP_OPTS": "-Xmx256m",
}

func TestTheEnvironmentOfTestcontainersStartsANode(t *testing.T) {
	p := startProcess(t, testcontainers)
	p.stdout.await(t, p.ctx, "Transitioning from RECOVERY to RUNNING")
	cl := p.client()
	if _, err := kadm.NewClient(cl).CreateTopic(p.ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(p.ctx, &kgo.Record{Topic: "orders", Value: []byte("one")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.stop()
	if meta := read(t, p.disk, "headrace-data/meta.properties"); !strings.Contains(meta, "cluster.id=4L6g3nShT-eMCtK--X86sw") {
		t.Error(meta)
	}
}

func TestAServerWithoutAnyConfigurationIsRefused(t *testing.T) {
	p := startProcess(t, map[string]string{"KAFKA_HEAP_OPTS": "-Xmx1g"})
	if code := <-p.code; code != 2 {
		t.Errorf("exit code %d: %s", code, p.stderr)
	}
}

func writeConfig(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAHangupReadsTheFileAgain(t *testing.T) {
	const head = "listeners=PLAINTEXT://127.0.0.1:0\nlog.dirs=/data\n"
	file := writeConfig(t, filepath.Join(t.TempDir(), "server.properties"), head+"log.retention.ms=1000000\n")
	p := startProcess(t, map[string]string{"HEADRACE_CONFIG": file})
	p.stdout.await(t, p.ctx, "ready")
	admin := kadm.NewClient(p.client())
	if _, err := admin.CreateTopic(p.ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	retention := func() string {
		described, err := admin.DescribeTopicConfigs(p.ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range described[0].Configs {
			if c.Key == "retention.ms" {
				return c.MaybeValue()
			}
		}
		return ""
	}
	if got := retention(); got != "1000000" {
		t.Fatalf("retention.ms is %s", got)
	}
	for _, c := range []struct{ add, told, want string }{
		{"log.retention.ms=2000000\nnum.partitions=4\n", "restart", "2000000"},
		{"log.retention.ms=3000000\nno.such.key=4\n", "no.such.key", "2000000"},
		{"log.retention.ms=4000000\nnode.id=1\nbroker.id=2\n", "differ", "2000000"},
		{"", "log.retention.ms", "604800000"},
	} {
		writeConfig(t, file, head+c.add)
		already := len(p.stderr.String())
		p.hangups <- os.Interrupt
		for !strings.Contains(p.stderr.String()[already:], c.told) {
			select {
			case <-p.stderr.more:
			case <-p.ctx.Done():
				t.Fatalf("%q: nothing tells of %q:\n%s", c.add, c.told, p.stderr)
			}
		}
		for retention() != c.want { // the line comes before the effect
			if p.ctx.Err() != nil {
				t.Fatalf("%q: retention.ms is %s, want %s", c.add, retention(), c.want)
			}
			runtime.Gosched()
		}
	}
	p.stop()
}

func TestTheLevelOfTheLogHoldsForTheProcessToo(t *testing.T) {
	const text = "listeners=PLAINTEXT://127.0.0.1:0\nlog.dirs=/data\nnum.io.threads=8\nheadrace.log.level="
	for level, want := range map[string][]string{
		"OFF": nil,
		// What it warns of are a key without effect, and a component that there is not.
		"WARN,quorom=DEBUG": {"num.io.threads", "quorom"},
	} {
		file := writeConfig(t, filepath.Join(t.TempDir(), "server.properties"), text+level+"\n")
		p := startProcess(t, map[string]string{"HEADRACE_CONFIG": file})
		p.stdout.await(t, p.ctx, "ready")
		p.stop()
		lines := slices.DeleteFunc(slices.Collect(strings.Lines(p.stderr.String())), func(l string) bool { return strings.Contains(l, "admin port") })
		if len(lines) != len(want) {
			t.Errorf("%s: told %q, want %q", level, lines, want)
			continue
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("%s: told %q, want %q", level, lines[i], w)
			}
		}
	}
}

// Warnings of what does not change are told once, whatever else does or does not.
func TestAHangupTellsAWarningOnce(t *testing.T) {
	const head = "listeners=PLAINTEXT://127.0.0.1:0\nlog.dirs=/data\n"
	file := writeConfig(t, filepath.Join(t.TempDir(), "server.properties"), head)
	p := startProcess(t, map[string]string{"HEADRACE_CONFIG": file})
	p.stdout.await(t, p.ctx, "ready")
	writeConfig(t, file, head+"num.io.threads=8\n")
	for times := 1; times <= 2; times++ {
		p.hangups <- os.Interrupt
		for strings.Count(p.stderr.String(), "nothing has changed") < times {
			select {
			case <-p.stderr.more:
			case <-p.ctx.Done():
				t.Fatal(p.stderr)
			}
		}
	}
	p.stop()
	if got := strings.Count(p.stderr.String(), "num.io.threads"); got != 1 {
		t.Errorf("the warning came %d times", got)
	}
}

// The states that systemd waits for come in their order, and the watchdog is fed.
func TestTheServiceManagerIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "hr") // the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Skip("no datagram sockets here:", err)
	}
	defer socket.Close()
	file := writeConfig(t, filepath.Join(t.TempDir(), "server.yaml"), "listeners: PLAINTEXT://127.0.0.1:0\nlog.dirs: /data\n")
	p := startProcess(t, map[string]string{"NOTIFY_SOCKET": filepath.Join(dir, "n"), "WATCHDOG_USEC": "100000", "HEADRACE_CONFIG": file})
	expect := func(first string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1000)
		for {
			n, err := socket.Read(b)
			if err != nil {
				t.Fatalf("%s: %v", first, err)
			}
			line, _, _ := strings.Cut(string(b[:n]), "\n")
			if line == first {
				return
			}
			if line != "WATCHDOG=1" {
				t.Fatalf("%q came, want %s", b[:n], first)
			}
		}
	}
	expect("READY=1")
	expect("WATCHDOG=1")
	p.hangups <- os.Interrupt
	expect("RELOADING=1")
	expect("READY=1")
	p.end()
	expect("STOPPING=1")
	p.stop()
}

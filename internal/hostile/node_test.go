package hostile

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/app"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
)

var (
	long = flag.Bool("long", false, "the long form: every position of every frame, and larger floods")
	seed = flag.Uint64("seed", 0, "seed of all chance; 0 means a new one, which is logged")
)

const (
	asNode    = "HEADRACE_HOSTILE_NODE"
	withFiles = "HEADRACE_HOSTILE_FILES" // how many files the node may have open
)

// TestMain turns the test binary into a headrace process when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		if n, err := strconv.ParseUint(os.Getenv(withFiles), 10, 64); err == nil {
			limitFiles(n)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := app.Main(ctx, os.Args[1:], app.OSEnv())
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// chance makes the source of chance of one test, and tells its seed.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, s))
}

// either is the size of a test: in the short form, and in the long one.
func either(short, full int) int {
	if *long {
		return full
	}
	return short
}

// victim is a node under attack.
type victim struct {
	t      testing.TB
	addr   string
	pid    int    // of its own process; 0 when it runs in this one
	said   *said  // what it logged
	topic  string // what hostile requests name
	target [16]byte
}

// targetTopic is what hostile requests name; what the healthy client uses is out of their reach.
const targetTopic = "target"

// here starts a node in this process, on a disk in memory, and stops it when the test ends.
func here(t testing.TB) *victim {
	t.Helper()
	return hereWith(t, nil)
}

// hereWith is here with more configuration.
func hereWith(t testing.TB, more map[string]string) *victim {
	t.Helper()
	v := &victim{t: t, said: &said{}, topic: targetTopic}
	keys := map[string]string{
		"node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "/data",
		"offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "4", "group.initial.rebalance.delay.ms": "0",
	}
	maps.Copy(keys, more)
	static, err := conf.NewStatic(keys)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := conf.NewNode(conf.Layers{Static: static})
	if err != nil {
		t.Fatal(err)
	}
	env := app.OSEnv()
	env.FS = vfs.NewMem()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n, err := app.Start(ctx, app.Options{Config: cfg, Static: static, Env: env, Log: slog.New(slog.NewTextHandler(v.said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	v.addr = n.Addresses()[0]
	t.Cleanup(func() {
		if err := n.Close(time.Now()); err != nil {
			t.Errorf("stop: %v", err)
		}
		v.listen(t)
	})
	v.prepare()
	return v
}

// apart starts a node in a process of its own, so that its memory can be told; env is added to its environment.
func apart(t testing.TB, env ...string) *victim {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the memory of another process is not told here")
	}
	v := &victim{t: t, said: &said{}, topic: targetTopic}
	cmd := exec.Command(os.Args[0], "dev", "--data-dir", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0")
	cmd.Env = append(append(os.Environ(), asNode+"=1"), env...)
	cmd.Stdout, cmd.Stderr = v.said, v.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which listen tells
		_ = cmd.Wait()
		v.listen(t)
	})
	v.pid = cmd.Process.Pid
	for begun := time.Now(); v.addr == ""; {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("the node does not start:\n%s", v.said)
		}
		v.said.wait(time.Second)
		v.addr = v.said.after("headrace is ready at ", ",")
	}
	v.prepare()
	return v
}

// prepare creates the topic that is attacked.
func (v *victim) prepare() {
	v.t.Helper()
	cl := v.client()
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = v.topic, 2, 1
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		v.t.Fatalf("create the topic: %v, %+v\n%s", err, resp, v.said)
	}
	v.target = resp.Topics[0].TopicID
}

func (v *victim) client(opts ...kgo.Opt) *kgo.Client {
	v.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(v.addr)}, opts...)...)
	if err != nil {
		v.t.Fatal(err)
	}
	return cl
}

// listen fails the test when the node said that something is wrong with itself, rather than with its clients.
func (v *victim) listen(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(v.said.String()) {
		for _, bad := range []string{"panic", "level=ERROR", "DATA RACE", "fatal error", "goroutine "} {
			if strings.Contains(line, bad) {
				t.Errorf("the node said: %.4000s", line)
				break
			}
		}
	}
}

// resident is the memory of the node's process in bytes: now, or with VmHWM the most that it was.
func (v *victim) resident(field string) int64 {
	v.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.pid))
	if err != nil {
		v.t.Fatalf("%v\n%s", err, v.said)
	}
	_, after, _ := strings.Cut(string(b), field+":")
	kb, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, err := strconv.ParseInt(kb, 10, 64)
	if err != nil {
		v.t.Fatal(err)
	}
	return n << 10
}

// files is how many the node's process has open.
func (v *victim) files(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// forgetPeak makes VmHWM begin anew.
func (v *victim) forgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", v.pid), []byte("5"), 0) // without it the peak is that of the start, which is less
}

// said keeps what a node printed, up to a bound.
type said struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.Len() < 8<<20 {
		s.b.Write(p)
	}
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// after is what stands between two texts, or nothing.
func (s *said) after(begin, end string) string {
	_, rest, found := strings.Cut(s.String(), begin)
	text, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		return ""
	}
	return text
}

// wait returns when more is said, or a time has passed.
func (s *said) wait(most time.Duration) {
	s.mu.Lock()
	if s.more == nil {
		s.more = make(chan struct{})
	}
	more := s.more
	s.mu.Unlock()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-more:
	case <-t.C:
	}
}

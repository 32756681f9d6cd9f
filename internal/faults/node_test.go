package faults

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/app"
)

var (
	cycles = flag.Int("cycles", 0, "faults to make in each test; 0 means the short form")
	seed   = flag.Uint64("seed", 0, "seed of the fault schedule; 0 means a new one, which is logged")
)

const asNode = "HEADRACE_FAULTS_NODE"

// TestMain turns the test binary into a headrace process when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := app.Main(ctx, os.Args[1:], app.OSEnv())
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// node is one headrace process, started again and again on the same port and directory.
type node struct {
	t    *testing.T
	dir  string
	addr string
	args []string
	cmd  *exec.Cmd
	out  *lockedBuffer
}

func newNode(t *testing.T, dir string, args ...string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	n := &node{t: t, dir: dir, addr: addr, args: args}
	t.Cleanup(n.kill)
	return n
}

// start runs the process and returns once it answers requests.
func (n *node) start() {
	n.t.Helper()
	n.out = &lockedBuffer{}
	n.cmd = exec.Command(os.Args[0], append([]string{"dev", "--data-dir", n.dir, "--listen", n.addr}, n.args...)...)
	n.cmd.Env = append(os.Environ(), asNode+"=1")
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	if err := ready(n.addr, 30*time.Second); err != nil {
		n.t.Fatalf("the node does not answer: %v\n%s", err, n.out)
	}
}

// kill ends the process with SIGKILL and waits for it.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill() // it may have ended by itself, which Wait tells
	_ = n.cmd.Wait()
	n.cmd = nil
	if s := n.out.String(); strings.Contains(s, "panic:") || strings.Contains(s, "DATA RACE") {
		n.t.Errorf("the node said:\n%s", s)
	}
}

// ready waits until the address answers a metadata request.
func ready(addr string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
		kgo.RetryTimeout(within), kgo.RequestRetries(1<<20), kgo.DialTimeout(time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		err = cl.Ping(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// lockedBuffer keeps the end of what a process printed.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		l.b.Next(1 << 19)
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ fmt.Stringer = (*lockedBuffer)(nil)

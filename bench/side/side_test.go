package side

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestJavaVersions(t *testing.T) {
	for text, want := range map[string]int{
		"openjdk version \"25.0.3\" 2026-04-21 LTS\nOpenJDK ...": 25,
		"openjdk version \"17.0.15\" 2025-04-15":                 17,
		"java version \"1.8.0_152\"":                             1,
		"openjdk version \"26-ea\" 2026-03-17":                   26,
	} {
		if got, err := javaMajor(text); err != nil || got != want {
			t.Errorf("%q is version %d, %v, want %d", text, got, err, want)
		}
	}
	if _, err := javaMajor("sh: java: not found"); err == nil {
		t.Error("an error message has a version")
	}
}

func TestClusterIDsDoNotLookLikeOptions(t *testing.T) {
	for range 200 {
		id, err := clusterID()
		if err != nil || len(id) != 22 || id[0] == '-' {
			t.Fatalf("cluster id %q, %v", id, err)
		}
	}
}

func TestBothPortsOfAServerAreFree(t *testing.T) {
	ports, err := freePorts(1)
	if err != nil {
		t.Skip(err)
	}
	port := ports[0]
	l, err := net.Listen("tcp", address(port+1)) // where the controller would listen
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if next, err := freePorts(1); err == nil && next[0] <= port {
		t.Errorf("port %d is given though %d is taken", next[0], port+1)
	}
}

// sleeper is a system that does nothing until a signal.
func sleeper(script string) System {
	return System{
		Name:    "sleeper",
		prepare: func(dir string, _ place) error { return os.WriteFile(filepath.Join(dir, "prepared"), nil, 0o600) },
		command: func(string) *exec.Cmd { return exec.Command("sh", "-c", script) },
	}
}

func TestAServerIsStoppedKilledAndKeepsItsPort(t *testing.T) {
	s, dir := sleeper("exec sleep 600"), filepath.Join(t.TempDir(), "server")
	if _, err := s.Start(dir); err == nil {
		t.Fatal("a folder that was not prepared starts")
	}
	var addresses []string
	for _, stop := range []func(*Server) error{
		func(v *Server) error { _, err := v.Stop(); return err },
		func(v *Server) error { v.Kill(); return nil },
	} {
		if err := s.Prepare(dir); err != nil {
			t.Fatal(err)
		}
		v, err := s.Start(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Alive(); err != nil {
			t.Error(err)
		}
		if err := stop(v); err != nil {
			t.Error(err)
		}
		if v.Alive() == nil {
			t.Error("it lives on")
		}
		addresses = append(addresses, v.Address)
	}
	if addresses[0] != addresses[1] {
		t.Errorf("the addresses are %v", addresses)
	}
}

func TestTheContextOfAServerEndsWithItAndSaysWhy(t *testing.T) {
	s, dir := sleeper("echo no room on the disk >&2; exit 1"), t.TempDir()
	if err := s.Prepare(dir); err != nil {
		t.Fatal(err)
	}
	v, err := s.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := v.Context(t.Context())
	defer release()
	<-ctx.Done()
	if cause := context.Cause(ctx); cause == nil || errors.Is(cause, context.Canceled) || !strings.Contains(cause.Error(), "no room on the disk") {
		t.Errorf("the context ended because %v", cause)
	}
}

func TestTheNodesOfAClusterKnowOneAnother(t *testing.T) {
	s := sleeper("exec sleep 600")
	var seen []place
	s.prepare = func(dir string, p place) error {
		seen = append(seen, p)
		return os.WriteFile(filepath.Join(dir, "prepared"), nil, 0o600)
	}
	nodes, err := s.StartCluster(t.TempDir(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { nodes.Kill() }()
	voters := seen[0].voters(0)
	for i, p := range seen {
		if p.id != i+1 || p.alone() || p.voters(0) != voters || p.cluster != seen[0].cluster {
			t.Errorf("node %d is %+v", i+1, p)
		}
		if !strings.Contains(voters, address(p.port())) || nodes[i].Address != address(p.port()) {
			t.Errorf("node %d listens on %s; the voters are %s", i+1, nodes[i].Address, voters)
		}
	}
	ctx, release := nodes.Context(t.Context())
	defer release()
	nodes[1].Kill()
	<-ctx.Done()
	if err := nodes.Alive(); err == nil || !strings.Contains(err.Error(), "node 2") {
		t.Errorf("with a node killed: %v", err)
	}
	if err := nodes.Restart(2); err != nil {
		t.Fatal(err)
	}
	if err := nodes.Alive(); err != nil {
		t.Errorf("with the node back: %v", err)
	}
}

func TestAClustersNodesHaveConfigsOfTheirOwn(t *testing.T) {
	p := place{id: 2, ports: []int{21100, 21102, 21104}, cluster: "abc"}
	for name, c := range map[Name]struct {
		text string
		want []string
	}{
		Headrace: {headraceConfig("/d", p), []string{"node.id=2\n", "cluster.id=abc\n", "voters=1@127.0.0.1:21100,2@127.0.0.1:21102,3@127.0.0.1:21104\n"}},
		Kafka: {kafkaConfig("/d", p), []string{"node.id=2\n", "voters=1@127.0.0.1:21101,2@127.0.0.1:21103,3@127.0.0.1:21105\n",
			"offsets.topic.replication.factor=3\n", "transaction.state.log.min.isr=2\n"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, c.text)
			}
		}
	}
	alone := place{id: 1, ports: []int{21100}, cluster: "abc"}
	if got := headraceConfig("/d", alone); got != "listeners=PLAINTEXT://127.0.0.1:21100\nlog.dirs=/d/data\n" {
		t.Errorf("headrace alone has more than its defaults:\n%s", got)
	}
	if got := kafkaConfig("/d", alone); !strings.Contains(got, "bootstrap.servers=127.0.0.1:21101\n") || !strings.Contains(got, "log.min.isr=1\n") {
		t.Errorf("Kafka alone:\n%s", got)
	}
}

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
	port, err := freePort()
	if err != nil {
		t.Skip(err)
	}
	l, err := net.Listen("tcp", address(port+1)) // where the controller would listen
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if next, err := freePort(); err == nil && next <= port {
		t.Errorf("port %d is given though %d is taken", next, port+1)
	}
}

// sleeper is a system that does nothing until a signal.
func sleeper(script string) System {
	return System{
		Name:    "sleeper",
		prepare: func(dir string, _ int) error { return os.WriteFile(filepath.Join(dir, "prepared"), nil, 0o600) },
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

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestAConfigurationIsCheckedAgainstTheMachine(t *testing.T) {
	dir := t.TempDir()
	file := writeConfig(t, filepath.Join(dir, "file"), "x")
	env := OSEnv()
	env.Environ = func() []string { return nil }
	env.FileLimit = func() int { return 1 << 20 }
	check := func(lines ...string) string {
		path := writeConfig(t, filepath.Join(dir, "a.properties"), strings.Join(lines, "\n"))
		s := configSource{env}
		static, problems := s.Static(path)
		var all []string
		for _, p := range append(problems, s.Machine(t.Context(), static)...) {
			all = append(all, strings.TrimPrefix(p.String(), path))
		}
		return strings.Join(all, "\n")
	}
	for _, c := range []struct{ line, want string }{
		{"log.dirs=" + filepath.Join(dir, "new/er"), ""},
		{"log.dirs=" + file, ":1: log.dirs: " + file + " is a file, not a directory"},
		{"log.dirs=" + filepath.Join(file, "x"), ":1: log.dirs: " + filepath.Join(file, "x") + " cannot be used"},
		{"listeners=PLAINTEXT://192.0.2.1:9092", ":1: listeners: PLAINTEXT://192.0.2.1:9092 is not an address of this machine"},
		{"listeners=PLAINTEXT://127.0.0.2:9092", ""},
		{"listeners=PLAINTEXT://:9092", ""},
		{"advertised.listeners=PLAINTEXT://no-such-host.invalid:1", ":1: advertised.listeners: the host of PLAINTEXT://no-such-host.invalid:1 is not known here"},
		{"node.id=x", ":1: Invalid value x for configuration node.id"},
	} {
		if got := check(c.line); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
	env.FileLimit = func() int { return 1024 }
	if got := check("node.id=1"); !strings.HasPrefix(got, "the process may open 1024 files") {
		t.Error(got)
	}
	env.FS = vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpStat {
			return os.ErrPermission
		}
		return nil
	})
	if got := check("log.dirs=/data"); !strings.Contains(got, "/data cannot be used") {
		t.Error(got)
	}
}

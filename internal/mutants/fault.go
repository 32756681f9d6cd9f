package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fault is one entry of faults.txt.
type fault struct {
	name, file string
	old, new   string
	tests      [][]string // arguments of go test; one of them must fail
}

// parse reads entries, which a line "== name" begins. The lines "file: " and "test: " follow, then the lines that go, each behind
// "-", and those that come, each behind "+". Lines behind "#" between the entries are comments.
func parse(text string) ([]fault, error) {
	var all []fault
	for n, line := range strings.Split(text, "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			all = append(all, fault{name: name})
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("faults.txt:%d: no entry begins before it", n+1)
		}
		if err := all[len(all)-1].take(line); err != nil {
			return nil, fmt.Errorf("faults.txt:%d: %w", n+1, err)
		}
	}
	for _, f := range all {
		if f.file == "" || f.old == "" || len(f.tests) == 0 || f.old == f.new {
			return nil, fmt.Errorf("faults.txt: %q lacks a file, a test, or a change", f.name)
		}
	}
	return all, nil
}

func (f *fault) take(line string) error {
	switch {
	case strings.HasPrefix(line, "file: "):
		f.file = line[len("file: "):]
	case strings.HasPrefix(line, "test: "):
		f.tests = append(f.tests, strings.Fields(line[len("test: "):]))
	case line[0] == '-':
		f.old += line[1:] + "\n"
	case line[0] == '+':
		f.new += line[1:] + "\n"
	default:
		return fmt.Errorf("a line that is neither file:, test:, - nor +: %q", line)
	}
	return nil
}

// play puts the fault into the tree, and fails unless the test does. It leaves the tree as it was.
func (f *fault) play(tree string, limit time.Duration) (said string, err error) {
	path := filepath.Join(tree, filepath.FromSlash(f.file))
	whole, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(whole), f.old); n != 1 {
		return "", fmt.Errorf("the text that goes is in %s %d times, not once", f.file, n)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(whole), f.old, f.new, 1)), 0o644); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, whole, 0o644)) }()
	for _, t := range f.tests {
		out, failed := goTool(tree, limit, append([]string{"test", "-count=1", "-failfast"}, t...)...)
		said += out
		switch {
		case failed == nil:
		case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
			return said, errors.New("it does not compile")
		case strings.Contains(out, "--- FAIL") || strings.Contains(out, "panic:") || errors.Is(failed, context.DeadlineExceeded):
			return said, nil
		default:
			return said, fmt.Errorf("go test %s: %w", strings.Join(t, " "), failed)
		}
	}
	return said, errors.New("the tests pass with it")
}

func goTool(tree string, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = tree
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), errors.Join(err, ctx.Err())
}

// copyTree copies what Go needs of the module that the command was started in.
func copyTree() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	tree, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return "", err
	}
	for _, part := range []string{"go.mod", "go.sum", "internal"} {
		if err := copyPart(filepath.Join(root, part), filepath.Join(tree, part)); err != nil {
			return "", errors.Join(err, os.RemoveAll(tree))
		}
	}
	return tree, nil
}

func copyPart(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

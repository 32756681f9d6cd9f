package kcat

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/headrace/headrace/internal/cli/term"
)

// searchFile reads the file of properties where kcat looks for it.
func (o *options) searchFile(e term.Env) error {
	for _, name := range []string{"KCAT_CONFIG", "KAFKACAT_CONFIG"} {
		if path := e.Getenv(name); path != "" {
			return o.readFile(path, e)
		}
	}
	home := e.Getenv("HOME")
	for _, name := range []string{"kcat.conf", "kafkacat.conf"} {
		path := filepath.Join(home, ".config", name)
		if _, err := os.Stat(path); home != "" && err == nil {
			return o.readFile(path, e)
		}
	}
	return nil
}

// readFile reads a file of properties.
func (o *options) readFile(path string, e term.Env) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fatal("Failed to open %s: %s", path, reason(err))
	}
	o.warnings = append(o.warnings, "Reading configuration from file "+path)
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.NewReplacer(`\:`, ":", `\=`, "=").Replace(line), "=")
		if !ok || name == "" {
			return fatal("%s:%d: expected property=value", path, number)
		}
		if err := o.props.setFromFile(name, value, o); err != nil {
			return fatal("%s:%d: %s", path, number, err)
		}
	}
	return nil
}

// reason is an error of the file system without the path.
func reason(err error) string {
	_, words, ok := strings.Cut(err.Error(), ": ")
	if !ok || words == "" {
		return err.Error()
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

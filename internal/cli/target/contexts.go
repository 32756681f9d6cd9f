package target

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/headrace/headrace/internal/cli/term"
)

// Contexts are clusters by name, as a file of the user keeps them: for each the settings that it has.
type Contexts struct {
	Current string                       `yaml:"current,omitempty"`
	Named   map[string]map[string]string `yaml:"contexts"`
}

// Names are those of all contexts, in order.
func (c Contexts) Names() []string { return slices.Sorted(maps.Keys(c.Named)) }

// Get is the context with a name, or a complaint that tells those there are.
func (c Contexts) Get(name string) (map[string]string, error) {
	if settings, ok := c.Named[name]; ok {
		return settings, nil
	}
	if len(c.Named) == 0 {
		return nil, term.Usage("there is no context %s: make it with headrace context create %s --bootstrap HOST:PORT", name, name)
	}
	return nil, term.Usage("there is no context %s: there are %s", name, strings.Join(c.Names(), ", "))
}

// ContextsPath is the file of contexts, or empty where the user has no home.
func (t *Target) ContextsPath() string {
	dir := t.env.Getenv("XDG_CONFIG_HOME")
	if dir == "" && runtime.GOOS == "windows" {
		dir = t.env.Getenv("AppData")
	}
	if home := t.env.Getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "headrace", "contexts.yaml")
}

// LoadContexts reads the file; one that does not exist has no contexts. A file with a password that others can read is refused.
func (t *Target) LoadContexts() (Contexts, error) {
	contexts := Contexts{Named: map[string]map[string]string{}}
	path := t.ContextsPath()
	if path == "" {
		return contexts, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return contexts, nil
	}
	if err != nil {
		return contexts, fmt.Errorf("read contexts: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&contexts); err != nil && len(bytes.TrimSpace(text)) > 0 {
		return contexts, fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range contexts.Names() {
		for key := range contexts.Named[name] {
			if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == key }) {
				return contexts, fmt.Errorf("%s: context %s: %q is none of the settings: %s", path, name, key, strings.Join(settingNames(), ", "))
			}
		}
	}
	return contexts, checkSecret(path, contexts)
}

func settingNames() []string {
	var names []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	return names
}

func checkSecret(path string, contexts Contexts) error {
	if runtime.GOOS == "windows" || !contexts.hasSecret() {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read contexts: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s holds a password and others may open it (mode %04o): chmod 600 %s", path, mode, path)
	}
	return nil
}

func (c Contexts) hasSecret() bool {
	for _, values := range c.Named {
		for _, s := range settings {
			if s.secret && values[s.name] != "" {
				return true
			}
		}
	}
	return false
}

// SaveContexts writes the file anew, for the user alone.
func (t *Target) SaveContexts(c Contexts) error {
	path := t.ContextsPath()
	if path == "" {
		return errors.New("there is no place for contexts: set HOME or XDG_CONFIG_HOME")
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "contexts-*.yaml") // mode 0600
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write contexts: %w", err)
	}
	return nil
}

// FromFlags are the settings that the flags of this command line give, for a context that is made of them.
func (t *Target) FromFlags() map[string]string {
	given := map[string]string{}
	for _, s := range settings {
		if text := t.flags[s.name]; text != nil && *text != "" {
			given[s.name] = *text
		}
	}
	return given
}

// CheckContext tells what is wrong with the settings of a context.
func CheckContext(values map[string]string) error {
	var all []Value
	for _, s := range settings {
		text := values[s.name]
		if text == "" {
			text = s.standard
		}
		all = append(all, Value{Name: s.name, Value: text})
	}
	_, err := clusterOf(all)
	return err
}

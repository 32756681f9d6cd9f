package conf

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Static holds the keys that the configuration file, or the command line, sets. The zero value sets none. It is immutable.
type Static struct {
	values   map[string]string
	warnings []string
}

// Get is the value of a key that is set, as it was written. node.id and broker.id, its older name, stand for one another.
func (s Static) Get(name string) (string, bool) {
	v, ok := s.values[name]
	switch {
	case ok:
	case name == "node.id":
		v, ok = s.values["broker.id"]
	case name == "broker.id":
		v, ok = s.values["node.id"]
	}
	return v, ok
}

// Warnings are the lines that a start should show: what is accepted and does nothing, what is set twice.
func (s Static) Warnings() []string { return s.warnings }

// With is s with one key set, as by a flag of the command line.
func (s Static) With(name, text string) (Static, error) {
	warning, err := checkStatic(name, text)
	if err != nil {
		return Static{}, err
	}
	next := Static{values: maps.Clone(s.values), warnings: s.warnings}
	if warning != "" {
		next.warnings = append(s.warnings[:len(s.warnings):len(s.warnings)], warning)
		return next, nil
	}
	if next.values == nil {
		next.values = map[string]string{}
	}
	next.values[name] = text
	return next, nil
}

// NewStatic is a Static made of these keys, as by a program that starts a node inside itself.
func NewStatic(values map[string]string) (Static, error) {
	var s Static
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var err error
		if s, err = s.With(name, values[name]); err != nil {
			return Static{}, err
		}
	}
	return s, nil
}

// maxFileSize bounds what ParseFile reads; the longest real files have a few tens of kilobytes.
const maxFileSize = 1 << 20

// ParseFile reads a configuration file; its ending tells its form, .properties as Apache Kafka writes it, or .yaml and .yml.
// The error names file and line.
func ParseFile(path string) (Static, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Static{}, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxFileSize {
		return Static{}, fmt.Errorf("%s: a configuration file has at most %d bytes, this has %d", path, maxFileSize, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Static{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse reads the text of a configuration file named path.
func Parse(path string, text []byte) (Static, error) {
	var lines []line
	var err error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".properties":
		lines, err = parseProperties(text)
	case ".yaml", ".yml":
		lines, err = parseYAML(text)
	default:
		return Static{}, fmt.Errorf("%s: cannot tell the form of the file: name it .properties, .yaml or .yml", path)
	}
	if err != nil {
		return Static{}, fmt.Errorf("%s:%w", path, err)
	}
	return fromLines(path, lines)
}

// line is one key of a file with the number of the line it starts on.
type line struct {
	number     int
	key, value string
}

// fromLines checks the keys in the order of the file. Of a key that is set twice the last counts, as in Apache Kafka.
func fromLines(path string, lines []line) (Static, error) {
	s := Static{values: map[string]string{}}
	first := map[string]int{}
	for _, l := range lines {
		warning, err := checkStatic(l.key, l.value)
		if err != nil {
			return Static{}, fmt.Errorf("%s:%d: %w", path, l.number, err)
		}
		if before, ok := first[l.key]; ok {
			s.warnings = append(s.warnings, fmt.Sprintf("%s:%d: %s is set a second time; line %d no longer counts", path, l.number, l.key, before))
		}
		first[l.key] = l.number
		if warning != "" {
			s.warnings = append(s.warnings, fmt.Sprintf("%s:%d: %s", path, l.number, warning))
			continue
		}
		s.values[l.key] = l.value
	}
	return s, nil
}

// checkStatic decides on one key of a file: an error refuses it, a warning accepts it without effect.
func checkStatic(name, text string) (warning string, err error) {
	if d, ok := Lookup(ScopeBroker, name); ok {
		return "", d.Check(text)
	}
	if l, ok := legacyOf(name); ok {
		return l.check(name, text)
	}
	return "", unknown(ScopeBroker, name)
}

package conf

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Static holds the keys that are set before a node starts: by the configuration file, the environment and the command line.
// The zero value sets none. It is immutable.
type Static struct {
	values    map[string]given
	warnings  []Problem
	clusterID string
}

// given is the text of a key and the place where it was written.
type given struct{ text, where string }

// Get is the value of a key that is set, as it was written. node.id and broker.id, its older name, stand for one another.
func (s Static) Get(name string) (string, bool) {
	g, ok := s.given(name)
	return g.text, ok
}

// Where is the place at which a key is set, as in server.properties:3 or environment KAFKA_NODE_ID; empty when it is not set.
func (s Static) Where(name string) string {
	g, _ := s.given(name)
	return g.where
}

func (s Static) given(name string) (given, bool) {
	g, ok := s.values[name]
	switch {
	case ok:
	case name == "node.id":
		g, ok = s.values["broker.id"]
	case name == "broker.id":
		g, ok = s.values["node.id"]
	}
	return g, ok
}

// ClusterID is the id that the environment wants for a new cluster, or empty.
func (s Static) ClusterID() string { return s.clusterID }

// Warnings are the lines that a start should show: what is accepted and does nothing, what is set twice.
func (s Static) Warnings() []string {
	var lines []string
	for _, p := range s.warnings {
		lines = append(lines, p.String())
	}
	return lines
}

// With is s with one key set, as by a flag of the command line.
func (s Static) With(name, text string) (Static, error) {
	next := s.clone()
	if p, told := next.set("", name, text); told && p.Refused {
		return Static{}, p.cause
	}
	return next, nil
}

func (s Static) clone() Static {
	next := Static{values: maps.Clone(s.values), warnings: slices.Clone(s.warnings), clusterID: s.clusterID}
	if next.values == nil {
		next.values = map[string]given{}
	}
	return next
}

// set takes one key, if it is one that does something; what there is to tell of it is kept with the warnings, or refuses it.
func (s *Static) set(where, name, text string) (p Problem, told bool) {
	warning, err := checkStatic(name, text)
	switch {
	case err != nil:
		return refusal(where, name, err), true
	case warning != "":
		p = Problem{Where: where, Key: name, Text: warning}
		s.warnings = append(s.warnings, p)
		return p, true
	}
	s.values[name] = given{text, where}
	return Problem{}, false
}

// NewStatic is a Static made of these keys, as by a program that starts a node inside itself.
func NewStatic(values map[string]string) (Static, error) {
	var s Static
	for _, name := range namesOf(values) {
		var err error
		if s, err = s.With(name, values[name]); err != nil {
			return Static{}, err
		}
	}
	return s, nil
}

// maxFileSize bounds what is read of a file; the longest real ones have a few tens of kilobytes.
const maxFileSize = 1 << 20

// ParseFile reads a configuration file; its ending tells its form, .properties as Apache Kafka writes it, or .yaml and .yml.
// The error names file and line.
func ParseFile(path string) (Static, error) {
	s, problems := ExamineFile(path)
	return s.orRefused(problems)
}

// Parse reads the text of a configuration file named path.
func Parse(path string, text []byte) (Static, error) {
	s, problems := Examine(path, text)
	return s.orRefused(problems)
}

func (s Static) orRefused(problems []Problem) (Static, error) {
	if err := firstRefused(problems); err != nil {
		return Static{}, err
	}
	return s, nil
}

// ExamineFile reads a configuration file as far as it can be read, and tells all that is to be said of it.
func ExamineFile(path string) (Static, []Problem) {
	fail := func(err error) (Static, []Problem) { return Static{}, []Problem{refusal("", "", err)} }
	info, err := os.Stat(path)
	if err != nil {
		return fail(fmt.Errorf("read configuration: %w", err))
	}
	if !info.Mode().IsRegular() {
		return fail(fmt.Errorf("read configuration: %s is not a file", path)) // a pipe would be waited for, a device has no end
	}
	if info.Size() > maxFileSize {
		return fail(fmt.Errorf("%s: a configuration file has at most %d bytes, this has %d", path, maxFileSize, info.Size()))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fail(fmt.Errorf("read configuration: %w", err))
	}
	return Examine(path, text)
}

// Examine is ExamineFile for the text of a file named path.
func Examine(path string, text []byte) (Static, []Problem) {
	var lines []line
	var err error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".properties":
		lines, err = parseProperties(text)
	case ".yaml", ".yml":
		lines, err = parseYAML(text)
	default:
		err = fmt.Errorf("%s: cannot tell the form of the file: name it .properties, .yaml or .yml", path)
		return Static{}, []Problem{refusal("", "", err)}
	}
	if err != nil {
		return Static{}, []Problem{refusal("", "", fmt.Errorf("%s:%w", path, err))}
	}
	return fromLines(path, lines)
}

// line is one key of a file with the number of the line it starts on.
type line struct {
	number     int
	key, value string
}

// fromLines checks the keys in the order of the file. Of a key that is set twice the last counts, as in Apache Kafka.
func fromLines(path string, lines []line) (Static, []Problem) {
	s := Static{values: map[string]given{}}
	var problems []Problem
	first := map[string]int{}
	for _, l := range lines {
		where := fmt.Sprintf("%s:%d", path, l.number)
		if before, ok := first[l.key]; ok {
			twice := Problem{Where: where, Key: l.key, Text: fmt.Sprintf("%s is set a second time; line %d no longer counts", l.key, before)}
			s.warnings = append(s.warnings, twice)
			problems = append(problems, twice)
		}
		first[l.key] = l.number
		if p, told := s.set(where, l.key, l.value); told {
			problems = append(problems, p)
		}
	}
	return s, problems
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

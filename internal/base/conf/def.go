package conf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Scope is the kind of resource that a key belongs to; the numbers are those of DescribeConfigs.
type Scope int8

// The scopes of Kafka. Topic, Broker and Group hold keys in this release.
const (
	ScopeTopic         Scope = 2
	ScopeBroker        Scope = 4
	ScopeBrokerLogger  Scope = 8
	ScopeClientMetrics Scope = 16
	ScopeGroup         Scope = 32
)

// Kind is the type of a key's value; the numbers are those of DescribeConfigs.
type Kind int8

// The kinds of values.
const (
	Boolean  Kind = 1
	String   Kind = 2
	Int      Kind = 3
	Short    Kind = 4
	Long     Kind = 5
	Double   Kind = 6
	List     Kind = 7
	Class    Kind = 8
	Password Kind = 9
)

// String is the kind as Kafka's messages spell it.
func (k Kind) String() string {
	names := [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Update says how a broker key may be changed while the node runs.
type Update int8

// ReadOnly keys come from the file alone; PerBroker keys may be set for one broker; ClusterWide keys for one broker or as the
// default of all.
const (
	ReadOnly Update = iota
	PerBroker
	ClusterWide
)

// String is the mode as Kafka's documentation spells it.
func (u Update) String() string { return [...]string{"read-only", "per-broker", "cluster-wide"}[u] }

// Synonym is a broker key that stands for a topic key; its value times Factor is the topic key's value.
type Synonym struct {
	Name   string
	Factor int64 // 1 except where the units differ, such as hours for milliseconds
}

// Def defines one key.
type Def struct {
	Name    string
	Kind    Kind
	Default string // unless Null
	Null    bool   // no default: the key is null until it is set
	Doc     string
	Update  Update // of broker keys; topic keys can always be changed
	// Synonyms are, for a topic key, the broker keys that give its default, the first one set wins; for a broker key the
	// family that DescribeConfigs shows together with it (empty means the key alone).
	Synonyms []Synonym
	// Internal keys are accepted and honoured, but listed only where they are set.
	Internal bool
	// Own marks keys that Apache Kafka does not have.
	Own bool

	valid rule
}

// Sensitive tells whether the value must never be shown.
func (d Def) Sensitive() bool { return d.Kind == Password }

// family lists a broker key and what stands for it, the first one set wins.
func (d Def) family() []Synonym {
	if len(d.Synonyms) > 0 {
		return d.Synonyms
	}
	return []Synonym{{Name: d.Name, Factor: 1}}
}

// Values describes the accepted values in a few words, or is empty when the kind says it all.
func (d Def) Values() string { return d.valid.text() }

// Check tells what is wrong with a value in the words of Kafka's tools, or returns nil. The error is an *Error.
func (d Def) Check(value string) error {
	if _, err := parse(d, value); err != nil {
		return err
	}
	return nil
}

// Canonical is a checked value as DescribeConfigs shows it: trimmed, numbers and booleans in one spelling.
func (d Def) Canonical(value string) string {
	v, err := parse(d, value)
	if err != nil {
		return value
	}
	return v.text()
}

// Error is a key or a value that is refused, in the words that Kafka's tools show. It wraps the protocol's code.
type Error struct {
	Text string
	Code *kerr.Error
	Key  string // empty where the trouble is not with one key
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives callers the protocol's code.
func (e *Error) Unwrap() error { return e.Code }

func invalid(text string) *Error { return &Error{Text: text, Code: kerr.InvalidConfig} }

// wrong is an Error about one key.
func wrong(key, format string, args ...any) *Error {
	return &Error{Text: fmt.Sprintf(format, args...), Code: kerr.InvalidConfig, Key: key}
}

// Topic lists the topic keys, sorted by name.
func Topic() []Def { return slices.Clone(topicDefs) }

// Broker lists the broker keys that do something, sorted by name.
func Broker() []Def { return slices.Clone(brokerDefs) }

// Lookup finds a key.
func Lookup(scope Scope, name string) (Def, bool) {
	defs := defsOf(scope)
	i, ok := slices.BinarySearchFunc(defs, name, func(d Def, name string) int { return strings.Compare(d.Name, name) })
	if !ok {
		return Def{}, false
	}
	return defs[i], true
}

// IsList tells whether the key is a list, so that values can be appended to it and subtracted from it.
func IsList(scope Scope, name string) bool {
	d, ok := Lookup(scope, name)
	return ok && d.Kind == List
}

// Updatable tells how a broker key may be changed while the node runs; unknown keys are ReadOnly.
func Updatable(name string) Update {
	d, _ := Lookup(ScopeBroker, name)
	return d.Update
}

func defsOf(scope Scope) []Def {
	switch scope {
	case ScopeTopic:
		return topicDefs
	case ScopeBroker:
		return brokerDefs
	case ScopeGroup:
		return groupDefs
	}
	return nil
}

// sorted orders a table by name, so that it may be written by subject.
func sorted(defs ...[]Def) []Def {
	all := slices.Concat(defs...)
	slices.SortFunc(all, func(a, b Def) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Package filter decides by an expression in CEL which records a command shows. consume compiles one for --filter; a Filter counts
// what it could not judge and belongs to one goroutine.
package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
	"github.com/twmb/franz-go/pkg/kgo"
)

// costLimit bounds the work for one record; a search through ten megabytes of text stays below it.
const costLimit = 1_000_000

// Help tells what an expression can use.
const Help = "an expression in CEL over key, value (text, or bytes where they are none, or null), json (the value parsed), headers (a map), topic, partition, offset, timestamp"

// Filter is a compiled expression.
type Filter struct {
	program cel.Program
	failed  int
	first   error
}

// Compile checks an expression. Its error tells the column.
func Compile(expression string) (*Filter, error) {
	env, err := cel.NewEnv(
		cel.Variable("key", cel.DynType), cel.Variable("value", cel.DynType), cel.Variable("json", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.DynType)), cel.Variable("topic", cel.StringType),
		cel.Variable("partition", cel.IntType), cel.Variable("offset", cel.IntType), cel.Variable("timestamp", cel.TimestampType),
		ext.Strings(), ext.Encoders(),
	)
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, syntaxError(issues)
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("the expression gives %s, and true or false is wanted", kind)
	}
	program, err := env.Program(ast, cel.CostLimit(costLimit), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	return &Filter{program: program}, nil
}

// syntaxError is the first issue in one line.
func syntaxError(issues *cel.Issues) error {
	e := issues.Errors()[0]
	text, _, _ := strings.Cut(e.Message, "\n")
	if e.Location.Line() > 1 {
		return fmt.Errorf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, text)
	}
	return fmt.Errorf("column %d: %s", e.Location.Column()+1, text)
}

var errNotBool = errors.New("the expression gave neither true nor false")

// Match tells whether the expression holds for a record. A record that it fails on is counted and does not match.
func (f *Filter) Match(r *kgo.Record) bool {
	result, _, err := f.program.Eval(map[string]any{
		"key":       text(r.Key),
		"value":     text(r.Value),
		"json":      func() any { return parsed(r.Value) }, // only where the expression asks for it
		"headers":   headers(r.Headers),
		"topic":     r.Topic,
		"partition": int64(r.Partition),
		"offset":    r.Offset,
		"timestamp": r.Timestamp,
	})
	if err == nil {
		holds, ok := result.Value().(bool)
		if ok {
			return holds
		}
		err = errNotBool
	}
	f.failed++
	if f.first == nil {
		f.first = fmt.Errorf("record %d of partition %d of %s: %w", r.Offset, r.Partition, r.Topic, err)
	}
	return false
}

// Failures are how many records could not be judged, and why the first could not.
func (f *Filter) Failures() (int, error) { return f.failed, f.first }

// text is what an expression sees of bytes.
func text(b []byte) any {
	switch {
	case b == nil:
		return types.NullValue
	case utf8.Valid(b):
		return string(b)
	}
	return b
}

// headers has the last value of each name.
func headers(list []kgo.RecordHeader) map[string]any {
	all := make(map[string]any, len(list))
	for _, h := range list {
		all[h.Key] = text(h.Value)
	}
	return all
}

// parsed is a value read as JSON, or the error that it is none.
func parsed(value []byte) any {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	if err != nil {
		return types.NewErr("the value is not JSON: %v", err)
	}
	return numbers(v)
}

// numbers makes whole numbers ints and others doubles.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		n, _ := v.Float64()
		return n
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	case nil:
		return types.NullValue
	}
	return v
}

package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// Form is the form of an answer: the value of --output.
type Form string

// The forms.
const (
	FormTable Form = "table"
	FormJSON  Form = "json"
	FormYAML  Form = "yaml"
)

// OutputFlag adds --output to a command.
func OutputFlag(cmd *cobra.Command) *Form {
	form := FormTable
	cmd.Flags().VarP(&form, "output", "o", "table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return &form
}

func (f *Form) String() string { return string(*f) }

// Type is the word for the value in a help text.
func (f *Form) Type() string { return "form" }

// Set takes one of the forms.
func (f *Form) Set(s string) error {
	switch Form(s) {
	case FormTable, FormJSON, FormYAML:
		*f = Form(s)
		return nil
	}
	return fmt.Errorf("must be table, json or yaml")
}

// Print writes value as JSON or YAML, with the names of its json tags in both, or for people: what forPeople writes, which Table
// and Lines make.
func (e Env) Print(form Form, value any, forPeople func(io.Writer) error) error {
	switch form {
	case FormJSON:
		return WriteJSON(e.Stdout, value)
	case FormYAML:
		return WriteYAML(e.Stdout, value)
	}
	return forPeople(e.Stdout)
}

// Lines is text for people that is no table.
func Lines(format string, args ...any) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format, args...)
		return err
	}
}

// Column is one column of a table: its head, and the cell for a row.
type Column[T any] struct {
	Head string
	Cell func(T) any
}

// Col makes a Column.
func Col[T any](head string, cell func(T) any) Column[T] { return Column[T]{head, cell} }

// Table writes rows without borders, so that the lines can also be cut by other programs. Only the head is written when there
// are none.
func Table[T any](rows []T, columns ...Column[T]) func(io.Writer) error {
	return func(w io.Writer) error {
		t := table.NewWriter()
		style := table.StyleDefault
		style.Options = table.OptionsNoBordersAndSeparators
		style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
		style.Format.Header = text.FormatUpper
		t.SetStyle(style)
		head := make(table.Row, len(columns))
		for i, c := range columns {
			head[i] = c.Head
		}
		t.AppendHeader(head)
		for _, r := range rows {
			cells := make(table.Row, len(columns))
			for i, c := range columns {
				cells[i] = c.Cell(r)
			}
			t.AppendRow(cells)
		}
		lines := strings.Split(t.Render(), "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
		return err
	}
}

// WriteJSON writes v as JSON on several lines.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// WriteYAML writes v as YAML with the names and the order that its JSON has, so that one set of tags serves both.
func WriteYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	node, err := yamlNode(d)
	if err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return err
	}
	return e.Close()
}

// yamlNode reads one JSON value.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		if t == '{' {
			node.Kind = yaml.MappingNode // its keys are tokens like its values
		}
		for d.More() {
			n, err := yamlNode(d)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, n)
		}
		if len(node.Content) == 0 {
			node.Style = yaml.FlowStyle
		}
		_, err := d.Token()
		return node, err
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case string:
		node := &yaml.Node{}
		node.SetString(t)
		return node, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

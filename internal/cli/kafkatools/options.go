package kafkatools

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The command lines of Kafka's tools follow the rules of the Java library that reads them there: --name value and --name=value,
// with one dash or two, in any order; an option without its argument takes the next word, whatever it looks like; words that
// belong to no option are dropped.

type argKind int

const (
	noArg argKind = iota
	needsArg
	mayHaveArg
)

// option is one that a tool knows.
type option struct {
	name, help string
	kind       argKind
	arg        string // what the argument is, in the help
	number     bits   // the argument is a whole number of so many bits
	fallback   string // the value where there is none
	repeated   bool   // it may be given several times
	commas     bool   // an argument is a list
	only       []string
}

type bits int

// parser is the options of one tool.
type parser struct{ options []*option }

func (p *parser) add(o *option) *option {
	p.options = append(p.options, o)
	return o
}

// flag adds an option without an argument.
func (p *parser) flag(name, help string) *option { return p.add(&option{name: name, help: help}) }

// value adds an option with an argument.
func (p *parser) value(name, arg, help string) *option {
	return p.add(&option{name: name, arg: arg, help: help, kind: needsArg})
}

// maybe adds an option with an argument that can be left out.
func (p *parser) maybe(name, arg, help string) *option {
	return p.add(&option{name: name, arg: arg, help: help, kind: mayHaveArg})
}

func (o *option) int32() *option                   { o.number = 32; return o }
func (o *option) int64() *option                   { o.number = 64; return o }
func (o *option) or(value string) *option          { o.fallback = value; return o }
func (o *option) many() *option                    { o.repeated = true; return o }
func (o *option) list() *option                    { o.commas, o.repeated = true, true; return o }
func (o *option) onlyWith(names ...string) *option { o.only = names; return o }

func (p *parser) find(name string) *option {
	for _, o := range p.options {
		if o.name == name {
			return o
		}
	}
	return nil
}

// parsed is a command line that was read.
type parsed struct {
	p      *parser
	order  []*option // as they were given
	values map[string][]string
}

// parse reads args. The values are looked at by check.
func (p *parser) parse(args []string) (*parsed, error) {
	line := &parsed{p: p, values: map[string][]string{}}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch {
		case word == "--":
			return line, nil
		case word == "-" || !strings.HasPrefix(word, "-"):
			continue // no tool has arguments besides options
		}
		var err error
		if args, err = line.take(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), strings.HasPrefix(word, "--"), args); err != nil {
			return nil, err
		}
	}
	return line, line.available()
}

// take reads one option, whose argument may be the first of the words after it, and returns the words that are left.
func (l *parsed) take(word string, long bool, rest []string) ([]string, error) {
	name, value, _ := strings.Cut(word, "=")
	o := l.p.find(name)
	if o == nil {
		if !long && name != "" {
			name = name[:1] // what follows one dash may be a row of letters
		}
		return nil, optionError("UnrecognizedOptionException", "%s is not a recognized option", name)
	}
	l.order = append(l.order, o)
	switch {
	case o.kind == noArg:
		return rest, nil
	case value != "":
		l.put(o, value)
		return rest, nil
	case o.kind == mayHaveArg && (len(rest) == 0 || strings.HasPrefix(rest[0], "-") && rest[0] != "-"):
		return rest, nil
	case len(rest) == 0:
		return nil, optionError("OptionMissingRequiredArgumentException", "Option %s requires an argument", o.name)
	}
	l.put(o, rest[0])
	return rest[1:], nil
}

func (l *parsed) put(o *option, value string) {
	if o.commas {
		l.values[o.name] = append(l.values[o.name], strings.Split(value, ",")...)
		return
	}
	l.values[o.name] = append(l.values[o.name], value)
}

// available refuses options that only make sense beside others.
func (l *parsed) available() error {
	for _, o := range l.p.options {
		if o.only != nil && l.has(o.name) && !slices.ContainsFunc(o.only, l.has) {
			return optionError("UnavailableOptionException", "Option(s) [%s] are unavailable given other options on the command line", o.name)
		}
	}
	return nil
}

// check looks at the values: numbers must be numbers, and what can be given once must not be given twice.
func (l *parsed) check() error {
	for _, o := range l.p.options {
		all := l.values[o.name]
		if len(all) > 1 && !o.repeated {
			return optionError("MultipleArgumentsForOptionException", "Found multiple arguments for option %s, but you asked for only one", o.name)
		}
		for _, v := range all {
			if o.number == 0 {
				continue
			}
			if _, err := strconv.ParseInt(v, 10, int(o.number)); err != nil {
				return optionError("OptionArgumentConversionException", "Cannot parse argument '%s' of option %s", v, o.name)
			}
		}
	}
	return nil
}

func (l *parsed) has(name string) bool {
	return slices.ContainsFunc(l.order, func(o *option) bool { return o.name == name })
}

// text is the value of an option, or its fallback.
func (l *parsed) text(name string) string {
	if all := l.values[name]; len(all) > 0 {
		return all[0]
	}
	return l.p.find(name).fallback
}

// all are the values of an option that can be given several times.
func (l *parsed) all(name string) []string { return l.values[name] }

// num is the value of an option that check found to be a number.
func (l *parsed) num(name string) int64 {
	n, _ := strconv.ParseInt(l.text(name), 10, 64)
	return n
}

// count tells how many of the options are there.
func (l *parsed) count(names ...string) int {
	n := 0
	for _, name := range names {
		if l.has(name) {
			n++
		}
	}
	return n
}

func optionError(class, format string, args ...any) error {
	return javaError("joptsimple."+class, format, args...)
}

// usageError is a complaint that is followed by the list of options.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// need wants options to be there.
func (l *parsed) need(names ...string) error {
	for _, n := range names {
		if !l.has(n) {
			return usage("Missing required argument \"[%s]\"", n)
		}
	}
	return nil
}

// forbid wants others not to be beside the option used.
func (l *parsed) forbid(used string, others ...string) error {
	for _, n := range others {
		if l.has(used) && l.has(n) {
			return usage("Option \"[%s]\" can't be used with option \"[%s]\"", used, n)
		}
	}
	return nil
}

const helpWidth = 79

// help is the list of options.
func (p *parser) help() string {
	all := slices.Clone(p.options)
	slices.SortFunc(all, func(a, b *option) int { return strings.Compare(a.name, b.name) })
	const left = 40
	var b strings.Builder
	row := func(name, text string) {
		for i, line := range wrap(text, helpWidth-left) {
			if i > 0 {
				name = ""
			} else if len(name) >= left {
				b.WriteString(name + "\n")
				name = ""
			}
			b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s%s", left, name, line), " ") + "\n")
		}
	}
	row("Option", "Description")
	row("------", "-----------")
	for _, o := range all {
		text := o.help
		if o.fallback != "" {
			text += " (default: " + o.fallback + ")"
		}
		row("--"+o.name+o.placeholder(), text)
	}
	return b.String()
}

func (o *option) placeholder() string {
	kind := map[bits]string{0: "String", 32: "Integer", 64: "Long"}[o.number]
	if o.arg != "" {
		kind += ": " + o.arg
	}
	switch o.kind {
	case needsArg:
		return " <" + kind + ">"
	case mayHaveArg:
		return " [" + kind + "]"
	}
	return ""
}

// wrap cuts text at blanks into lines of at most so many letters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

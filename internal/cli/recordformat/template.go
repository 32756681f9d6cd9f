// Package recordformat turns records into text: by a template of percent verbs, as consume --format takes it and as rpk users know
// it, as lines of chosen fields, and as JSON, which it also reads. The commands that print or read records call it; values only,
// no goroutine.
package recordformat

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Input is what a template shows: a record, and what is known about the fetch that brought it.
type Input struct {
	*kgo.Record
	Number                          int64 // of the record in this output, from 1 on
	LogStart, LastStable, HighWater int64 // of the partition; -1 where not known
}

// Template is a parsed format.
type Template struct{ parts []part }

// part appends one piece of the output.
type part func(dst []byte, in *Input) []byte

// SyntaxError is a template that cannot be understood.
type SyntaxError struct {
	Column int // of the byte that is wrong, from 1 on
	Text   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

// Help is the language of templates in a few lines.
const Help = `A format prints each record as it says, and nothing between them: end it with \n for lines.
  %t topic  %p partition  %o offset  %e leader epoch  %k key  %v value  %d timestamp  %i number of the record in this output
  %T %K %V lengths of topic, key, value   %H number of headers   %h{%k=%v } each header by a format of its own
  %x producer id   %y producer epoch   %[ %| %] log start, last stable offset, high watermark   %a{compression} and
  %a{timestamp-type}, %a{transactional-bit}, %a{control-bit}   %% %{ %} these characters   \t \n \r \\ \xNN
Text (%t %k %v) takes {hex} {base64} {base64raw} {json} (as a JSON value) {len} {unpack[<iq]}.
Numbers take {hex} {hex8} … {hex64} {big8} … {big64} {little8} … {little64} {byte} {bool}.
Timestamps take these too, and {rfc3339} {go[2006-01-02 15:04:05]} {strftime[%F %T]}, in UTC.`

// Parse reads a template.
func Parse(layout string) (*Template, error) {
	p := &parser{text: layout}
	parts, err := p.sequence(p.recordVerb, false)
	if err != nil {
		return nil, err
	}
	return &Template{parts}, nil
}

// Append adds the text of one record.
func (t *Template) Append(dst []byte, in *Input) []byte { return appendAll(dst, t.parts, in) }

func appendAll(dst []byte, parts []part, in *Input) []byte {
	for _, p := range parts {
		dst = p(dst, in)
	}
	return dst
}

// parser goes through a template from left to right.
type parser struct {
	text string
	at   int
}

func (p *parser) wrong(at int, format string, args ...any) error {
	return &SyntaxError{at + 1, fmt.Sprintf(format, args...)}
}

// sequence reads text and verbs up to the end, or up to the brace that closes a nested template.
func (p *parser) sequence(verb func(at int, c byte) (part, error), nested bool) ([]part, error) {
	var parts []part
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			text := literal
			parts = append(parts, func(dst []byte, _ *Input) []byte { return append(dst, text...) })
			literal = nil
		}
	}
	for p.at < len(p.text) {
		at, c := p.at, p.text[p.at]
		p.at++
		switch {
		case c == '\\':
			b, err := p.escape(at)
			if err != nil {
				return nil, err
			}
			literal = append(literal, b)
		case c == '}' && nested:
			flush()
			return parts, nil
		case c != '%':
			literal = append(literal, c)
		case p.at == len(p.text):
			return nil, p.wrong(at, "%% is the last character: a verb is missing, or %%%% is meant")
		default:
			c = p.text[p.at]
			p.at++
			if c == '%' || c == '{' || c == '}' {
				literal = append(literal, c)
				continue
			}
			flush()
			one, err := verb(at, c)
			if err != nil {
				return nil, err
			}
			parts = append(parts, one)
		}
	}
	if nested {
		return nil, p.wrong(len(p.text), "the closing brace of %%h is missing")
	}
	flush()
	return parts, nil
}

func (p *parser) escape(at int) (byte, error) {
	if p.at == len(p.text) {
		return 0, p.wrong(at, `\ is the last character: \\ is meant`)
	}
	c := p.text[p.at]
	p.at++
	switch c {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case '\\':
		return '\\', nil
	case 'x':
		if p.at+2 <= len(p.text) {
			if n, err := strconv.ParseUint(p.text[p.at:p.at+2], 16, 8); err == nil {
				p.at += 2
				return byte(n), nil
			}
		}
		return 0, p.wrong(at, `\x wants two hexadecimal digits`)
	}
	return 0, p.wrong(at, `\%c is not known: \t, \n, \r, \\ and \xNN are`, c)
}

func (p *parser) recordVerb(at int, c byte) (part, error) {
	switch c {
	case 't':
		return p.bytes(at, func(in *Input) []byte { return []byte(in.Topic) })
	case 'k':
		return p.bytes(at, func(in *Input) []byte { return in.Key })
	case 'v':
		return p.bytes(at, func(in *Input) []byte { return in.Value })
	case 'd':
		return p.timestamp(at)
	case 'a':
		return p.attributes(at)
	case 'h':
		return p.headers(at)
	}
	if n, ok := numberVerbs[c]; ok {
		return p.number(at, n)
	}
	return nil, p.wrong(at, "%%%c is not known: see the format's verbs in --help", c)
}

var numberVerbs = map[byte]func(*Input) int64{
	'p': func(in *Input) int64 { return int64(in.Partition) },
	'o': func(in *Input) int64 { return in.Offset },
	'e': func(in *Input) int64 { return int64(in.LeaderEpoch) },
	'i': func(in *Input) int64 { return in.Number },
	'T': func(in *Input) int64 { return int64(len(in.Topic)) },
	'K': func(in *Input) int64 { return int64(len(in.Key)) },
	'V': func(in *Input) int64 { return int64(len(in.Value)) },
	'H': func(in *Input) int64 { return int64(len(in.Headers)) },
	'x': func(in *Input) int64 { return in.ProducerID },
	'y': func(in *Input) int64 { return int64(in.ProducerEpoch) },
	'[': func(in *Input) int64 { return in.LogStart },
	'|': func(in *Input) int64 { return in.LastStable },
	']': func(in *Input) int64 { return in.HighWater },
}

// headers reads a nested template, which sees each header as a record of its key and value.
func (p *parser) headers(at int) (part, error) {
	if p.at == len(p.text) || p.text[p.at] != '{' {
		return nil, p.wrong(at, "%%h wants the format of a header in braces, such as %%h{%%k=%%v }")
	}
	p.at++
	parts, err := p.sequence(func(at int, c byte) (part, error) {
		switch c {
		case 'k', 'v':
			return p.recordVerb(at, c)
		case 'K', 'V':
			return p.number(at, numberVerbs[c])
		}
		return nil, p.wrong(at, "%%%c is not known of a header: %%k, %%v, %%K and %%V are", c)
	}, true)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, in *Input) []byte {
		for _, h := range in.Headers {
			header := *in
			header.Record = &kgo.Record{Key: []byte(h.Key), Value: h.Value}
			dst = appendAll(dst, parts, &header)
		}
		return dst
	}, nil
}

// modifier reads what stands in braces behind a verb, or "" where nothing does. Brackets, braces and pound signs inside pair up,
// so that a layout may hold a brace.
func (p *parser) modifier() (string, error) {
	if p.at == len(p.text) || p.text[p.at] != '{' {
		return "", nil
	}
	open := p.at
	start := open + 1
	name := start
	for name < len(p.text) && strings.IndexByte("[{#}", p.text[name]) < 0 {
		name++
	}
	end := name
	if name < len(p.text) && p.text[name] != '}' {
		closing := closer(p.text[name:])
		length := strings.Index(p.text[name+len(closing):], closing+"}")
		if length < 0 {
			return "", p.wrong(open, "what %s opens is never closed by %s}", p.text[name:name+len(closing)], closing)
		}
		end = name + len(closing) + length + len(closing)
	}
	if end >= len(p.text) || p.text[end] != '}' || end == start {
		return "", p.wrong(open, "a modifier such as {hex} is missing or not closed; a brace after a verb is %%{")
	}
	p.at = end + 1
	return p.text[start:end], nil
}

// closer is what closes the brackets, braces or pound signs that text begins with.
func closer(text string) string {
	n := 1
	for n < len(text) && text[n] == text[0] {
		n++
	}
	closing := map[byte]string{'[': "]", '{': "}", '#': "#"}[text[0]]
	return strings.Repeat(closing, n)
}

// argument splits a modifier such as go[2006] into its name and what is bracketed.
func argument(modifier string) (name, inside string) {
	i := strings.IndexAny(modifier, "[{#")
	if i < 0 {
		return modifier, ""
	}
	n := len(closer(modifier[i:]))
	return modifier[:i], modifier[i+n : len(modifier)-n]
}

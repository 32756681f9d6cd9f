package kcat

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// part is one piece of a format: text, or the field of a record that letter stands for.
type part struct {
	letter byte // 0: text
	text   string
}

// parseFormat reads a format of -f.
func parseFormat(format string) ([]part, error) {
	var parts []part
	for format != "" {
		text, rest, found := strings.Cut(format, "%")
		if text != "" {
			parts = append(parts, part{text: unescape(text)})
		}
		if !found {
			break
		}
		if rest == "" {
			return nil, fatal("Empty formatter")
		}
		switch letter := rest[0]; {
		case letter == '%':
			parts = append(parts, part{text: "%"})
		case strings.IndexByte("okKsSRtpTh", letter) >= 0:
			parts = append(parts, part{letter: letter})
		default:
			return nil, fatal("Unsupported formatter: %%%c", letter)
		}
		format = rest[1:]
	}
	return parts, nil
}

// unescape reads \n, \t, \r, \xNN and \NNN, a number as in C.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		base, digits := 0, "0123456789"
		switch s[i] {
		case 't':
			b.WriteByte('\t')
			continue
		case 'n':
			b.WriteByte('\n')
			continue
		case 'r':
			b.WriteByte('\r')
			continue
		case 'x':
			base, digits = 16, hexDigits
			i++
		}
		end := i
		for end < len(s) && strings.IndexByte(digits, s[end]) >= 0 {
			end++
		}
		if n, err := strconv.ParseUint(s[i:end], base, 64); err == nil {
			b.WriteByte(byte(n))
			i = end - 1
		} else if i < len(s) {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

const hexDigits = "0123456789abcdefABCDEF"

// delimiter reads \n, \t and \xNN of -D and -K.
func delimiter(s string) (string, error) {
	for _, r := range [][2]string{{`\n`, "\n"}, {`\t`, "\t"}} {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	for {
		at := strings.Index(s, `\x`)
		if at < 0 {
			return s, nil
		}
		end := at + 2
		for end < len(s) && end < at+4 && strings.IndexByte(hexDigits, s[end]) >= 0 {
			end++
		}
		n, err := strconv.ParseUint(s[at+2:end], 16, 8)
		if err != nil {
			return "", fatal("Delimiter %s expects hex number", s[at:])
		}
		s = s[:at] + string([]byte{byte(n)}) + s[end:]
	}
}

// printer prints records.
type printer struct {
	parts      []part
	json       bool
	end        string // after a record of JSON
	nulls      bool
	key, value string // forms of -s
}

func newPrinter(o options) (printer, error) {
	p := printer{json: o.json, nulls: o.nulls, key: o.unpackKey, value: o.unpackValue, end: "\n"}
	var err error
	switch {
	case o.json:
		p.end, err = delimiter(o.delimiter)
	case o.format != "":
		p.parts, err = parseFormat(o.format)
	default:
		if o.keyDelimiter != nil {
			p.parts = []part{{letter: 'k'}, {text: unescape(*o.keyDelimiter)}}
		}
		p.parts = append(p.parts, part{letter: 's'}, part{text: unescape(o.delimiter)})
	}
	return p, err
}

func (p printer) print(w *bufio.Writer, r *kgo.Record, broker int32) error {
	if p.json {
		return p.printJSON(w, r, broker)
	}
	for _, part := range p.parts {
		if err := p.printPart(w, part, r); err != nil {
			return fatal("Failed to format message in %s [%d] at offset %d: %s", r.Topic, r.Partition, r.Offset, err)
		}
	}
	return nil
}

func (p printer) printPart(w *bufio.Writer, part part, r *kgo.Record) error {
	size := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	switch part.letter {
	case 0:
		w.WriteString(part.text)
	case 'o':
		fmt.Fprint(w, r.Offset)
	case 'k':
		return p.field(w, "key", p.key, r.Key)
	case 's':
		return p.field(w, "value", p.value, r.Value)
	case 'K':
		fmt.Fprint(w, size(r.Key))
	case 'S':
		fmt.Fprint(w, size(r.Value))
	case 'R':
		w.Write(binary.BigEndian.AppendUint32(nil, uint32(size(r.Value))))
	case 't':
		w.WriteString(r.Topic)
	case 'p':
		fmt.Fprint(w, r.Partition)
	case 'T':
		fmt.Fprint(w, r.Timestamp.UnixMilli())
	case 'h':
		for i, h := range r.Headers {
			if i > 0 {
				w.WriteByte(',')
			}
			w.WriteString(h.Key + "=")
			if h.Value == nil {
				w.WriteString("NULL")
			}
			w.Write(h.Value)
		}
	}
	return nil
}

func (p printer) field(w *bufio.Writer, what, form string, b []byte) error {
	switch {
	case len(b) == 0 && p.nulls:
		w.WriteString("NULL")
	case len(b) == 0:
	case form != "":
		return unpack(w, what, form, b)
	default:
		w.Write(b)
	}
	return nil
}

// unpack prints binary fields as numbers, as -s asks.
func unpack(w *bufio.Writer, what, form string, b []byte) error {
	var order binary.ByteOrder = binary.BigEndian
	for _, letter := range form {
		size := map[rune]int{'b': 1, 'B': 1, 'c': 1, 'h': 2, 'H': 2, 'i': 4, 'I': 4, 'q': 8, 'Q': 8}[letter]
		if len(b) < size {
			return fatal("%s truncated, expected %d bytes to unpack %c but only %d bytes remaining", what, size, letter, len(b))
		}
		switch letter {
		case ' ':
			w.WriteByte(' ')
		case '<':
			order = binary.LittleEndian
		case '>':
			order = binary.BigEndian
		case 'b':
			fmt.Fprint(w, int8(b[0]))
		case 'B':
			fmt.Fprint(w, b[0])
		case 'h':
			fmt.Fprint(w, int16(order.Uint16(b)))
		case 'H':
			fmt.Fprint(w, order.Uint16(b))
		case 'i':
			fmt.Fprint(w, int32(order.Uint32(b)))
		case 'I':
			fmt.Fprint(w, order.Uint32(b))
		case 'q':
			fmt.Fprint(w, int64(order.Uint64(b)))
		case 'Q':
			fmt.Fprint(w, order.Uint64(b))
		case 'c':
			w.WriteByte(b[0])
		case 's':
			w.Write(b)
			size = len(b)
		case '$':
			if len(b) > 0 {
				return fatal("expected %s end-of-input, but %d bytes remaining", what, len(b))
			}
		}
		b = b[size:]
	}
	return nil
}

func (p printer) printJSON(w *bufio.Writer, r *kgo.Record, broker int32) error {
	kind := "create"
	if r.Attrs.TimestampType() == 1 {
		kind = "logappend"
	}
	fmt.Fprintf(w, `{"topic":%s,"partition":%d,"offset":%d,"tstype":"%s","ts":%d,"broker":%d`, quoted([]byte(r.Topic)), r.Partition, r.Offset, kind, r.Timestamp.UnixMilli(), broker)
	if len(r.Headers) > 0 {
		var words []string
		for _, h := range r.Headers {
			words = append(words, quoted([]byte(h.Key)), quoted(h.Value))
		}
		w.WriteString(`,"headers":[` + strings.Join(words, ",") + "]")
	}
	fmt.Fprintf(w, `,"key":%s,"payload":%s}%s`, quoted(r.Key), quoted(r.Value), p.end)
	return nil
}

// quoted is bytes as kcat has them in JSON: not made valid, only what must be is escaped.
func quoted(b []byte) string {
	if b == nil {
		return "null"
	}
	var s strings.Builder
	s.WriteByte('"')
	for _, c := range b {
		switch c {
		case '"', '\\':
			s.WriteString(`\` + string(rune(c)))
		case '\n':
			s.WriteString(`\n`)
		case '\r':
			s.WriteString(`\r`)
		case '\t':
			s.WriteString(`\t`)
		case '\f':
			s.WriteString(`\f`)
		case '\b':
			s.WriteString(`\b`)
		default:
			if c < ' ' {
				s.WriteString(`\u00` + strings.ToUpper(hex.EncodeToString([]byte{c})))
			} else {
				s.WriteByte(c)
			}
		}
	}
	s.WriteByte('"')
	return s.String()
}

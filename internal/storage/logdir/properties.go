package logdir

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseProperties reads the format of java.util.Properties: Latin-1, a key and a value a line, \ for escapes and for
// lines that go on, # and ! for comments. The last value of a key counts.
func parseProperties(b []byte) (map[string]string, error) {
	lines := logicalLines(latin1(b))
	props := make(map[string]string, len(lines))
	for _, line := range lines {
		end := keyEnd(line)
		key, err := unescape(line[:end])
		if err != nil {
			return nil, err
		}
		value := strings.TrimLeft(line[end:], blanks)
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], blanks)
		}
		if props[key], err = unescape(value); err != nil {
			return nil, err
		}
	}
	return props, nil
}

const blanks = " \t\f"

func latin1(b []byte) string {
	var s strings.Builder
	s.Grow(len(b))
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// logicalLines joins lines that end in an odd number of backslashes with the next, and drops empty ones and comments.
func logicalLines(text string) []string {
	var lines []string
	var line strings.Builder
	goesOn := false
	for natural := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		natural = strings.TrimLeft(natural, blanks)
		if !goesOn && (natural == "" || natural[0] == '#' || natural[0] == '!') {
			continue
		}
		slashes := len(natural) - len(strings.TrimRight(natural, `\`))
		if goesOn = slashes%2 == 1; goesOn {
			line.WriteString(natural[:len(natural)-1])
			continue
		}
		lines = append(lines, line.String()+natural)
		line.Reset()
	}
	if goesOn {
		lines = append(lines, line.String())
	}
	return lines
}

// keyEnd is the index of the first separator that is not escaped.
func keyEnd(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			return i
		}
	}
	return len(line)
}

func unescape(s string) (string, error) {
	var out strings.Builder
	for {
		plain, rest, escaped := strings.Cut(s, `\`)
		out.WriteString(plain)
		if !escaped || rest == "" {
			return out.String(), nil
		}
		switch s = rest[1:]; rest[0] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			n, err := strconv.ParseUint(s[:min(4, len(s))], 16, 16)
			if err != nil || len(s) < 4 {
				return "", fmt.Errorf(`\u is not followed by four hexadecimal digits`)
			}
			out.WriteRune(rune(n))
			s = s[4:]
		default:
			s = rest // the character itself, which may have two bytes here
			_, size := utf8.DecodeRuneInString(s)
			out.WriteString(s[:size])
			s = s[size:]
		}
	}
}

package conf

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"
)

// parseProperties reads a Java properties file: escapes, continued lines, '=', ':' or white space after the key. The text is
// UTF-8, and ${name} stands for itself. Errors start with the line's number.
func parseProperties(text []byte) ([]line, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("1: the file is not UTF-8 text")
	}
	var lines []line
	for _, l := range logicalLines(string(text)) {
		// The library keeps no line numbers, so it is given one logical line at a time.
		loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := loader.LoadBytes([]byte(l.value))
		if err != nil {
			return nil, fmt.Errorf("%d: %s", l.number, strings.TrimPrefix(err.Error(), "properties: Line 1: "))
		}
		for _, key := range p.Keys() {
			v, _ := p.Get(key)
			lines = append(lines, line{number: l.number, key: key, value: v})
		}
	}
	return lines, nil
}

// logicalLines cuts the text into lines with their continuations, without blank lines and comments. A line goes on when it
// ends in an odd number of backslashes; a comment never goes on.
func logicalLines(text string) []line {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var lines []line
	open := false
	for i, natural := range strings.Split(text, "\n") {
		bare := strings.TrimLeft(natural, " \t\f")
		switch {
		case open:
			last := &lines[len(lines)-1]
			last.value = strings.TrimSuffix(last.value, `\`) + bare
		case bare == "" || bare[0] == '#' || bare[0] == '!':
			continue
		default:
			lines = append(lines, line{number: i + 1, value: bare})
		}
		open = endsOpen(natural)
	}
	if open {
		last := &lines[len(lines)-1]
		last.value = strings.TrimSuffix(last.value, `\`)
	}
	return lines
}

func endsOpen(s string) bool {
	backslashes := len(s) - len(strings.TrimRight(s, `\`))
	return backslashes%2 == 1
}

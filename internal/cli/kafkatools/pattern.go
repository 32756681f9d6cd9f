package kafkatools

import (
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// matcher tells whether a whole name is like a pattern. The engine is one that looks ahead, since '(?!__).*' is how scripts leave
// out internal topics.
type matcher struct{ re *regexp2.Regexp }

// A pattern that takes longer over a name is taken not to match.
const matchLimit = time.Second

func newMatcher(pattern string) (matcher, error) {
	re, err := regexp2.Compile(`\A(?:`+pattern+`)\z`, regexp2.None)
	if err != nil {
		return matcher{}, err
	}
	re.MatchTimeout = matchLimit
	return matcher{re}, nil
}

func (m matcher) matches(name string) bool {
	ok, err := m.re.MatchString(name)
	return ok && err == nil
}

// includeList is a pattern of topics as --topic takes it: commas are alternatives, blanks do not count, and quotes around it are
// taken off.
func includeList(raw string) (matcher, error) {
	pattern := strings.NewReplacer(",", "|", " ", "").Replace(strings.TrimSpace(raw))
	pattern = strings.Trim(pattern, `"'`)
	m, err := newMatcher(pattern)
	if err != nil {
		return m, javaError("java.lang.RuntimeException", "%s is an invalid regex.", pattern)
	}
	return m, nil
}

// internalTopic tells whether a topic is the cluster's own.
func internalTopic(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// cutter cuts text where a pattern matches.
type cutter struct{ re *regexp2.Regexp }

func newCutter(pattern string) (cutter, error) {
	re, err := regexp2.Compile(pattern, regexp2.None)
	if err != nil {
		return cutter{}, javaError("java.util.regex.PatternSyntaxException", "%s", err)
	}
	re.MatchTimeout = matchLimit
	return cutter{re}, nil
}

// split leaves out empty parts at the end, as Java does.
func (c cutter) split(text string) []string {
	var parts []string
	runes, from := []rune(text), 0
	for m, err := c.re.FindRunesMatch(runes); m != nil && err == nil; m, err = c.re.FindNextMatch(m) {
		if m.Length == 0 {
			continue
		}
		parts = append(parts, string(runes[from:m.Index]))
		from = m.Index + m.Length
	}
	parts = append(parts, string(runes[from:]))
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}

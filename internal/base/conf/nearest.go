package conf

import (
	"fmt"
	"strings"
)

// unknown is the error for a key that nobody knows, with the nearest that somebody does.
func unknown(scope Scope, name string) *Error {
	if hint := otherScope(scope, name); hint != "" {
		return invalid(hint)
	}
	text := fmt.Sprintf("unknown key %q", name)
	if near := Nearest(scope, name); near != "" {
		text += fmt.Sprintf(": did you mean %q?", near)
	}
	return invalid(text)
}

// otherScope explains a topic key in the place of a broker key.
func otherScope(scope Scope, name string) string {
	d, ok := Lookup(ScopeTopic, name)
	if scope != ScopeBroker || !ok {
		return ""
	}
	if len(d.Synonyms) == 0 {
		return fmt.Sprintf("%q is a key of topics, not of the node", name)
	}
	return fmt.Sprintf("%q is a key of topics; the node's default for it is %q", name, d.Synonyms[0].Name)
}

// Nearest is the known key of the scope that differs from name in the fewest letters, or "" where the scope has none.
func Nearest(scope Scope, name string) string {
	best, least := "", 0
	try := func(candidate string) {
		if n := distance(name, candidate); best == "" || n < least {
			best, least = candidate, n
		}
	}
	for _, d := range defsOf(scope) {
		if !d.Internal {
			try(d.Name)
		}
	}
	if scope == ScopeBroker {
		for _, l := range legacies {
			for _, n := range l.names {
				try(n)
			}
		}
	}
	return best
}

// maxKeyLen bounds the work of distance; no key is half as long.
const maxKeyLen = 200

// distance is the number of letters to insert, delete, replace or swap with the next to get from a to b. Points, dashes,
// underscores and capitals do not count.
func distance(a, b string) int {
	fold := func(s string) string {
		s = s[:min(len(s), maxKeyLen)]
		return strings.ToLower(strings.NewReplacer("_", ".", "-", ".").Replace(s))
	}
	a, b = fold(a), fold(b)
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			replace := row[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			next[j] = min(row[j]+1, next[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

package consumer

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A regular expression is resolved into topics outside of the group's turn, for all of its expressions at once, when one
// is new, when topics were created since, and every RegexRefresh. Until then it stands for what it last stood for.

// regexFate is what a request does to a member's regular expression.
type regexFate int8

const (
	regexSame regexFate = iota
	regexNew
	regexResolved // new to the member; the group knows its topics
)

func (t *Turn) followRegex(g *Group, before, after string) (regexFate, error) {
	fate, refresh := regexSame, false
	users := g.users()
	if before != after {
		fate = regexNew
		if before != "" && users[before] == 1 {
			t.record(tombstone(RegexKind, g.ID, before))
		}
		_, resolved := g.regexes.Get(after)
		switch {
		case after == "", resolved && users[after] > 0:
			fate = regexResolved
		case users[after] == 0:
			if _, err := compile(after); err != nil {
				return 0, refuse(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %s.", after, reason(err))
			}
			refresh = true
		}
	}
	if !refresh && len(users) == 0 || t.Resolving {
		return fate, nil
	}
	regexes := sortedNames(func(yield func(string, int) bool) {
		for regex, n := range users {
			if regex == before && before != after {
				n--
			}
			if n > 0 && regex != after && !yield(regex, n) {
				return
			}
		}
		if after != "" {
			yield(after, 1)
		}
	})
	if len(regexes) > 0 && t.stale(g, regexes, refresh) {
		t.Out.Resolve = regexes
	}
	return fate, nil
}

// stale tells whether it is time to resolve the group's expressions.
func (t *Turn) stale(g *Group, regexes []string, must bool) bool {
	last, version := int64(0), int64(0)
	for _, r := range g.regexes.All() {
		last, version = max(last, r.At), max(version, r.Version)
	}
	now := t.Now.UnixMilli()
	if g.regexes.Len() > 0 && now <= last+regexPause.Milliseconds() {
		return false
	}
	return must || len(regexes) != g.regexes.Len() || version < t.Topics.Created() || now > last+t.Config.RegexRefresh.Milliseconds()
}

// Resolved takes in the topics that Resolve found.
func (t *Turn) Resolved(g *Group, found map[string]Regex) {
	e, changed := g.now(), false
	all := make(map[string]*Regex, g.regexes.Len())
	for regex, r := range g.regexes.All() {
		all[regex] = r
	}
	for _, regex := range sortedNames(func(yield func(string, Regex) bool) {
		for k, v := range found {
			if !yield(k, v) {
				return
			}
		}
	}) {
		if g.users()[regex] == 0 {
			continue
		}
		r := found[regex]
		if old := all[regex]; old == nil && len(r.Topics) > 0 || old != nil && !slices.Equal(old.Topics, r.Topics) {
			changed = true
		}
		all[regex] = &r
		t.record(regexRecord(g.ID, regex, &r))
	}
	if len(t.Out.Records) == 0 {
		return
	}
	var names []string
	for _, m := range g.members.All() {
		names = append(names, m.Topics...)
	}
	for regex := range g.users() {
		if r := all[regex]; r != nil {
			names = append(names, r.Topics...)
		}
	}
	slices.Sort(names)
	hash := t.hash(slices.Compact(names))
	if changed || hash != e.hash {
		e.group, e.hash = e.group+1, hash
		t.record(epochRecord(g.ID, e))
	}
}

// Resolve finds the topics whose whole name a regular expression matches. One that is not valid matches none.
func Resolve(regexes, topics []string, created, millis int64) map[string]Regex {
	found := make(map[string]Regex, len(regexes))
	for _, regex := range regexes {
		r := Regex{Version: created, At: millis}
		if re, err := compile(regex); err == nil {
			for _, name := range topics {
				if re.MatchString(name) {
					r.Topics = append(r.Topics, name)
				}
			}
		}
		slices.Sort(r.Topics)
		found[regex] = r
	}
	return found
}

func compile(regex string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(regex); err != nil {
		return nil, err // of the expression itself, which the one below may complete
	}
	return regexp.Compile(fmt.Sprintf(`\A(?:%s)\z`, regex))
}

// reason is what is wrong with a regular expression, in few words.
func reason(err error) string {
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		return wrong.Code.String()
	}
	return err.Error()
}

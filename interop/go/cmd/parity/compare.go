package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What says where and when, and not what, becomes a word.
var words = []struct {
	re   *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] `), "[TIME] "},
	{regexp.MustCompile(`TopicId: [A-Za-z0-9_-]{22}`), "TopicId: ID"},
	{regexp.MustCompile(`"topicId":"[A-Za-z0-9_-]{22}"`), `"topicId":"ID"`},
	{regexp.MustCompile(`\b(CreateTime|LogAppendTime):\d{13}`), "$1:TIME"},
	{regexp.MustCompile(`"ts":\d{13}`), `"ts":TIME`},
	{regexp.MustCompile(`"commitTimestamp":\d{13}`), `"commitTimestamp":TIME`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`%\d\|\d+\.\d+\|`), "%N|TIME|"},
	{regexp.MustCompile(`\(memberid [^)]*\)`), "(memberid ID)"},
}

// Lines of standard error that are no message of the tool: what Java's clients log about themselves, an advice about the newer
// protocol, and how the tools end inside of one process.
var noise = regexp.MustCompile(`^\s*$|^\[TIME\] .*\(org\.apache\.kafka\.(clients|common)\.\S*\)$|^The consumer rebalance protocol \(KIP-848\) is|ToolRun\$Ended|exit [01]$`)

var (
	frame     = regexp.MustCompile(`^(\tat |Caused by: |\t\.\.\. \d+ more)`)
	exception = regexp.MustCompile(`^(?:Caused by: )?[a-z][a-zA-Z0-9_.$]*(?:Exception|Error)(?:: (.*))?$`)
)

// Groups that the console consumer makes up in Java; ours reads without one.
var madeUp = regexp.MustCompile(`\bconsole-consumer-\d+`)

// A list of options follows a complaint; which options there are counts, not how each is described.
var (
	usageHead   = regexp.MustCompile(`(?m)^Options? +Description *$`)
	usageOption = regexp.MustCompile(`(?m)^(--[a-z.-]+)`)
)

// plain is the result without what may differ.
func (s *side) plain(c testCase, r result) result {
	r.out, r.err = s.text(r.out), s.text(r.err)
	if at := strings.Index(r.err, "\nUsage: kcat"); at >= 0 {
		r.err = r.err[:at] + "usage\n"
	}
	if at := usageHead.FindStringIndex(r.err); at != nil {
		var names []string
		for _, m := range usageOption.FindAllStringSubmatch(r.err[at[1]:], -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		r.err = r.err[:at[0]] + "options: " + strings.Join(names, " ") + "\n"
	}
	r.out = strings.Join(slices.DeleteFunc(slices.Collect(strings.Lines(r.out)), madeUp.MatchString), "")
	r.err = messages(r.err)
	if c.sorted {
		lines := slices.Collect(strings.Lines(r.out))
		slices.Sort(lines)
		r.out = strings.Join(lines, "")
	}
	return r
}

// messages is standard error without stack traces and noise. An exception whose words were just told is not told again by its trace.
func messages(text string) string {
	var kept []string
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		switch {
		case noise.MatchString(l), madeUp.MatchString(l), frame.MatchString(l):
			continue
		case i+1 < len(lines) && frame.MatchString(lines[i+1]):
			if m := exception.FindStringSubmatch(l); m != nil && m[1] != "" && len(kept) > 0 && strings.HasSuffix(kept[len(kept)-1], m[1]) {
				continue
			}
		}
		kept = append(kept, l)
	}
	if len(kept) == 0 {
		return ""
	}
	return strings.Join(kept, "\n") + "\n"
}

func (s *side) text(t string) string {
	host, port, _ := strings.Cut(s.address, ":")
	t = strings.NewReplacer(s.address, "HOST:PORT", ":"+port, ":PORT", "localhost/"+host, "HOST", s.dir, "DIR").Replace(t)
	for _, w := range words {
		t = w.re.ReplaceAllString(t, w.word)
	}
	return sets.ReplaceAllStringFunc(t, func(list string) string {
		head, members, _ := strings.Cut(list, "are: ")
		if members == "" {
			head, members = "", list
		}
		all := strings.Split(strings.Trim(members, "[]"), ", ")
		for i := range all {
			all[i] = strings.Trim(all[i], "[]")
		}
		slices.Sort(all)
		return head + strings.Join(all, ", ")
	})
}

// Lists that Java prints of a set have another order each time.
var sets = regexp.MustCompile(`\[*\[[a-z-]+\](, \[[a-z-]+\])+\]?|Valid (states|types) are: .*`)

func differ(theirs, ours result) []string {
	var found []string
	if theirs.code != ours.code {
		found = append(found, fmt.Sprintf("exit code: theirs %d, ours %d", theirs.code, ours.code))
	}
	found = append(found, differLines("output", theirs.out, ours.out)...)
	return append(found, differLines("error output", theirs.err, ours.err)...)
}

// differLines tells the first line that differs.
func differLines(stream, theirs, ours string) []string {
	if theirs == ours {
		return nil
	}
	a, b := slices.Collect(strings.Lines(theirs)), slices.Collect(strings.Lines(ours))
	line := func(all []string, i int) string {
		if i < len(all) {
			return fmt.Sprintf("%q", all[i])
		}
		return "nothing"
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return []string{fmt.Sprintf("%s, line %d: theirs %s, ours %s", stream, i+1, line(a, i), line(b, i))}
}

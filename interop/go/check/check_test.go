package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// story is a run of twelve rows, three a partition, as a client should report it.
var story = []string{
	"P none 0 4", "P gzip 4 8",
	"J A 0,1,2,3",
	"M A 0 0 5 a v0 row=0", "C A 0 1", "M A 1 0 5 b v1 row=1", "M A 2 0 5 c v2 row=2", "C A 1 1",
	"J A 0,1", "J B 2,3",
	"M B 2 0 5 c v2 row=2", "M B 3 0 5 d v3 row=3", "C B 2 1", "C B 3 1",
	"M A 0 1 5 a v4 row=4", "M A 1 1 5 b v5 row=5",
	"J B ", "J A 0,1,2,3",
	"M A 2 1 5 c v6 row=6", "M A 3 1 5 d v7 row=7",
	"C A 0 2", "C A 1 2", "C A 2 2", "C A 3 2",
	"S",
	"P none 8 12",
	"J A2 0,1,2,3",
	"M A2 0 2 5 a v8 row=8", "M A2 1 2 5 b v9 row=9", "M A2 2 2 5 c v10 row=10", "M A2 3 2 5 d v11 row=11",
}

func read(t *testing.T, events []string) (Log, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events")
	text := strings.ReplaceAll(strings.Join(events, "\n"), " ", "\t") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadLog(path, 12)
}

func TestLogOfAGoodRun(t *testing.T) {
	log, err := read(t, story)
	if err != nil {
		t.Fatal(err)
	}
	if log.Rebalances != 2 || log.Redelivered != 1 || len(log.Seen) != 12 || strings.Join(log.Codecs, " ") != "none gzip" {
		t.Errorf("got %d rebalances, %d redelivered, %d records, codecs %v", log.Rebalances, log.Redelivered, len(log.Seen), log.Codecs)
	}
}

func TestLogOfABadRun(t *testing.T) {
	for _, test := range []struct{ name, line, instead, want string }{
		{"a committed record again", "M B 2 0 5 c v2 row=2", "J B 0\nM B 0 0 5 a v0 row=0", "although 1 is committed"},
		{"another content", "M B 2 0 5 c v2 row=2", "M B 2 0 5 c v3 row=2", "when delivered first"},
		{"a record left out", "M A 1 1 5 b v5 row=5", "", "7 records seen in the first life"},
		{"a gap within an assignment", "M A 1 0 5 b v1 row=1", "M A 1 0 5 b v1 row=1\nM A 1 2 5 b v9 row=9", "offset 2 of partition 1 after 0"},
		{"an order turned round", "M A2 0 2 5 a v8 row=8", "M A2 0 3 5 a v8 row=8\nM A2 0 2 5 a v8 row=8", "offset 2 of partition 0 after 3"},
		{"resumed too early", "M A2 0 2 5 a v8 row=8", "M A2 0 1 5 a v4 row=4\nM A2 0 2 5 a v8 row=8", "although 2 is committed"},
		{"resumed too early without commits reported", "C A 0 2", "", "delivered again to the resumed group"},
		{"a gap between the lives", "M A2 0 2 5 a v8 row=8", "M A2 0 3 5 a v8 row=8", "3 records up to offset 3"},
		{"no second member", "J B 2,3", "J B ", "want all, a share each, all"},
		{"not all partitions at the end", "J A 0,1,2,3", "J A 0,1,2", "want all, a share each, all"},
		{"rows not acknowledged", "P none 8 12", "P none 8 11", "11 rows acknowledged, want 12"},
		{"a partition too many", "M B 3 0 5 d v3 row=3", "M B 4 0 5 d v3 row=3", "no partition 4"},
		{"no second life", "S", "", "not resumed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var events []string
			for i, line := range story {
				last := line == "J A 0,1,2,3" && i < 5 // only the second one is replaced
				if line != test.line || last {
					events = append(events, line)
				} else if test.instead != "" {
					events = append(events, strings.Split(test.instead, "\n")...)
				}
			}
			if test.name == "resumed too early without commits reported" {
				events = strings.Split(strings.ReplaceAll(strings.Join(events, "\n"), "M A2 0 2 ", "M A2 0 1 5 a v4 row=4\nM A2 0 2 "), "\n")
			}
			_, err := read(t, events)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestContent(t *testing.T) {
	rows := func(lines ...string) (rows [][]byte) {
		for _, line := range lines {
			rows = append(rows, []byte(strings.ReplaceAll(line, " ", "\t")))
		}
		return rows
	}
	seen := func(lines ...string) Seen {
		s := Seen{}
		for i, line := range lines {
			p, rest, _ := strings.Cut(line, " ")
			s[Position{int(p[0] - '0'), int64(i)}] = strings.ReplaceAll(rest, " ", "\t")
		}
		return s
	}
	data := rows(`1 a x h=1`, `2 \N y h=2`, `3 a \N h=3`, `4 b z h=4`)
	good := []string{`0 1 a x h=1`, `0 3 a \N h=3`, `1 4 b z h=4`, `2 2 \N y h=2`}
	if err := seen(good...).Content(data); err != nil {
		t.Error(err)
	}
	if err := seen(`0 77 a x h=1`).Content(rows(`* a x h=1`)); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		name, want string
		seen       Seen
	}{
		{"one missing", "1 records are missing", seen(good[:3]...)},
		{"one too many", "a record too many", seen(append(good, `1 4 b z h=4`)...)},
		{"one without a key twice", "unexpected record", seen(append(good, `1 2 \N y h=2`)...)},
		{"a key's order", "want \"1\\ta", seen(good[1], good[0], good[2], good[3])},
		{"a key in two partitions", "in partitions 0 and 1", seen(good[0], `1 3 a \N h=3`, good[2], good[3])},
		{"a null value made empty", "want \"3\\ta", seen(good[0], `0 3 a  h=3`, good[2], good[3])},
	} {
		if err := test.seen.Content(data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
}

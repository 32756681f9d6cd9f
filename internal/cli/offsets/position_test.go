package offsets

import (
	"strings"
	"testing"
	"time"
)

func TestPositionsAndRangesInWords(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(text string) Position {
		when, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return Position{Kind: AtTime, Time: when}
	}
	end := Position{Kind: FromEnd}
	for _, c := range []struct {
		text     string
		from, to Position
		ends     bool
	}{
		{"start", Position{}, end, false},
		{"end", end, end, false},
		{"7", Position{Kind: AtOffset, N: 7}, end, false},
		{"-7", Position{Kind: BeforeEnd, N: 7}, end, false},
		{"+7", Position{Kind: AfterStart, N: 7}, end, false},
		{"7:", Position{Kind: AtOffset, N: 7}, end, false},
		{":7", Position{}, Position{Kind: AtOffset, N: 7}, true},
		{":end", Position{}, end, true},
		{"+3:-2", Position{Kind: AfterStart, N: 3}, Position{Kind: BeforeEnd, N: 2}, true},
		{"3:9", Position{Kind: AtOffset, N: 3}, Position{Kind: AtOffset, N: 9}, true},
		{"@1000:2000", at("1970-01-01T00:00:01Z"), at("1970-01-01T00:00:02Z"), true},
		{"@1000:@2000", at("1970-01-01T00:00:01Z"), at("1970-01-01T00:00:02Z"), true},
		{"@1000:", at("1970-01-01T00:00:01Z"), end, false},
		{"@1000:end", at("1970-01-01T00:00:01Z"), end, true},
		{"@2026-01-02", at("2026-01-02T00:00:00Z"), end, false},
		{"@2026-01-02:2026-01-03", at("2026-01-02T00:00:00Z"), at("2026-01-03T00:00:00Z"), true},
		{"@2026-01-02T03:04:05Z:2026-01-02T03:04:06.5+02:00", at("2026-01-02T03:04:05Z"), at("2026-01-02T01:04:06.5Z"), true},
		{"@-1h", at("2026-03-01T11:00:00Z"), end, false},
		{"@-1h30m:-30m", at("2026-03-01T10:30:00Z"), at("2026-03-01T11:30:00Z"), true},
		{"@-2d", at("2026-02-27T12:00:00Z"), end, false},
	} {
		from, to, ends, err := ParseRange(c.text, now)
		if err != nil || from.Kind != c.from.Kind || from.N != c.from.N || !from.Time.Equal(c.from.Time) || to.Kind != c.to.Kind || to.N != c.to.N || !to.Time.Equal(c.to.Time) || ends != c.ends {
			t.Errorf("%s: from %+v to %+v ends %v, %v", c.text, from, to, ends, err)
		}
	}
	for text, want := range map[string]string{
		"": "is none of start", "yesterday": "is none of start", "--1": "is none of", "+-1": "is none of", "1:x": "is no range",
		"@yesterday": "is neither RFC 3339", "@-1y": "no time before now", "99999999999999999999": "is none of",
	} {
		if _, _, _, err := ParseRange(text, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("@2026-01-02T03:04:05Z:-1h")
	f.Add("+3:-2")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		from, to, _, err := ParseRange(text, now)
		if err == nil && (from.N < 0 || to.N < 0) {
			t.Fatalf("%q: %+v %+v", text, from, to)
		}
	})
}

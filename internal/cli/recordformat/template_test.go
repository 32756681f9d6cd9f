package recordformat

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func sample() *Input {
	return &Input{
		Record: &kgo.Record{
			Topic: "orders", Partition: 3, Offset: 1234567, LeaderEpoch: 9, ProducerID: 70000, ProducerEpoch: 2,
			Key: []byte("k\xff"), Value: []byte(`{ "a": 1 }`), Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC),
			Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("1")}, {Key: "yy", Value: nil}},
		},
		Number: 1, LogStart: 5, LastStable: 7, HighWater: 8,
	}
}

// The language is the one that kgo's own formatter has, and rpk's users know.
func TestTemplatesMeanWhatTheyMeanElsewhere(t *testing.T) {
	in := sample()
	layouts := []string{
		"", "plain text", `%t %p %o %e %k %v %d %i\n`, "%T%K%V%H", "%x/%y", "%[ %| %]", `\t\n\r\\\x41\xff`, "%%%{%}", "a{b}c",
		"%h{%k=%v }", "%h{%K:%k %V:%v{hex} }", "%H %h{%%%k%}}",
		"%k{hex} %v{base64} %v{base64raw} %t{hex}", "%v{unpack[>bBhH]}", "%v{unpack{<iI}}", "%v{unpack#qBB#}", "%k{unpack[c.$]}", "%v{unpack[s]}", "%k{unpack[bB$]}",
		"%a{compression} %a{compression;number} %a{timestamp-type;hex8} %a{transactional-bit;bool} %a{control-bit}",
		"%d{go[2006-01-02T15:04:05.000Z07:00]}", "%d{go##15:04 {}##}", "%d{hex} %d{big64}", "%d{go{{2006}}}",
		"%d{strftime[%F %T %Y-%m-%d %H:%M:%S %j %a %A %b %B %y %e %I %p %R %D]}",
	}
	for _, form := range []string{"ascii", "number", "hex", "hex4", "hex8", "hex16", "hex32", "hex64", "big8", "big16", "big32", "big64", "little8", "little16", "little32", "little64", "byte", "bool"} {
		layouts = append(layouts, "%o{"+form+"}")
	}
	for _, layout := range layouts {
		oracle, err := kgo.NewRecordFormatter(layout)
		if err != nil {
			t.Errorf("%s: kgo: %v", layout, err)
			continue
		}
		ours, err := Parse(layout)
		if err != nil {
			t.Errorf("%s: %v", layout, err)
			continue
		}
		want := string(oracle.AppendPartitionRecord(nil, &kgo.FetchPartition{LogStartOffset: 5, LastStableOffset: 7, HighWatermark: 8}, in.Record))
		if got := string(ours.Append(nil, in)); got != want {
			t.Errorf("%s:\n got %q\nwant %q", layout, got, want)
		}
	}
}

func TestTemplatesOfOurOwn(t *testing.T) {
	in := sample()
	for layout, want := range map[string]string{
		"%v{json}":                  `{"a":1}`,
		"%k{json}":                  `"a/8="`,
		"%t{json}":                  `"orders"`,
		"%h{%v{json};}":             "1;null;",
		"%v{len}":                   "10",
		"%k{unpack[b$]}":            "107(too long)",
		"%k{unpack[q]}":             "(too short)",
		"%d{rfc3339}":               "2026-01-02T03:04:05.678Z",
		"%d{strftime[%s %L %f %V]}": "1767323045 678 678000 01",
	} {
		tpl, err := Parse(layout)
		if err != nil {
			t.Errorf("%s: %v", layout, err)
			continue
		}
		if got := string(tpl.Append(nil, in)); got != want {
			t.Errorf("%s: got %q, want %q", layout, got, want)
		}
	}
}

func TestAWrongTemplateIsToldWithItsColumn(t *testing.T) {
	for layout, want := range map[string]string{
		"abc%":              "column 4: % is the last character",
		"%z":                "column 1: %z is not known",
		`a\q`:               `column 2: \q is not known`,
		`\x4`:               `column 1: \x wants two`,
		`\`:                 "column 1: \\ is the last",
		"%v{":               "column 3: a modifier",
		"%v{}":              "column 3: a modifier",
		"%v{hax}":           "column 1: {hax} is not known of text",
		"%o{base64}":        "column 1: {base64} is not known of numbers",
		"%d{noon}":          "column 1: {noon} is not known of timestamps",
		"%d{go}":            "column 1: {go} wants a layout",
		"%d{go[2006}":       "column 3: what [ opens is never closed by ]}",
		"%d{strftime[%Q]}":  "column 1: strftime: %Q is not known",
		"%v{unpack[k]}":     "column 1: unpack wants",
		"%v{hex[1]}":        "column 1: {hex} takes nothing",
		"%a":                "column 1: %a wants one of",
		"%a{compression;x}": "column 1: {x} is not known of numbers",
		"%h":                "column 1: %h wants the format of a header",
		"%h{%k":             "column 6: the closing brace of %h is missing",
		"%h{%o}":            "column 4: %o is not known of a header",
	} {
		_, err := Parse(layout)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", layout, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`%t %h{%k=%v{hex} }\n`, "%d{strftime[%F]}", "%d{go##x##}", "%v{unpack[<iQ$]}", "%a{compression;hex8}", "%v{{{", `\x`} {
		f.Add(seed, []byte("value"))
	}
	f.Fuzz(func(t *testing.T, layout string, value []byte) {
		tpl, err := Parse(layout)
		if err != nil {
			if column := err.(*SyntaxError).Column; column < 1 || column > len(layout)+1 {
				t.Fatalf("%q: column %d", layout, column)
			}
			return
		}
		in := sample()
		in.Value = value
		tpl.Append(nil, in)
	})
}

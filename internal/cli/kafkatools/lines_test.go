package kafkatools

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	return string(b)
}

func TestLinesBecomeRecords(t *testing.T) {
	for _, c := range []struct{ properties, line, want string }{
		{"", "a\tb", "null a\tb []"},
		{"parse.key=true", "a\tb\tc", "a b\tc []"},
		{"parse.key=true", "\tb", " b []"},
		{"parse.key=true", "b", "! No key separator found on line number 1: 'b'"},
		{"parse.key=true ignore.error=true", "b", "null b []"},
		{"parse.key=true null.marker=N", "N\tN", "null null []"},
		{"parse.key=true parse.headers=true", "h:1,i:2,j:\tk\tv", "k v [h=1 i=2 j=]"},
		{"parse.headers=true null.marker=N", "h:N\tv", "null v [h=null]"},
		{"parse.headers=true null.marker=N", "N:1\tv", "! Header keys should not be equal to the null marker 'N' as they can't be null"},
		{"parse.headers=true null.marker=N", "N\tv", "null v []"},
		{"parse.headers=true", "h\tv", "! No header key separator found in pair 'h' on line number 1"},
		{"parse.headers=true headers.delimiter=| headers.separator=; headers.key.separator==", "a=b;c=d|v", "null v [a=b c=d]"},
		{"headers.delimiter=,", "", "! headers.delimiter and headers.separator may not be equal"},
		{"key.separator=x null.marker=x", "", "! null.marker and key.separator may not be equal"},
	} {
		p := newProps()
		p.pairs(strings.Fields(c.properties))
		got := ""
		r, err := newLineParser(p)
		var rec *kgo.Record
		if err == nil {
			rec, err = r.record(c.line)
		}
		if err != nil {
			got = "! " + err.Error()
		} else {
			var headers []string
			for _, h := range rec.Headers {
				headers = append(headers, h.Key+"="+show(h.Value))
			}
			got = fmt.Sprintf("%s %s %v", show(rec.Key), show(rec.Value), headers)
		}
		if got != c.want {
			t.Errorf("%s, %q: %s, want %s", c.properties, c.line, got, c.want)
		}
	}
}

func TestRecordsArePrinted(t *testing.T) {
	rec := &kgo.Record{
		Topic: "t", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1700000000123), Key: []byte("k"),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "n"}},
	}
	for properties, want := range map[string]string{
		"":                                       "null\n",
		"print.key=true":                         "k\tnull\n",
		"print.key=true print.value=false":       "k\n",
		"print.timestamp=true key.separator=|":   "CreateTime:1700000000123|null\n",
		"print.partition=true print.offset=TRUE": "Partition:2\tOffset:7\tnull\n",
		"print.headers=true headers.separator=; null.literal=NIL": "h:1;n:NIL\tNIL\n",
		"line.separator=|": "null|",
	} {
		p := newProps()
		p.pairs(strings.Fields(properties))
		var b strings.Builder
		w := bufio.NewWriter(&b)
		if err := (&call{}).newDefaultFormatter(p).write(w, rec); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if b.String() != want {
			t.Errorf("%s: %q, want %q", properties, b.String(), want)
		}
	}
}

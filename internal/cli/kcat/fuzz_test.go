package kcat

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func FuzzCommandLinesAndFormats(f *testing.F) {
	f.Add("-C -b x -t t -f %t[%p]@%o_%K_%S_%T\\x41\\n -s key=<hib", []byte("k"), []byte("value"))
	f.Add("-P -bx:1,y -tt -K: -H a=b -Xacks=1 -- -x", []byte(nil), []byte("\x00\xff"))
	f.Add("-Q -b x -t t:0:1 -o s@1 -o e@2 -o -5 -J -D \\n", []byte(""), []byte("{}"))
	f.Fuzz(func(t *testing.T, line string, key, value []byte) {
		if strings.Contains(line, "F") {
			return // reads files
		}
		o := defaults()
		var out, errs strings.Builder
		if o.read(strings.Fields(line), testEnv("", &out, &errs)) != nil {
			return
		}
		_, _ = delimiter(o.delimiter)
		p, err := newPrinter(o)
		if err != nil {
			return
		}
		_ = p.print(bufio.NewWriter(io.Discard), &kgo.Record{Topic: "t", Key: key, Value: value, Timestamp: time.UnixMilli(1), Headers: []kgo.RecordHeader{{Key: "h", Value: value}}}, 1)
	})
}

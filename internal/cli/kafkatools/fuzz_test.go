package kafkatools

import (
	"strings"
	"testing"
)

func FuzzCommandLinesAndLines(f *testing.F) {
	f.Add("--topic a --group b --state --keys a,b --partitions 3", "parse.key=true parse.headers=true null.marker=N", "h:1,i:2\tk\tv")
	f.Add("--topic=a -list --", "headers.separator=[;,] headers.delimiter=|", "a:b;c:d|x")
	f.Fuzz(func(t *testing.T, args, properties, line string) {
		if parsed, err := testParser().parse(strings.Fields(args)); err == nil {
			_ = parsed.check()
			_, _ = replicaAssignment(parsed.text("topic"))
			_, _ = namedPartitions(parsed.text("topic"))
			_, _ = topicID(parsed.text("topic"))
			_ = outsideBrackets(parsed.text("topic"), ',')
		}
		p := newProps()
		p.pairs(strings.Fields(properties))
		if r, err := newLineParser(p); err == nil {
			_, _ = r.record(line)
		}
	})
}

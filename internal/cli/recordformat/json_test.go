package recordformat

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func FuzzParseJSONRecord(f *testing.F) {
	f.Add([]byte(`{"key":"k","value":null,"timestamp":"2026-01-02T03:04:05.678Z","headers":[{"keyBase64":"/w==","value":"x"}]}`))
	f.Add([]byte(`{"timestamp":1700000000000,"valueBase64":"AP4="}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseJSON(line)
		if err != nil {
			return
		}
		// What is printed is read back as the same record.
		again, err := ParseJSON(AppendJSON(nil, r))
		if err != nil {
			if y := r.Timestamp.UTC().Year(); y < 0 || y > 9999 {
				return // RFC 3339 has no such year
			}
			t.Fatalf("%s: %v", AppendJSON(nil, r), err)
		}
		if !sameRecord(r, again) {
			t.Fatalf("%s\n%s", AppendJSON(nil, r), AppendJSON(nil, again))
		}
	})
}

func sameRecord(a, b *kgo.Record) bool {
	return string(AppendJSON(nil, a)) == string(AppendJSON(nil, b)) && (a.Value == nil) == (b.Value == nil) &&
		a.Timestamp.Truncate(time.Millisecond).Equal(b.Timestamp.Truncate(time.Millisecond))
}

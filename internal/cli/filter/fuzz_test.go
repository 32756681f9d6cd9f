package filter

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func FuzzMatch(f *testing.F) {
	f.Add(`json.price > 100 && headers["h"] == "1" || key == null`, []byte("k"), []byte(`{"price":7,"n":[1,2.5,null]}`))
	f.Add(`value.matches("a+") ? timestamp > timestamp("2026-01-02T03:04:05Z") : offset % 2 == 0`, []byte(nil), []byte("\xff"))
	f.Fuzz(func(t *testing.T, expression string, key, value []byte) {
		c, err := Compile(expression)
		if err != nil {
			return
		}
		c.Match(&kgo.Record{Topic: "t", Key: key, Value: value, Timestamp: time.UnixMilli(1), Headers: []kgo.RecordHeader{{Key: "h", Value: value}}})
	})
}

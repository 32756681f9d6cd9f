package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
)

func TestHeadersSayWhenARecordIsDue(t *testing.T) {
	h := func(kv ...string) (headers []batch.RecordHeader) {
		for i := 0; i < len(kv); i += 2 {
			headers = append(headers, batch.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
		}
		return headers
	}
	key := []byte("k")
	for name, c := range map[string]struct {
		headers []batch.RecordHeader
		key     []byte
		want    Wish
		wrong   string // part of the error
	}{
		"no header":        {headers: h("other", "1"), want: Wish{Due: 10_000}},
		"at":               {headers: h(AtHeader, "12000"), want: Wish{Due: 12_000}},
		"at, past":         {headers: h(AtHeader, "0"), want: Wish{Due: 10_000}},
		"at, the longest":  {headers: h(AtHeader, "3610000"), want: Wish{Due: 3_610_000}},
		"at, too far":      {headers: h(AtHeader, "3610001"), wrong: "delay of 3600001 ms, the topic allows 3600000"},
		"after":            {headers: h("a", "b", AfterHeader, "5"), want: Wish{Due: 10_005}},
		"after, too far":   {headers: h(AfterHeader, "9223372036854775807"), wrong: AfterHeader},
		"after, too large": {headers: h(AfterHeader, "9223372036854775808"), wrong: "decimal digits"},
		"after, negative":  {headers: h(AfterHeader, "-1"), wrong: "decimal digits"},
		"at, empty":        {headers: h(AtHeader, ""), wrong: "decimal digits"},
		"at, words":        {headers: h(AtHeader, "tomorrow"), wrong: `"tomorrow"`},
		"both":             {headers: h(AtHeader, "11000", AfterHeader, "5"), wrong: "once"},
		"twice":            {headers: h(AtHeader, "11000", AtHeader, "11000"), wrong: "once"},
		"cancel":           {headers: h(CancelHeader, ""), key: key, want: Wish{Due: 10_000, Cancel: true}},
		"cancel, null":     {headers: []batch.RecordHeader{{Key: CancelHeader}}, key: key, want: Wish{Due: 10_000, Cancel: true}},
		"cancel, no key":   {headers: h(CancelHeader, ""), wrong: "without a key"},
		"cancel, value":    {headers: h(CancelHeader, "1"), key: key, wrong: "takes none"},
	} {
		got, err := ReadWish(c.headers, c.key, 10_000, time.Hour)
		switch {
		case c.wrong == "" && (err != nil || got != c.want):
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want an error with %q", name, err, c.wrong)
		}
	}
}

package group

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/cli/offsets"
)

func TestLagOfAGroupIsTheSumAndTheLongestOfWhatIsKnown(t *testing.T) {
	now := time.UnixMilli(100_000)
	unknown := standing{Topic: "a", Partition: 9, Committed: -1, Lag: -1, LagSeconds: -1}
	behind := func(n int32, lag int64) standing { return standing{Topic: "a", Partition: n, Lag: lag, LagSeconds: -1} }
	written := map[offsets.Partition]time.Time{{Topic: "a", Number: 0}: time.UnixMilli(90_000), {Topic: "a", Number: 1}: time.UnixMilli(98_500), {Topic: "a", Number: 3}: time.UnixMilli(200_000)}
	for name, c := range map[string]struct {
		parts   []standing
		lag     int64
		seconds float64
	}{
		"none":                      {nil, 0, 0},
		"unknown":                   {[]standing{unknown}, -1, -1},
		"caught up":                 {[]standing{behind(0, 0), unknown}, 0, 0},
		"behind":                    {[]standing{behind(0, 3), behind(1, 4), unknown}, 7, 10},
		"a record that is not read": {[]standing{behind(2, 5)}, 5, -1},
		"a record of tomorrow":      {[]standing{behind(3, 5)}, 5, 0},
	} {
		d := described{Partitions: c.parts}
		fillSeconds(&d, written, now)
		if d.Lag != c.lag || d.LagSeconds != c.seconds {
			t.Errorf("%s: lag %d, %v s; want %d, %v s", name, d.Lag, d.LagSeconds, c.lag, c.seconds)
		}
	}
}

package cleaner

import (
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

var now = time.UnixMilli(1_700_000_000_000)

// ago is a timestamp.
func ago(d time.Duration) int64 { return now.Add(-d).UnixMilli() }

// hundreds are segments of 100 offsets and 1000 bytes each, from offset 0 on, that began and ended so long ago.
func hundreds(ages ...time.Duration) (parts []Part) {
	for i, age := range ages {
		parts = append(parts, Part{Base: kafka.Offset(100 * i), Bytes: 1000, First: ago(age), Largest: ago(age)})
	}
	return parts
}

func TestWhatIsCleanedAndWhen(t *testing.T) {
	const h = time.Hour
	five := hundreds(5*h, 4*h, 3*h, 2*h, h)
	full := Bounds{End: 450, Limit: 450}
	half := Rules{MaxLag: Never, MinDirtyRatio: 0.5}
	for name, c := range map[string]struct {
		parts  []Part
		b      Bounds
		r      Rules
		dirty  kafka.Offset
		upper  kafka.Offset
		ratio  float64
		due    bool
		behind time.Duration
	}{
		"all but the active segment":              {five, full, half, 0, 400, 1, true, 0},
		"nothing but the active segment":          {five[:1], Bounds{End: 50, Limit: 50}, half, 0, 0, 0, false, 0},
		"half is not more than half":              {five, Bounds{End: 450, Limit: 450, Cleaned: 200}, half, 200, 400, 0.5, false, 0},
		"more than half":                          {five, Bounds{End: 450, Limit: 450, Cleaned: 100}, half, 100, 400, 0.75, true, 0},
		"a ratio of 0 wants something dirty":      {five, Bounds{End: 450, Limit: 450, Cleaned: 400}, Rules{MaxLag: Never}, 400, 400, 0, false, 0},
		"a segment clean in part counts as both":  {five, Bounds{End: 450, Limit: 450, Cleaned: 250}, half, 250, 400, 0.4, false, 0},
		"not the segment with the limit":          {five, Bounds{End: 450, Limit: 250}, half, 0, 200, 1, true, 0},
		"a limit at a base":                       {five, Bounds{End: 450, Limit: 200}, half, 0, 200, 1, true, 0},
		"a limit before all":                      {five, Bounds{End: 450, Limit: 0}, half, 0, 0, 0, false, 0},
		"a limit below what was cleaned":          {five, Bounds{End: 450, Limit: 150, Cleaned: 300}, half, 300, 100, 0, false, 0},
		"not within the min lag":                  {five, full, Rules{MinLag: 150 * time.Minute, MaxLag: Never}, 0, 300, 1, true, 0},
		"the min lag of the first ends it all":    {five, full, Rules{MinLag: 9 * h, MaxLag: Never}, 0, 0, 0, false, 0},
		"a young one keeps older ones after it":   {hundreds(5*h, 0, 5*h, 5*h), Bounds{End: 350, Limit: 350}, Rules{MinLag: h, MaxLag: Never}, 0, 100, 1, true, 0},
		"overdue by the max lag":                  {five, Bounds{End: 450, Limit: 450, Cleaned: 300}, Rules{MaxLag: 90 * time.Minute, MinDirtyRatio: 0.9}, 300, 400, 0.25, true, 30 * time.Minute},
		"not overdue yet":                         {five, Bounds{End: 450, Limit: 450, Cleaned: 300}, Rules{MaxLag: 3 * h, MinDirtyRatio: 0.9}, 300, 400, 0.25, false, 0},
		"overdue, but nothing may be cleaned":     {five, Bounds{End: 450, Limit: 50}, Rules{MaxLag: h, MinDirtyRatio: 0.9}, 0, 0, 0, false, 4 * h},
		"a checkpoint before the start":           {five, Bounds{Start: 150, End: 450, Limit: 450, Cleaned: 50}, half, 150, 400, 0.6, true, 0},
		"a checkpoint beyond the end":             {five, Bounds{Start: 150, End: 450, Limit: 450, Cleaned: 999}, half, 150, 400, 0.6, true, 0},
		"an empty log":                            {hundreds(0)[:1], Bounds{}, half, 0, 0, 0, false, 0},
		"records without timestamps are not late": {[]Part{{Bytes: 9, First: -1, Largest: -1}, {Base: 5}}, Bounds{End: 6, Limit: 6}, Rules{MaxLag: 1, MinDirtyRatio: 1}, 0, 5, 1, false, 0},
	} {
		s := Survey(c.parts, c.b, c.r, now)
		if s.FirstDirty != c.dirty || s.Uncleanable != c.upper || s.Due() != c.due || s.Overdue != c.behind {
			t.Errorf("%s: %+v, due %v", name, s, s.Due())
		}
		if got := s.Ratio(); got != c.ratio {
			t.Errorf("%s: ratio %v, want %v", name, got, c.ratio)
		}
	}
}

func TestRunsOfSegmentsThatFitIntoOne(t *testing.T) {
	piece := func(base, next kafka.Offset, bytes int64, index int) Piece {
		return Piece{Base: base, Next: next, Bytes: bytes, IndexBytes: index}
	}
	limits := Limits{SegmentBytes: 100, IndexBytes: 100}
	for name, c := range map[string]struct {
		pieces []Piece
		runs   []int
	}{
		"none":                  {nil, nil},
		"one":                   {[]Piece{piece(0, 10, 500, 500)}, []int{1}},
		"by bytes":              {[]Piece{piece(0, 10, 50, 1), piece(10, 20, 50, 1), piece(20, 30, 1, 1)}, []int{2, 1}},
		"by the index":          {[]Piece{piece(0, 10, 5, 60), piece(10, 20, 5, 41), piece(20, 30, 1, 1)}, []int{1, 2}},
		"by the offsets":        {[]Piece{piece(0, 10, 5, 1), piece(10, 1<<31, 5, 1), piece(1<<31, 1<<31+1, 1, 1)}, []int{2, 1}},
		"far, but without data": {[]Piece{piece(0, 10, 5, 1), piece(10, 1<<40, 0, 0)}, []int{2}},
	} {
		if got := Groups(c.pieces, limits); !slices.Equal(got, c.runs) {
			t.Errorf("%s: %v, want %v", name, got, c.runs)
		}
	}
}

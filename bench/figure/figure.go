// Package figure turns the figures of repeated runs into what a table says of them: the median of the pairs with its spread, the
// ratio of two systems, and whether an aim is met. The benchmark's report calls it; it holds no state and no goroutines.
package figure

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Spread is what repeated runs of one thing came to.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Of makes the spread of values; without any it is not ok. Between the two middle values of an even number it takes their mean.
func Of(values []float64) (s Spread, ok bool) {
	if len(values) == 0 {
		return Spread{}, false
	}
	v := slices.Sorted(slices.Values(values))
	middle := len(v) / 2
	s = Spread{Median: v[middle], Min: v[0], Max: v[len(v)-1]}
	if len(v)%2 == 0 {
		s.Median = (v[middle-1] + v[middle]) / 2
	}
	return s, true
}

// Ratios divides the values of ours by the values of theirs, pair by pair. A pair with a zero divisor has no ratio.
func Ratios(ours, theirs []float64) []float64 {
	var r []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i] != 0 {
			r = append(r, ours[i]/theirs[i])
		}
	}
	return r
}

// Text writes the spread as "median (min–max)"; a single run has no spread.
func (s Spread) Text() string {
	if s.Min == s.Max {
		return Short(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", Short(s.Median), Short(s.Min), Short(s.Max))
}

// Short writes a number with three significant digits or all before the point, and groups of three digits.
func Short(v float64) string {
	abs := math.Abs(v)
	digits := 0
	switch {
	case abs == 0 || abs >= 100:
	case abs >= 10:
		digits = 1
	case abs >= 1:
		digits = 2
	default:
		digits = 3
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		return text
	}
	start := len(text) % 3
	if v < 0 {
		start = (len(text)-1)%3 + 1
	}
	grouped := text[:start]
	for i := start; i < len(text); i += 3 {
		if grouped != "" && grouped != "-" {
			grouped += ","
		}
		grouped += text[i : i+3]
	}
	return grouped
}

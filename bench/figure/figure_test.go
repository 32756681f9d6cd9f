package figure

import "testing"

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{9, 1, 4}, Spread{4, 1, 9}},
		{[]float64{4, 1, 9, 2}, Spread{3, 1, 9}},
	} {
		got, ok := Of(c.in)
		if !ok || got != c.want {
			t.Errorf("Of(%v) = %v, %v, want %v", c.in, got, ok, c.want)
		}
	}
	if _, ok := Of(nil); ok {
		t.Error("no runs have a spread")
	}
}

func TestOfLeavesTheRunsInTheirOrder(t *testing.T) {
	runs := []float64{3, 1, 2}
	Of(runs)
	if runs[0] != 3 || runs[1] != 1 {
		t.Errorf("Of sorted its argument: %v", runs)
	}
}

func TestRatiosGoPairByPair(t *testing.T) {
	got := Ratios([]float64{10, 20, 30}, []float64{5, 0, 10})
	if len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Errorf("Ratios = %v, want [2 3]: a zero has no ratio", got)
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[float64]string{
		0: "0", 0.0421: "0.042", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1,234", 123456: "123,456", 1234567: "1,234,567",
		-1234: "-1,234", -123: "-123",
	} {
		if got := Short(in); got != want {
			t.Errorf("Short(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestAims(t *testing.T) {
	ours, ratio := Spread{Median: 0.9}, Spread{Median: 1.1}
	for _, c := range []struct {
		aim  Aim
		want Verdict
		text string
	}{
		{Aim{}, Open, "–"},
		{RatioAtLeast(1.1), Met, "≥ 1.1 ×"},
		{RatioAtLeast(1.2), Missed, "≥ 1.2 ×"},
		{RatioAtMost(1.1), Met, "≤ 1.1 ×"},
		{RatioAtMost(0.5), Missed, "≤ 0.5 ×"},
		{AtMost(0.9), Met, "≤ 0.9"},
		{AtMost(0.8), Missed, "≤ 0.8"},
	} {
		if got := c.aim.Judge(ours, ratio); got != c.want || c.aim.Text() != c.text {
			t.Errorf("%s: judged %s, want %s (%s)", c.aim.Text(), got, c.want, c.text)
		}
	}
}

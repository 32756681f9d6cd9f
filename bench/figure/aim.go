package figure

import "fmt"

// Aim is what a row of the table is to reach. The zero value is no aim.
type Aim struct {
	kind  aimKind
	bound float64
}

type aimKind int

const (
	noAim        aimKind = iota
	ratioAtLeast         // ours to theirs
	ratioAtMost
	valueAtMost // ours alone
)

// RatioAtLeast wants ours to be so many times theirs, or more.
func RatioAtLeast(x float64) Aim { return Aim{ratioAtLeast, x} }

// RatioAtMost wants ours to be so many times theirs, or less.
func RatioAtMost(x float64) Aim { return Aim{ratioAtMost, x} }

// AtMost wants ours to be so much, or less, whatever theirs is.
func AtMost(x float64) Aim { return Aim{valueAtMost, x} }

// Text is the aim as the table shows it.
func (a Aim) Text() string {
	switch a.kind {
	case ratioAtLeast:
		return fmt.Sprintf("≥ %s ×", trim(a.bound))
	case ratioAtMost:
		return fmt.Sprintf("≤ %s ×", trim(a.bound))
	case valueAtMost:
		return "≤ " + trim(a.bound)
	}
	return "–"
}

func trim(v float64) string { return fmt.Sprintf("%g", v) }

// Verdict is how a row stands to its aim.
type Verdict string

// The verdicts. A row with a failed run has failed, whatever the other runs show.
const (
	Met    Verdict = "met"
	Missed Verdict = "missed"
	Open   Verdict = "–" // there is no aim
	Failed Verdict = "FAILED"
	NotRun Verdict = "not run" // not as often as it should have been, because of an interruption
)

// Judge compares the medians with the aim.
func (a Aim) Judge(ours, ratio Spread) Verdict {
	met := true
	switch a.kind {
	case noAim:
		return Open
	case ratioAtLeast:
		met = ratio.Median >= a.bound
	case ratioAtMost:
		met = ratio.Median <= a.bound
	case valueAtMost:
		met = ours.Median <= a.bound
	}
	if met {
		return Met
	}
	return Missed
}

// Package cleaner is compaction: which log is worth it and up to where, which records of it stay, and the writing of the
// segments that hold them. What it decides is pure, and what it writes goes through the log's file system. storage/commitlog
// calls it and puts the new segments in the place of the old ones; it starts no goroutine and has no clock.
package cleaner

import (
	"math"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Rules are the settings of a topic that say when a log is cleaned and what for.
type Rules struct {
	MinLag, MaxLag  time.Duration // a MaxLag below 0 or of Never: no limit
	DeleteRetention time.Duration
	MinDirtyRatio   float64
}

// Never is a MaxLag without effect.
const Never = time.Duration(math.MaxInt64)

// NeedsTimes tells whether a Survey looks at the timestamps of the Parts.
func (r Rules) NeedsTimes() bool { return r.MinLag > 0 || r.hasMaxLag() }

func (r Rules) hasMaxLag() bool { return r.MaxLag >= 0 && r.MaxLag < Never }

// Part is one segment of a log, as the choice knows it. The timestamps, in ms and NoTimestamp where there are none, are
// looked at only in the dirty parts, and only where the rules need them.
type Part struct {
	Base           kafka.Offset
	Bytes          int64
	First, Largest int64
}

// Bounds are where a log stands.
type Bounds struct {
	Start, End kafka.Offset
	Cleaned    kafka.Offset // up to where it was cleaned before
	Limit      kafka.Offset // the last stable offset: what is beyond is not touched
}

// State is what compaction has to do in a log.
type State struct {
	FirstDirty  kafka.Offset // what was not cleaned before begins here
	Uncleanable kafka.Offset // and may be cleaned up to here: the base of a segment
	CleanBytes  int64
	DirtyBytes  int64         // of those that may be cleaned
	Overdue     time.Duration // by the MaxLag
	minRatio    float64
}

// Ratio is the dirty part of what would be gone through, from 0 to 1.
func (s State) Ratio() float64 {
	if s.DirtyBytes == 0 {
		return 0
	}
	return float64(s.DirtyBytes) / float64(s.CleanBytes+s.DirtyBytes)
}

// Due tells whether the log should be cleaned.
func (s State) Due() bool {
	return s.DirtyBytes > 0 && (s.Overdue > 0 || s.Ratio() > s.minRatio)
}

// Dirtier orders states by what is to be cleaned first: the larger part.
func (s State) Dirtier(than State) bool { return s.Ratio() > than.Ratio() }

// Survey works out the state of a log whose parts these are; the last one is the active segment, which is never cleaned.
// Neither is a segment that holds the limit, nor one with records younger than MinLag, nor any after those.
func Survey(parts []Part, b Bounds, r Rules, now time.Time) State {
	s := State{FirstDirty: b.Cleaned, minRatio: r.MinDirtyRatio}
	if s.FirstDirty < b.Start || s.FirstDirty > b.End {
		s.FirstDirty = b.Start
	}
	sealed := parts[:len(parts)-1]
	first, upper := floor(sealed, s.FirstDirty), len(sealed)
	if b.Limit < parts[upper].Base {
		upper = floor(sealed, b.Limit)
	}
	if r.MinLag > 0 {
		for i := first; i < upper; i++ {
			if sealed[i].Largest > now.Add(-r.MinLag).UnixMilli() {
				upper = i
			}
		}
	}
	s.Uncleanable = parts[upper].Base
	for i, p := range parts[:upper] {
		if p.Base < s.FirstDirty {
			s.CleanBytes += p.Bytes
		}
		if i >= first && s.Uncleanable > s.FirstDirty {
			s.DirtyBytes += p.Bytes
		}
	}
	if r.hasMaxLag() {
		s.Overdue = overdue(sealed[min(first, len(sealed)):], now.Add(-r.MaxLag))
	}
	return s
}

// overdue is how long before the limit the oldest of the parts began.
func overdue(dirty []Part, limit time.Time) time.Duration {
	oldest := int64(math.MaxInt64)
	for _, p := range dirty {
		if p.First > 0 {
			oldest = min(oldest, p.First)
		}
	}
	return time.Duration(max(limit.UnixMilli()-oldest, 0)) * time.Millisecond
}

// floor is the index of the part that holds o; of the first, if o lies before, and after the last only where there is none.
func floor(parts []Part, o kafka.Offset) int {
	n := 0
	for n+1 < len(parts) && parts[n+1].Base <= o {
		n++
	}
	return n
}

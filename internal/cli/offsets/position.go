package offsets

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
)

// Position is a place in every partition of a topic, as words on a command line name it.
type Position struct {
	Kind Kind
	N    int64     // of AtOffset, AfterStart and BeforeEnd
	Time time.Time // of AtTime
}

// Kind tells what a position counts from.
type Kind int

// The kinds of positions.
const (
	FromStart  Kind = iota // the first record there is
	FromEnd                // behind the last record there is
	AtOffset               // the record with this offset
	AfterStart             // so many offsets behind the first
	BeforeEnd              // so many offsets before the end
	AtTime                 // the first record that is not older
)

// PositionHelp tells the words for positions.
const PositionHelp = "start, end, an offset, +N for N behind the start, -N for N before the end of each partition, or @TIME (RFC 3339, a date, milliseconds since 1970, or -1h for an hour ago)"

// ParsePosition reads the words for a position. Relative times count from now.
func ParsePosition(text string, now time.Time) (Position, error) {
	switch {
	case text == "start":
		return Position{Kind: FromStart}, nil
	case text == "end":
		return Position{Kind: FromEnd}, nil
	case strings.HasPrefix(text, "@"):
		at, err := ParseTime(text[1:], now)
		return Position{Kind: AtTime, Time: at}, err
	}
	kind, digits := AtOffset, text
	switch {
	case strings.HasPrefix(text, "-"):
		kind, digits = BeforeEnd, text[1:]
	case strings.HasPrefix(text, "+"):
		kind, digits = AfterStart, text[1:]
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return Position{}, fmt.Errorf("%q is none of %s", text, PositionHelp)
	}
	return Position{Kind: kind, N: int64(n)}, nil
}

// RangeHelp tells the words for ranges.
const RangeHelp = "a place to begin, as --from has it, or a range FROM:TO, where either may be missing and @T1:T2 is between two times"

// ParseRange reads a position, or two with a colon between them. ends tells whether the second is there.
func ParseRange(text string, now time.Time) (from, to Position, ends bool, err error) {
	from, whole := ParsePosition(text, now)
	if whole == nil {
		return from, Position{Kind: FromEnd}, false, nil
	}
	// Times hold colons too, so the colon of the range is one with a position on either side of it.
	for i := range len(text) {
		if text[i] != ':' {
			continue
		}
		first, second := text[:i], text[i+1:]
		if first == "" {
			first = "start"
		}
		if strings.HasPrefix(first, "@") && second != "" && second != "end" && !strings.HasPrefix(second, "@") {
			second = "@" + second
		}
		from, bad := ParsePosition(first, now)
		if bad != nil {
			continue
		}
		if second == "" {
			return from, Position{Kind: FromEnd}, false, nil
		}
		to, bad := ParsePosition(second, now)
		if bad == nil {
			return from, to, true, nil
		}
	}
	if !strings.Contains(text, ":") || strings.HasPrefix(text, "@") {
		return Position{}, Position{}, false, whole
	}
	return Position{}, Position{}, false, fmt.Errorf("%q is no range: FROM and TO are %s", text, PositionHelp)
}

// ParseTime reads a time: RFC 3339, a date (its first moment in UTC), milliseconds since 1970, or a time before now, such as -1h
// or -7d.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if days, ok := strings.CutSuffix(ago, "d"); ok {
			if n, err := strconv.ParseUint(days, 10, 16); err == nil {
				return now.AddDate(0, 0, -int(n)), nil
			}
		}
		if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
			return now.Add(-d), nil
		}
		return time.Time{}, fmt.Errorf("%q is no time before now, such as -90s, -1h30m or -7d", text)
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither RFC 3339, such as 2026-01-02T03:04:05Z, nor a date, nor milliseconds since 1970, nor a time before now, such as -1h", text)
	}
	return at, nil
}

// Resolve finds the offset of the position in each of the partitions. A place before the first record is the first; one behind
// the last is kept, for it may come.
func (p Position) Resolve(ctx context.Context, client *kgo.Client, at Bounds, isolation Isolation) (map[Partition]int64, error) {
	places := map[Partition]int64{}
	var parts []Partition
	for part, b := range at {
		parts = append(parts, part)
		switch p.Kind {
		case FromStart:
			places[part] = b.Start
		case FromEnd, AtTime:
			places[part] = b.End
		case AtOffset:
			places[part] = max(p.N, b.Start)
		case AfterStart:
			places[part] = b.Start + min(p.N, math.MaxInt64-b.Start)
		case BeforeEnd:
			places[part] = max(b.End-p.N, b.Start)
		}
	}
	if p.Kind != AtTime {
		return places, nil
	}
	found, err := List(ctx, client, parts, max(p.Time.UnixMilli(), 0), isolation)
	if err != nil {
		return nil, err
	}
	for part, f := range found {
		if f.Err != nil {
			return nil, fmt.Errorf("look for the time in partition %d of %s: %w", part.Number, part.Topic, target.Explain(f.Err, ""))
		}
		if f.Offset >= 0 {
			places[part] = f.Offset
		}
	}
	return places, nil
}

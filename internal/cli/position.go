package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// position is a place in every partition of a topic, as --from and --to name it.
type position struct {
	kind positionKind
	n    int64     // of atOffset and beforeEnd
	at   time.Time // of atTime
}

type positionKind int

const (
	fromStart positionKind = iota // the first record there is
	fromEnd                       // behind the last record there is
	atOffset                      // the record with this offset
	beforeEnd                     // so many records before the end
	atTime                        // the first record that is not older
)

const positionHelp = "start, end, an offset, -N for N before the end of each partition, or @TIME (RFC 3339 or milliseconds since 1970)"

func parsePosition(flag, text string) (position, error) {
	switch {
	case text == "start":
		return position{kind: fromStart}, nil
	case text == "end":
		return position{kind: fromEnd}, nil
	case strings.HasPrefix(text, "@"):
		at, err := parseTime(text[1:])
		if err != nil {
			return position{}, term.Usage("%s: %s", flag, err)
		}
		return position{kind: atTime, at: at}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return position{}, term.Usage("%s: %q is none of %s", flag, text, positionHelp)
	}
	if strings.HasPrefix(text, "-") {
		return position{kind: beforeEnd, n: -n}, nil
	}
	return position{kind: atOffset, n: n}, nil
}

// resolve finds the offset of the position in each of the partitions. A place before the first record is the first; one behind
// the last is kept, for it may come.
func (p position) resolve(ctx context.Context, client *kgo.Client, at bounds) (map[partition]int64, error) {
	offsets := map[partition]int64{}
	var parts []partition
	for part, b := range at {
		parts = append(parts, part)
		switch p.kind {
		case fromStart:
			offsets[part] = b.start
		case fromEnd, atTime:
			offsets[part] = b.end
		case atOffset:
			offsets[part] = max(p.n, b.start)
		case beforeEnd:
			offsets[part] = max(b.end-p.n, b.start)
		}
	}
	if p.kind != atTime {
		return offsets, nil
	}
	found, err := listOffsets(ctx, client, parts, p.at.UnixMilli())
	if err != nil {
		return nil, err
	}
	for part, f := range found {
		if f.err != nil {
			return nil, fmt.Errorf("look for the time in partition %d of %s: %w", part.number, part.topic, target.Explain(f.err, ""))
		}
		if f.offset >= 0 {
			offsets[part] = f.offset
		}
	}
	return offsets, nil
}

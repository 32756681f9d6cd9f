package commitlog

import (
	"path/filepath"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// leftovers are the files of a compaction that a crash interrupted. Compaction writes new segments as .cleaned, renames
// them to .swap, removes the old ones, and takes the .swap away. So .cleaned files, and .swap files at or after one, were
// not complete: they are undone. The other .swap segments are, and replace all that they cover. Each step is durable before
// the next, so that a crash in the middle of this leaves what one before it could have left.
type leftovers struct {
	undone []string // .swap files to remove, and then the .cleaned files
	half   []string
	logs   []string // .swap files to put in place, the logs first
	others []string
	from   kafka.Offset // what the new segments cover
	to     kafka.Offset
	old    []string // files of segments that may lie there
}

// finishSwaps completes or undoes a compaction that a crash interrupted.
func (l *Log) finishSwaps() error {
	left, err := l.findLeftovers()
	if err != nil {
		return err
	}
	for _, names := range [][]string{left.undone, left.half, left.old} {
		if err := l.inOneStep(names, l.fs.Remove); err != nil {
			return err
		}
	}
	for _, names := range [][]string{left.logs, left.others} {
		err := l.inOneStep(names, func(path string) error { return l.fs.Rename(path, strings.TrimSuffix(path, segment.SwapSuffix)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) inOneStep(names []string, do func(path string) error) error {
	for _, name := range names {
		if err := do(filepath.Join(l.dir, name)); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	return l.fs.SyncDir(l.dir)
}

func (l *Log) findLeftovers() (left leftovers, err error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return left, err
	}
	left.from = maxOffset
	undoneFrom := maxOffset
	var swaps, plain []string
	for _, e := range entries {
		base, suffix, ok := segment.ParseFileName(e.Name())
		switch {
		case !ok:
		case strings.HasSuffix(suffix, segment.CleanedSuffix):
			undoneFrom = min(undoneFrom, base)
			left.half = append(left.half, e.Name())
		case strings.HasSuffix(suffix, segment.SwapSuffix):
			swaps = append(swaps, e.Name())
		case suffix != segment.SnapshotSuffix:
			plain = append(plain, e.Name())
		}
	}
	for _, name := range swaps {
		if err := l.sortSwap(&left, name, undoneFrom); err != nil {
			return left, err
		}
	}
	for _, name := range plain {
		if base, _, _ := segment.ParseFileName(name); base >= left.from && base < left.to {
			left.old = append(left.old, name)
		}
	}
	return left, nil
}

func (l *Log) sortSwap(left *leftovers, name string, undoneFrom kafka.Offset) error {
	base, suffix, _ := segment.ParseFileName(name)
	switch {
	case base >= undoneFrom:
		left.undone = append(left.undone, name)
	case suffix != segment.LogSuffix+segment.SwapSuffix:
		left.others = append(left.others, name)
	default:
		next, err := segment.NextOffset(l.fs, filepath.Join(l.dir, name), base)
		if err != nil {
			return err
		}
		left.logs = append(left.logs, name)
		left.from, left.to = min(left.from, base), max(left.to, next, base+1)
	}
	return nil
}

package commitlog

import (
	"path/filepath"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/segment"
)

// finishSwaps completes or undoes a compaction that a crash interrupted. Compaction writes new segments as .cleaned,
// renames them to .swap from the last to the first, removes the old ones, and takes the .swap away. So .cleaned files, and
// .swap files at or after one, were not complete: they go. The other .swap segments are, and replace all that they cover.
func (l *Log) finishSwaps() error {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	swaps := map[string]bool{}
	minCleaned := maxOffset
	for _, e := range entries {
		base, suffix, ok := segment.ParseFileName(e.Name())
		switch {
		case ok && strings.HasSuffix(suffix, segment.CleanedSuffix):
			minCleaned = min(minCleaned, base)
			if err := l.fs.Remove(filepath.Join(l.dir, e.Name())); err != nil {
				return err
			}
		case ok && strings.HasSuffix(suffix, segment.SwapSuffix):
			swaps[e.Name()] = true
		}
	}
	if len(swaps) == 0 {
		return nil
	}
	from, to := maxOffset, kafka.Offset(-1)
	for name := range swaps {
		base, suffix, _ := segment.ParseFileName(name)
		if base >= minCleaned {
			if err := l.fs.Remove(filepath.Join(l.dir, name)); err != nil {
				return err
			}
			delete(swaps, name)
			continue
		}
		if suffix != segment.LogSuffix+segment.SwapSuffix {
			continue
		}
		next, err := segment.NextOffset(l.fs, filepath.Join(l.dir, name), base)
		if err != nil {
			return err
		}
		from, to = min(from, base), max(to, next)
	}
	for _, e := range entries {
		base, suffix, ok := segment.ParseFileName(e.Name())
		if !ok || swaps[e.Name()] || strings.HasSuffix(suffix, segment.CleanedSuffix) || strings.HasSuffix(suffix, segment.SwapSuffix) {
			continue
		}
		if base >= from && base < to && suffix != segment.SnapshotSuffix {
			if err := l.fs.Remove(filepath.Join(l.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for name := range swaps {
		path := filepath.Join(l.dir, name)
		if err := l.fs.Rename(path, strings.TrimSuffix(path, segment.SwapSuffix)); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}

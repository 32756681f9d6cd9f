package commitlog

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/segment"
)

// at are batches of one record each at the given offsets, as a leader sends them that compacted others away.
func at(offsets ...kafka.Offset) (all []byte) {
	for _, o := range offsets {
		v := records(1, 10, int64(o%1000))
		batch.StampOffset(v.Batch, o, 0)
		all = append(all, v.Batch...)
	}
	return all
}

// writtenBack makes durable what a file and the folder hold by now, as the system does in its own time.
func writtenBack(t *testing.T, disk *vfs.Mem, base kafka.Offset) {
	t.Helper()
	f, err := disk.OpenFile(filepath.Join(dir, segment.FileName(base, segment.LogSuffix)), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, f.Sync())
	must(t, disk.SyncDir(dir))
}

// A follower's segment may have the gaps of its leader's compaction before it is flushed. A power cut that takes its end, and
// not the segment after it, must not leave a hole that passes for one more gap.
func TestALostEndIsNoGapOfCompactionsInAFollower(t *testing.T) {
	for what, prepare := range map[string]func(*testing.T, *vfs.Mem) *Log{
		"appended": func(t *testing.T, disk *vfs.Mem) *Log {
			l := mustOpen(t, options(disk))
			_, err := l.AppendFollower(start, at(0, 1, 4))
			must(t, err)
			return l
		},
		"recovered": func(t *testing.T, disk *vfs.Mem) *Log {
			l := mustOpen(t, options(disk))
			_, err := l.AppendFollower(start, at(0, 1, 4))
			must(t, err)
			mustFlush(t, l)
			l.CloseAbrupt()
			return mustOpen(t, options(disk))
		},
		"truncated": func(t *testing.T, disk *vfs.Mem) *Log {
			l := mustOpen(t, options(disk))
			_, err := l.AppendFollower(start, at(0, 1, 4, 5))
			must(t, err)
			must(t, l.roll(start, l.End()))
			_, err = l.AppendFollower(start, at(6))
			must(t, err)
			must(t, l.TruncateTo(5))
			return l
		},
	} {
		t.Run(what, func(t *testing.T) {
			disk := newDisk(t)
			l := prepare(t, disk)
			writtenBack(t, disk, 0)
			_, err := l.AppendFollower(start, at(5, 6))
			must(t, err)
			must(t, l.roll(start, l.End()))
			_, err = l.AppendFollower(start, at(7, 8))
			must(t, err)
			writtenBack(t, disk, 7)
			wantNoHole(t, disk.CrashClone(nil), 0, 1, 4, 5, 6, 7, 8)
		})
	}
}

// The name of a segment may be lost while that of the next is not.
func TestALostSegmentIsNoGapOfCompactionsInAFollower(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	_, err := l.AppendFollower(start, at(0, 1, 4))
	must(t, err)
	must(t, l.roll(start, l.End()))
	_, err = l.AppendFollower(start, at(5, 6))
	must(t, err)
	writtenBack(t, disk, 0)
	left := disk.CrashClone(nil)
	if !exists(left, filepath.Join(dir, segment.FileName(5, segment.LogSuffix))) {
		t.Error("the segment after one with gaps is not durable")
	}
	wantNoHole(t, left, 0, 1, 4, 5, 6)
}

// Offsets that jump too far for one segment leave one that does not reach the next.
func TestRecoveryKeepsWhatFollowsAJumpOfOffsets(t *testing.T) {
	far := kafka.Offset(3 * math.MaxInt32)
	for _, offsets := range [][]kafka.Offset{{0, 1, far, far + 1}, {far}} {
		disk := newDisk(t)
		l := mustOpen(t, options(disk))
		_, err := l.AppendFollower(start, at(offsets...))
		must(t, err)
		mustFlush(t, l)
		got := offsetsOf(t, readAll(t, mustOpen(t, options(disk.CrashClone(nil))), 1))
		if !slices.Equal(got, offsets) {
			t.Errorf("recovered %v of %v, all flushed", got, offsets)
		}
	}
}

// wantNoHole wants the log that is recovered to begin with the batches that were appended.
func wantNoHole(t *testing.T, disk *vfs.Mem, all ...kafka.Offset) {
	t.Helper()
	got := offsetsOf(t, readAll(t, mustOpen(t, options(disk)), 1))
	if len(got) > len(all) || !slices.Equal(got, all[:len(got)]) {
		t.Errorf("recovered %v of %v", got, all)
	}
}

package commitlog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// A follower whose disk is full is told by its new leader where their logs part: it can go on from there when there is room.
func TestTruncationNeedsNoRoom(t *testing.T) {
	for _, segmentBytes := range []int64{1 << 20, 4000} {
		disk, full, indexes := newDisk(t), false, false
		o := options(vfs.NewFaulty(disk, func(op vfs.Op) error {
			if (full || indexes && strings.HasSuffix(op.Path, "index")) && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate || op.Kind == vfs.OpRename) {
				return vfs.ErrNoSpace
			}
			return nil
		}))
		o.Config.SegmentBytes, o.Config.IndexIntervalBytes = segmentBytes, 1
		l := mustOpen(t, o)
		for i := range 600 {
			indexes = segmentBytes == 1<<20 // none of them is written, and all have to be made again
			mustAppend(t, l, records(1, 10, int64(i)))
		}
		mustFlush(t, l)
		indexes = false
		all := readAll(t, l, 1<<20)
		full = true
		must(t, l.TruncateTo(500))
		full = false
		if got := readAll(t, l, 1<<20); l.End() != 500 || !bytes.Equal(got, all[:len(all)/6*5]) {
			t.Fatalf("%d bytes of %d up to %d", len(got), len(all), l.End())
		}
		for i := range 100 {
			mustAppend(t, l, records(1, 10, int64(500+i)))
		}
		mustFlush(t, l)
		p := o
		for p.RecoveryPoint = range kafka.Offset(2) {
			p.RecoveryPoint *= 500
			p.FS = disk.CrashClone(nil)
			if got := readAll(t, mustOpen(t, p), 1<<20); !bytes.Equal(got, all) {
				t.Errorf("recovered %d bytes of %d", len(got), len(all))
			}
		}
	}
}

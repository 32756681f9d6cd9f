package commitlog

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

// counting knows how many files are open.
type counting struct {
	vfs.FS
	open atomic.Int32
}

type counted struct {
	vfs.File
	of *counting
}

func (c *counting) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return counted{f, c}, nil
}

func (c counted) Close() error {
	c.of.open.Add(-1)
	return c.File.Close()
}

// TestLogThatNobodyUsesHasNoFileOpen holds for a new one as for one that was there: a node makes thousands of logs at once,
// and running out of files takes its log dir offline.
func TestLogThatNobodyUsesHasNoFileOpen(t *testing.T) {
	disk := &counting{FS: newDisk(t)}
	for _, what := range []string{"new", "reopened"} {
		l := mustOpen(t, options(disk))
		if n := disk.open.Load(); n != 0 {
			t.Errorf("a %s log has %d files open", what, n)
		}
		mustAppend(t, l, records(1, 10, 0))
		mustFlush(t, l)
		must(t, l.Close(start))
	}
}

func TestFlushOfWhatWasRecoveredLeavesNoFileOpen(t *testing.T) {
	disk := newDisk(t)
	l := mustOpen(t, options(disk))
	for i := range 30 { // several segments
		mustAppend(t, l, records(1, 300, int64(i)))
	}
	l.CloseAbrupt()
	again := &counting{FS: disk}
	l = mustOpen(t, options(again))
	mustFlush(t, l)
	if n := again.open.Load(); n != 0 {
		t.Errorf("%d files open", n)
	}
	mustAppend(t, l, records(1, 10, 0))
	mustFlush(t, l)
	must(t, l.Close(start))
}

// TestSyncFSBoundsTheReplayOfProducersToo: flushed by Dirty and MarkFlushed, a log writes as many snapshots of its producers
// as one that is flushed by Flush.
func TestSyncFSBoundsTheReplayOfProducersToo(t *testing.T) {
	disk := newDisk(t)
	o := options(disk)
	o.Config = DefaultConfig()
	l := mustOpen(t, o)
	defer l.CloseAbrupt()
	for l.Size() < 3*snapshotBytes {
		mustAppend(t, l, records(1, 500_000, 0))
		end, _ := l.Dirty()
		l.MarkFlushed(end)
	}
	n := 0
	for _, name := range names(t, disk) {
		if strings.HasSuffix(name, ".snapshot") {
			n++
		}
	}
	if n < 2 {
		t.Errorf("%d snapshots after %d bytes", n, l.Size())
	}
}

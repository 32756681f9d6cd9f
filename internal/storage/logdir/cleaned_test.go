package logdir

import (
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

func compact(t *testing.T, l *commitlog.Log) {
	t.Helper()
	must(t, l.RollIfDue(fixedNow().Add(1e5*3600e9)))
	_, err := l.Clean(fixedNow(), l.End(), cleaner.Resources{MapBytes: 1 << 20, MapLoad: 0.9, BufferBytes: 1 << 16, Throttle: func(int) error { return nil }})
	must(t, err)
}

func TestHowFarALogIsCompactedIsKnownAfterAStart(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 20)
	must(t, d.Checkpoint(nil, nil))
	if _, err := m.Stat("/data/" + cleanerFile); err == nil {
		t.Error("there is a checkpoint though nothing was compacted")
	}
	compact(t, l)
	fill(t, l, 5)
	must(t, d.Checkpoint([]*commitlog.Log{l}, nil))
	if got := get(t, m.CrashClone(nil), "/data/"+cleanerFile); got != "0\n1\norders 0 20\n" {
		t.Errorf("checkpoint %q", got)
	}
	crashed := m.CrashClone(nil)
	if l := openLog(t, open(t, crashed, "/data", node1()), orders0); l.Cleaned() != 20 {
		t.Errorf("after a crash compacted to %d of %d", l.Cleaned(), l.End())
	}
	must(t, l.TruncateTo(12))
	must(t, d.CloseClean(fixedNow(), 1, func(kafka.TopicPartition) kafka.Offset { return 0 }))
	if l := openLog(t, open(t, m, "/data", node1()), orders0); l.Cleaned() > l.End() {
		t.Errorf("compacted to %d of %d", l.Cleaned(), l.End())
	}
}

func TestABrokenCleanerCheckpointIsWrittenAnew(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	fill(t, openLog(t, d, orders0), 3)
	must(t, d.CloseClean(fixedNow(), 1, nil))
	put(t, m, "/data/"+cleanerFile, "0\n7\n")
	d = open(t, m, "/data", node1())
	openLog(t, d, orders0)
	must(t, d.CloseClean(fixedNow(), 1, nil))
	if d = open(t, m, "/data", node1()); !d.WasClean() {
		t.Errorf("still broken: %q", get(t, m, "/data/"+cleanerFile))
	}
}

// Every bit of the checkpoint is flipped in turn: the dir opens, and its logs are compacted to somewhere within them.
func TestADamagedCleanerCheckpointIsWithinTheLogOrForgotten(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	l := openLog(t, d, orders0)
	fill(t, l, 20)
	compact(t, l)
	fill(t, l, 5)
	must(t, d.Checkpoint([]*commitlog.Log{l}, nil))
	end, forgotten, right := l.End(), 0, get(t, m, "/data/"+cleanerFile)
	for i := range 8 * len(right) {
		left, b := m.Clone(), []byte(right)
		b[i/8] ^= 1 << (i % 8)
		put(t, left, "/data/"+cleanerFile, string(b))
		l := openLog(t, open(t, left, "/data", node1()), orders0)
		if l.Cleaned() < 0 || l.Cleaned() > end || l.End() != end || l.Start() != 0 {
			t.Errorf("%q: log %d..%d of %d, compacted to %d", b, l.Start(), l.End(), end, l.Cleaned())
		}
		if l.Cleaned() == 0 {
			forgotten++
		}
		compact(t, l)
	}
	if forgotten < 4*len(right) {
		t.Errorf("only %d of %d flips were seen", forgotten, 8*len(right))
	}
}

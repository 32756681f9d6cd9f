package logdir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// A power cut before each change of the disk while a folder is set aside and another takes its place: the records are in the
// one or in the other, whole, and a start finds no more than one of the two as a partition.
func TestPowerCutWhileAFolderIsSetAsideKeepsItsRecords(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	fill(t, openLog(t, d, orders0), 20)
	must(t, d.CloseClean(fixedNow(), 1, nil))
	id, err := readTopicID(m, "/data/orders-0")
	must(t, err)
	aside := nameAside(orders0, id, straySuffix)
	records := get(t, m, "/data/orders-0/00000000000000000000.log")
	visits := 0
	visit := func(next vfs.Op, after *vfs.Mem) {
		visits++
		kept := 0
		for _, folder := range []string{"orders-0", aside} {
			b, err := vfs.ReadFile(after, filepath.Join("/data", folder, "00000000000000000000.log"), 1<<20)
			if err == nil && string(b) == records {
				kept++
			}
		}
		if kept != 1 {
			t.Errorf("before %v: %d folders have the records", next, kept)
		}
		found, err := open(t, after, "/data", node1()).Partitions()
		if err != nil || len(found) > 1 {
			t.Errorf("before %v: partitions %v, %v", next, found, err)
		}
	}
	must(t, vfs.CrashPoints(m, nil, func(fsys vfs.FS) error {
		d := open(t, fsys, "/data", node1())
		if err := d.SetAside(orders0); err != nil {
			return err
		}
		l := openLog(t, d, orders0)
		if l.End() != 0 {
			t.Errorf("the new log ends at %d", l.End())
		}
		fill(t, l, 1)
		_, err := l.Flush()
		return err
	}, visit))
	if visits < 5 {
		t.Errorf("%d crashes", visits)
	}
}

func TestAFolderThatCannotBeReadIsSetAsideASecondTime(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	for _, aside := range []string{"orders-0.00000000000000000000000000000000-stray", "orders-0.00000000000000000000000000000001-stray"} {
		l := openLog(t, d, orders0)
		fill(t, l, 3)
		must(t, d.CloseLog(fixedNow(), l, l.End()))
		f, err := m.OpenFile("/data/orders-0/partition.metadata", os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt([]byte("?"), 0)
		must(t, err)
		must(t, f.Close())
		must(t, d.SetAside(orders0))
		if records := get(t, m, "/data/"+aside+"/00000000000000000000.log"); records == "" {
			t.Errorf("%s is empty", aside)
		}
	}
}

func TestALogBeginsAnewWhereAnEarlierTryHasSetItsFolderAside(t *testing.T) {
	m := vfs.NewMem()
	d := open(t, m, "/data", node1())
	fill(t, openLog(t, d, orders0), 3)
	d = open(t, m.Clone(), "/data", node1())
	must(t, d.SetAside(orders0))
	l, err := d.OpenReplica(BeginAnew, orders0, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded())
	must(t, err)
	if l.End() != 0 || d.Offline() != nil {
		t.Errorf("the log ends at %d, offline: %v", l.End(), d.Offline())
	}
}

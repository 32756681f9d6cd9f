package logdir

import (
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// node1 is what a configuration with node.id=1 wants of a dir.
func node1() Meta { return Meta{NodeID: 1} }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }

func open(t testing.TB, f vfs.FS, path string, want Meta) *Dir {
	t.Helper()
	d, err := Open(f, path, want, seeded(), discard())
	must(t, err)
	return d
}

func openErr(t testing.TB, f vfs.FS, path string, want Meta) string {
	t.Helper()
	d, err := Open(f, path, want, seeded(), discard())
	if err == nil {
		_ = d.Close()
		t.Fatal("it opened")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %v", err)
	}
	return err.Error()
}

func put(t testing.TB, f vfs.FS, name, content string) {
	t.Helper()
	must(t, f.MkdirAll(filepath.Dir(name), 0o755))
	must(t, vfs.Replace(f, name, []byte(content)))
}

func get(t testing.TB, f vfs.FS, name string) string {
	t.Helper()
	b, _, err := readSmall(f, name)
	must(t, err)
	return string(b)
}

func exists(f vfs.FS, name string) bool {
	_, err := f.Stat(name)
	return err == nil
}

func closeClean(t testing.TB, d *Dir) {
	t.Helper()
	must(t, d.CloseClean(fixedNow(), 5, nil))
}

func TestNewDirGetsWantedAndRandomIDs(t *testing.T) {
	f := vfs.NewMem()
	d := open(t, f, "/var/lib/headrace", Meta{ClusterID: "mine", NodeID: 3})
	m := d.Meta()
	if m.ClusterID != "mine" || m.NodeID != 3 || m.DirectoryID.IsZero() || d.WasClean() {
		t.Fatalf("got %v, clean %v", m, d.WasClean())
	}
	must(t, d.Close())
	after := f.CrashClone(nil)
	d = open(t, after, "/var/lib/headrace", Meta{NodeID: kafka.NoNode})
	if d.Meta() != m {
		t.Fatalf("after a power cut: %v, want %v", d.Meta(), m)
	}
	must(t, d.Close())
	if cluster := open(t, vfs.NewMem(), "/data", node1()).Meta().ClusterID; len(cluster) != 22 {
		t.Fatalf("cluster id %q", cluster)
	}
}

func TestDirOfApacheKafkaIsTakenOver(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/data/meta.properties", kafkaMeta)
	put(t, f, "/data/.kafka_cleanshutdown", kafkaMarker)
	put(t, f, "/data/replication-offset-checkpoint", kafkaCheckpoint)
	for _, p := range []string{"orders-0", "orders-1", "orders-2", "__transaction_state-1", "__cluster_metadata-0"} {
		put(t, f, "/data/"+p+"/partition.metadata", kafkaPartitionMetadata)
	}
	d := open(t, f, "/data", node1())
	if !d.WasClean() || d.PreviousBrokerEpoch() != 14 || d.Meta().ClusterID != "PynISErySFqN0dnQ6L3B3A" {
		t.Fatalf("clean %v, epoch %d, %v", d.WasClean(), d.PreviousBrokerEpoch(), d.Meta())
	}
	if hw := d.HighWatermark(kafka.TopicPartition{Topic: "orders"}); hw != 261 {
		t.Fatalf("high watermark %d", hw)
	}
	found, err := d.Partitions()
	must(t, err)
	if len(found) != 4 || found[1].Partition.String() != "orders-0" || found[1].TopicID != id(t, "bBDowzzaTwq5IGaDksh_Aw") ||
		found[1].Dir != "/data/orders-0" {
		t.Fatalf("found %v", found)
	}
}

func TestOpenNamesTheCulpritAndTheFix(t *testing.T) {
	f := vfs.NewMem()
	d := open(t, f, "/data", Meta{ClusterID: "right", NodeID: 1})
	wants := func(name, got string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q does not say %q", name, got, part)
			}
		}
	}
	wants("in use", openErr(t, f, "/data", node1()), "/data", "in use by another process", "log.dirs")
	must(t, d.Close())
	wants("cluster", openErr(t, f, "/data", Meta{ClusterID: "wrong", NodeID: 1}), "/data", "cluster right", "wrong", "cluster.id")
	wants("node", openErr(t, f, "/data", Meta{NodeID: 2}), "/data", "node 1", "node.id=1")
	wants("directory", openErr(t, f, "/data", Meta{NodeID: 1, DirectoryID: kafka.TopicID{9}}), "/data", "directory id")
	put(t, f, "/file", "x")
	wants("file", openErr(t, f, "/file", node1()), "/file", "not a directory", "log.dirs")
	wants("below a file", openErr(t, f, "/file/data", node1()), "/file", "not a directory")
	put(t, f, "/logs/orders-0/00000000000000000000.log", "")
	wants("unknown logs", openErr(t, f, "/logs", node1()), "/logs", "orders-0", "meta.properties", "headrace adopt /logs")
	put(t, f, "/old/meta.properties", "version=0\nbroker.id=1\n")
	wants("version", openErr(t, f, "/old", node1()), "/old/meta.properties", "version", "log.dirs")
	wants("no node id", openErr(t, f, "/new", Meta{NodeID: kafka.NoNode}), "/new", "node.id")
	wants("cluster id", openErr(t, f, "/new", Meta{ClusterID: "a b", NodeID: 1}), "cluster.id")
	for errno, part := range map[syscall.Errno]string{
		syscall.EROFS: "read-only", syscall.EACCES: "owner or mode", syscall.ENOSPC: "full disk", syscall.EIO: "input/output error",
	} {
		faulty := vfs.NewFaulty(f, func(op vfs.Op) error {
			if op.Kind == vfs.OpLock {
				return errno
			}
			return nil
		})
		wants(part, openErr(t, faulty, "/data", node1()), "/data", part)
	}
}

func TestRefusedDirKeepsItsMarker(t *testing.T) {
	f := vfs.NewMem()
	closeClean(t, open(t, f, "/data", Meta{ClusterID: "right", NodeID: 1}))
	openErr(t, f, "/data", Meta{ClusterID: "wrong", NodeID: 1})
	if d := open(t, f, "/data", node1()); !d.WasClean() {
		t.Fatal("the marker is gone")
	}
}

func TestMarkerTellsOfTheLastStopOnly(t *testing.T) {
	f := vfs.NewMem()
	closeClean(t, open(t, f, "/data", node1()))
	if got := get(t, f, "/data/.kafka_cleanshutdown"); got != `{"version":0,"brokerEpoch":5}` {
		t.Fatalf("marker %q", got)
	}
	d := open(t, f, "/data", node1())
	if !d.WasClean() || d.PreviousBrokerEpoch() != 5 {
		t.Fatalf("clean %v, epoch %d", d.WasClean(), d.PreviousBrokerEpoch())
	}
	if exists(f.CrashClone(nil), "/data/.kafka_cleanshutdown") {
		t.Fatal("after the start a power cut brings the marker back")
	}
	must(t, d.Close())
	if d = open(t, f, "/data", node1()); d.WasClean() || d.PreviousBrokerEpoch() != -1 {
		t.Fatal("a stop without a marker counts as clean")
	}
}

func TestBrokenCheckpointMeansRecoverEverything(t *testing.T) {
	for _, file := range checkpointFiles() {
		f := vfs.NewMem()
		put(t, f, "/data/meta.properties", kafkaMeta)
		put(t, f, "/data/.kafka_cleanshutdown", kafkaMarker)
		put(t, f, "/data/orders-0/partition.metadata", kafkaPartitionMetadata)
		put(t, f, filepath.Join("/data", file), "0\n1\norders 0 26")
		d := open(t, f, "/data", node1())
		if d.WasClean() || d.PreviousBrokerEpoch() != -1 {
			t.Errorf("%s: the stop still counts as clean", file)
		}
		if off := d.offset(file, kafka.TopicPartition{Topic: "orders"}); off != 0 {
			t.Errorf("%s: offset %d of a broken file is used", file, off)
		}
	}
}

func TestUnreadableCheckpointIsAnError(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/data/meta.properties", kafkaMeta)
	put(t, f, "/data/recovery-point-offset-checkpoint", kafkaCheckpoint)
	faulty := vfs.NewFaulty(f, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && strings.HasSuffix(op.Path, "recovery-point-offset-checkpoint") {
			return syscall.EIO
		}
		return nil
	})
	if got := openErr(t, faulty, "/data", node1()); !strings.Contains(got, "recovery-point-offset-checkpoint") {
		t.Fatalf("got %q", got)
	}
}

func TestDirectoryIDIsAddedToOlderFiles(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/data/meta.properties", "version=1\ncluster.id=c\nnode.id=1\n")
	must(t, f.SyncFS("/"))
	m := open(t, f, "/data", node1()).Meta()
	if m.DirectoryID.IsZero() || m.ClusterID != "c" {
		t.Fatalf("got %v", m)
	}
	if again := open(t, f.CrashClone(nil), "/data", node1()).Meta(); again != m {
		t.Fatalf("after a power cut: %v, want %v", again, m)
	}
}

func TestFoldersOfOtherKindsAreCleanedOrLeft(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/data/meta.properties", kafkaMeta)
	for _, dir := range []string{
		"orders-0", "orders-1.6c10e8c33cda4f0ab920668392c87f03-delete", "orders-2.6c10e8c33cda4f0ab920668392c87f03-future",
		"orders-3.6c10e8c33cda4f0ab920668392c87f03-stray", "lost+found", "__cluster_metadata-0", "keep-delete",
	} {
		put(t, f, "/data/"+dir+"/x", "x")
	}
	put(t, f, "/data/looks-1", "a file")
	d := open(t, f, "/data", node1())
	found, err := d.Partitions()
	must(t, err)
	if len(found) != 1 || found[0].Partition.String() != "orders-0" {
		t.Fatalf("found %v", found)
	}
	entries, err := f.ReadDir("/data")
	must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	got := strings.Join(left, " ")
	if strings.Contains(got, "orders-1.") || !strings.Contains(got, "-future") || !strings.Contains(got, "-stray") ||
		!strings.Contains(got, "lost+found") || !strings.Contains(got, "keep-delete") {
		t.Fatalf("left: %s", got)
	}
}

func TestPartitionWithBrokenIDIsToldAlone(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/data/meta.properties", kafkaMeta)
	put(t, f, "/data/orders-0/partition.metadata", "garbage")
	put(t, f, "/data/orders-1/partition.metadata", kafkaPartitionMetadata)
	put(t, f, "/data/orders-2/x", "")
	found, err := open(t, f, "/data", node1()).Partitions()
	must(t, err)
	if len(found) != 3 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), "/data/orders-0/partition.metadata") ||
		found[1].Err != nil || found[2].Err != nil || !found[2].TopicID.IsZero() {
		t.Fatalf("found %v", found)
	}
}

func TestOpenWorksOnTheOSFileSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, vfs.OS(), dir, node1())
	if got := openErr(t, vfs.OS(), dir, node1()); !strings.Contains(got, "in use") {
		t.Fatal(got)
	}
	total, free, err := d.Usage()
	must(t, err)
	if total <= 0 || free > total {
		t.Fatalf("usage %d, %d", total, free)
	}
	closeClean(t, d)
	if fi, err := os.Stat(filepath.Join(dir, ".kafka_cleanshutdown")); err != nil || fi.Mode() != fs.FileMode(0o644) {
		t.Fatalf("marker: %v, %v", fi, err)
	}
	if d = open(t, vfs.OS(), dir, node1()); !d.WasClean() {
		t.Fatal("not clean")
	}
	must(t, d.Close())
	must(t, d.Close())
}

func TestOpenAllMakesDirsOfOneCluster(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/b/meta.properties", kafkaMeta)
	dirs, err := OpenAll(f, []string{"/a", "/b", "/c"}, all, node1(), seeded(), discard())
	must(t, err)
	ids := map[kafka.TopicID]bool{}
	for _, d := range dirs {
		ids[d.Meta().DirectoryID] = true
		if d.Meta().ClusterID != "PynISErySFqN0dnQ6L3B3A" {
			t.Errorf("%s is of cluster %s", d.Path(), d.Meta().ClusterID)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d directory ids", len(ids))
	}
	must(t, CloseAll(dirs))
	put(t, f, "/copy/meta.properties", kafkaMeta)
	put(t, f, "/other/meta.properties", strings.Replace(kafkaMeta, "Pyn", "Qyn", 1))
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/copy", []string{"/b", "/copy", "same directory id"}},
		{"/other", []string{"/other", "cluster"}},
		{"/b", []string{"/b", "in use"}},
	} {
		_, err := OpenAll(f, []string{"/b", c.path}, all, node1(), seeded(), discard())
		for _, part := range c.want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v", c.path, err)
			}
		}
		must(t, open(t, f, "/b", node1()).Close()) // its lock was let go
	}
	if _, err := OpenAll(f, nil, all, node1(), seeded(), discard()); err == nil {
		t.Error("no dirs accepted")
	}
}

// all has no dir missing.
func all(string) bool { return true }

// TestADirThatCannotBeReadIsOffline opens two, of which the disk of one is broken.
func TestADirThatCannotBeReadIsOffline(t *testing.T) {
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if strings.HasPrefix(op.Path, "/b") {
			return syscall.EIO
		}
		return nil
	})
	first := func(path string) bool { return path == "/a" }
	dirs, err := OpenAll(fs, []string{"/a", "/b"}, first, node1(), seeded(), discard())
	if err != nil {
		t.Fatal(err)
	}
	if dirs[0].Offline() != nil || !errors.Is(dirs[1].Offline(), syscall.EIO) || !dirs[1].Meta().DirectoryID.IsZero() {
		t.Errorf("/a: %v; /b: %v, of id %v", dirs[0].Offline(), dirs[1].Offline(), dirs[1].Meta().DirectoryID)
	}
	if _, err := dirs[1].OpenLog(kafka.TopicPartition{Topic: "t"}, kafka.TopicID{1}, commitlog.DefaultConfig(), fixedNow(), seeded()); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a log in it: %v", err)
	}
	must(t, CloseAll(dirs))
	if _, err := OpenAll(fs, []string{"/a", "/b"}, all, node1(), seeded(), discard()); !errors.Is(err, syscall.EIO) {
		t.Errorf("opened without one that is needed: %v", err)
	}
}

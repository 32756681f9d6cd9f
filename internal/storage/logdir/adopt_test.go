package logdir

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func partitionFolder(t testing.TB, f vfs.FS, dir, topicID string) {
	t.Helper()
	put(t, f, dir+"/partition.metadata", "version: 0\ntopic_id: "+topicID)
}

const (
	id1 = "bBDowzzaTwq5IGaDksh_Aw"
	id2 = "iXG4_sEpTLmKTuCNm0P9KA"
)

func TestInspectFindsWholeTopicsOverSeveralDirs(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/a/meta.properties", kafkaMeta)
	put(t, f, "/a/bootstrap.checkpoint", "x")
	for _, dir := range []string{"/a/orders-0", "/b/orders-1", "/a/orders-2"} {
		partitionFolder(t, f, dir, id1)
	}
	for _, dir := range []string{"/a/a-b-0", "/a/__cluster_metadata-0", "/a/gone-0.6517f2e6b8294a3fa9a2245dc268c64f-delete",
		"/b/gone-1.6517f2e6b8294a3fa9a2245dc268c64f-stray"} {
		partitionFolder(t, f, dir, id2)
	}
	a, err := Inspect(f, "/a", "/b")
	must(t, err)
	if len(a.Topics) != 2 || a.Topics[0].Name != "a-b" || a.Topics[1].ID != id(t, id1) || len(a.Topics[1].Partitions) != 3 {
		t.Fatalf("topics %v", a.Topics)
	}
	if dir := a.Topics[1].Partitions[1].Dir; dir != "/b/orders-1" {
		t.Errorf("partition 1 is in %s", dir)
	}
	if len(a.Meta) != 1 || a.Meta[0].Dir != "/a" || a.Meta[0].ClusterID != "PynISErySFqN0dnQ6L3B3A" {
		t.Errorf("meta %v", a.Meta)
	}
	if got := strings.Join(a.Skipped, " "); !strings.Contains(got, "/a/__cluster_metadata-0") || !strings.Contains(got, "-delete") ||
		!strings.Contains(got, "-stray") {
		t.Errorf("skipped %v", got)
	}
	must(t, open(t, f, "/a", node1()).Close()) // the lock is free again
}

func TestInspectRefusesWhatCannotBeTakenOverWhole(t *testing.T) {
	cases := map[string]struct {
		make  func(f vfs.FS)
		parts []string
	}{
		"gap":   {func(f vfs.FS) { partitionFolder(t, f, "/a/t-2", id1) }, []string{"topic t", "t-0, t-1 is missing"}},
		"huge":  {func(f vfs.FS) { partitionFolder(t, f, "/a/t-2147483647", id1) }, []string{"t-0, t-1, t-2"}},
		"no id": {func(f vfs.FS) { put(t, f, "/a/t-0/x", "") }, []string{"/a/t-0", "partition.metadata"}},
		"two ids": {func(f vfs.FS) {
			partitionFolder(t, f, "/a/t-0", id1)
			partitionFolder(t, f, "/a/t-1", id2)
		}, []string{"/a/t-1", id2, "/a/t-0", id1}},
		"one id twice": {func(f vfs.FS) {
			partitionFolder(t, f, "/a/t-0", id1)
			partitionFolder(t, f, "/a/u-0", id1)
		}, []string{"/a/t-0", "/a/u-0", "same topic id"}},
		"twice": {func(f vfs.FS) {
			partitionFolder(t, f, "/a/t-0", id1)
			partitionFolder(t, f, "/b/t-0", id1)
		}, []string{"/a/t-0 and /b/t-0", "same partition"}},
		"moving": {func(f vfs.FS) {
			partitionFolder(t, f, "/a/t-0", id1)
			partitionFolder(t, f, "/b/t-0.6517f2e6b8294a3fa9a2245dc268c64f-future", id1)
		}, []string{"/b/t-0.", "-future", "was not finished"}},
		"broken id": {func(f vfs.FS) { put(t, f, "/a/t-0/partition.metadata", "x") }, []string{"/a/t-0/partition.metadata"}},
		"two clusters": {func(f vfs.FS) {
			put(t, f, "/a/meta.properties", kafkaMeta)
			put(t, f, "/b/meta.properties", strings.Replace(kafkaMeta, "Pyn", "Qyn", 1))
		}, []string{"/a", "/b", "one node"}},
		"in use": {func(f vfs.FS) {
			_, err := f.Lock("/a/.lock")
			must(t, err)
		}, []string{"/a", "in use"}},
		"missing":         {func(f vfs.FS) { must(t, f.RemoveAll("/b")) }, []string{"/b"}},
		"not a directory": {func(f vfs.FS) { must(t, f.RemoveAll("/b")); put(t, f, "/b", "") }, []string{"/b", "not a directory"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := vfs.NewMem()
			must(t, f.MkdirAll("/a", 0o755))
			must(t, f.MkdirAll("/b", 0o755))
			c.make(f)
			_, err := Inspect(f, "/a", "/b")
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestFormatLetsAdoptedPartitionsBeOpened(t *testing.T) {
	f := vfs.NewMem()
	partitionFolder(t, f, "/a/t-0", id1)
	m, err := Format(f, "/a", node1(), seeded())
	must(t, err)
	if d := open(t, f, "/a", node1()); d.Meta() != m {
		t.Fatalf("got %v, want %v", d.Meta(), m)
	}
	if _, err := Format(f, "/a", node1(), seeded()); err == nil || !strings.Contains(err.Error(), "/a/meta.properties is there already") {
		t.Fatalf("got %v", err)
	}
}

func TestForeignMetadataLogIsSetAside(t *testing.T) {
	f := vfs.NewMem()
	put(t, f, "/a/meta.properties", kafkaMeta)
	put(t, f, "/a/__cluster_metadata-0/quorum-state", "{}")
	must(t, f.SyncFS("/"))
	to, err := SetAsideMetadata(f, "/a", seeded())
	must(t, err)
	if !strings.HasPrefix(to, "/a/__cluster_metadata-0.") || get(t, f.CrashClone(nil), to+"/quorum-state") != "{}" {
		t.Fatalf("moved to %q", to)
	}
	if to, err := SetAsideMetadata(f, "/a", seeded()); err != nil || to != "" {
		t.Fatalf("again: %q, %v", to, err)
	}
	closeClean(t, open(t, f, "/a", node1()))
	if !exists(f, to+"/quorum-state") || !exists(f, "/a/.kafka_cleanshutdown") {
		t.Fatal("it is not left alone")
	}
}

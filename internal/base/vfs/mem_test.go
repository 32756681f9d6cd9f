package vfs_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/vfs"
)

func exists(f vfs.FS, name string) bool {
	_, err := f.Stat(name)
	return err == nil
}

func TestPowerCutLosesUnsyncedBytes(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/a", "synced")
	must(t, f.Sync())
	must(t, m.SyncDir("/"))
	_, err := f.WriteAt([]byte("XX"), 2)
	must(t, err)
	must(t, f.Truncate(4))
	if got := content(t, m.CrashClone(nil), "/a"); got != "synced" {
		t.Fatalf("after the cut: %q", got)
	}
	if got := content(t, m.Clone(), "/a"); got != "syXX" {
		t.Fatalf("after a kill: %q", got)
	}
	if got := content(t, m, "/a"); got != "syXX" {
		t.Fatalf("the original changed: %q", got)
	}
}

func TestPowerCutLosesEntriesWithoutSyncDir(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll("/d", 0o755))
	must(t, create(t, m, "/d/a", "x").Sync())
	if exists(m.CrashClone(nil), "/d") {
		t.Fatal("the folder's entry was never synced")
	}
	must(t, m.SyncDir("/"))
	if c := m.CrashClone(nil); !exists(c, "/d") || exists(c, "/d/a") {
		t.Fatal("only /d was synced")
	}
	must(t, m.SyncDir("/d"))
	must(t, m.Remove("/d/a"))
	if !exists(m.CrashClone(nil), "/d/a") {
		t.Fatal("the removal was never synced")
	}
	must(t, m.SyncDir("/d"))
	if exists(m.CrashClone(nil), "/d/a") {
		t.Fatal("the removal was synced")
	}
}

func TestPowerCutSeesRenameWholeOrNotAtAll(t *testing.T) {
	m := vfs.NewMem()
	must(t, create(t, m, "/a", "old").Sync())
	must(t, m.SyncDir("/"))
	must(t, create(t, m, "/a.tmp", "new").Sync())
	must(t, m.Rename("/a.tmp", "/a"))
	seen := map[string]int{}
	for seed := range uint64(200) {
		c := m.CrashClone(rand.New(rand.NewPCG(seed, 0)))
		got := content(t, c, "/a")
		if got == "new" && exists(c, "/a.tmp") {
			t.Fatal("half a rename")
		}
		seen[got]++
	}
	if len(seen) != 2 || seen["old"] == 0 || seen["new"] == 0 {
		t.Fatalf("outcomes %v", seen)
	}
}

func TestSyncFSMakesEverythingDurable(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.MkdirAll("/d/e", 0o755))
	create(t, m, "/d/e/a", "x")
	must(t, m.SyncFS("/d"))
	if got := content(t, m.CrashClone(nil), "/d/e/a"); got != "x" {
		t.Fatalf("got %q", got)
	}
}

func TestRandomPowerCutTearsAtSectors(t *testing.T) {
	m := vfs.NewMem()
	f := create(t, m, "/a", "")
	must(t, m.SyncDir("/"))
	data := bytes.Repeat([]byte{1}, 4096)
	_, err := f.WriteAt(data, 100)
	must(t, err)
	torn, none, whole := 0, 0, 0
	for seed := range uint64(300) {
		got := content(t, m.CrashClone(rand.New(rand.NewPCG(seed, 0))), "/a")
		again := content(t, m.CrashClone(rand.New(rand.NewPCG(seed, 0))), "/a")
		if got != again {
			t.Fatal("one seed gave two disks")
		}
		for i := 100; i+1 < len(got); i++ {
			if got[i] != got[i+1] && (i+1)%512 != 0 {
				t.Fatalf("torn inside a sector at %d", i+1)
			}
		}
		switch n := strings.Count(got, "\x01"); n {
		case 0:
			none++
		case len(data):
			whole++
		default:
			torn++
		}
	}
	if torn == 0 || none == 0 || whole == 0 {
		t.Fatalf("torn %d, none %d, whole %d", torn, none, whole)
	}
}

func TestCloneKeepsWhatIsNotDurableYet(t *testing.T) {
	m := vfs.NewMem()
	create(t, m, "/a", "x")
	c := m.Clone()
	if exists(c.CrashClone(nil), "/a") {
		t.Fatal("a clone made an entry durable")
	}
	f, err := c.OpenFile("/a", os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("y"), 0)
	must(t, err)
	if content(t, m, "/a") != "x" || content(t, c, "/a") != "y" {
		t.Fatal("the clone and the original share bytes")
	}
}

func TestCloneReleasesLocks(t *testing.T) {
	m := vfs.NewMem()
	_, err := m.Lock("/.lock")
	must(t, err)
	if _, err := m.Clone().Lock("/.lock"); err != nil {
		t.Fatal(err)
	}
}

func TestCrashPointsVisitsEveryChange(t *testing.T) {
	m := vfs.NewMem()
	var kinds []string
	var contents []string
	err := vfs.CrashPoints(m, nil, func(f vfs.FS) error {
		file, err := f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		_, err = file.WriteAt([]byte("x"), 0)
		must(t, err)
		_, err = file.ReadAt(make([]byte, 1), 0)
		must(t, err)
		must(t, file.Sync())
		must(t, f.SyncDir("/"))
		return file.Close()
	}, func(next vfs.Op, after *vfs.Mem) {
		kinds = append(kinds, next.Kind.String())
		if exists(after, "/a") {
			contents = append(contents, content(t, after, "/a"))
		}
	})
	must(t, err)
	if got := strings.Join(kinds, " "); got != "create write sync syncdir open" || len(contents) != 1 || contents[0] != "x" {
		t.Fatalf("visited %q, found %q", got, contents)
	}
	if m.Changes() != 4 {
		t.Fatalf("%d changes", m.Changes())
	}
}

func TestMemGivesChangesTheTimeThatWasSet(t *testing.T) {
	m := vfs.NewMem()
	now := time.UnixMilli(1700000000000)
	m.SetTime(now)
	create(t, m, "/a", "x")
	fi, err := m.Stat("/a")
	must(t, err)
	if !fi.ModTime().Equal(now) {
		t.Fatalf("got %v", fi.ModTime())
	}
}

package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

// TestConformance holds every FS to the same behaviour; Faulty without faults is one of them.
func TestConformance(t *testing.T) {
	systems := map[string]func(t *testing.T) (vfs.FS, string){
		"OS": func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() },
		"Mem": func(t *testing.T) (vfs.FS, string) {
			m := vfs.NewMem()
			must(t, m.MkdirAll("/data", 0o755))
			return m, "/data"
		},
		"Faulty": func(t *testing.T) (vfs.FS, string) { return vfs.NewFaulty(vfs.OS(), nil), t.TempDir() },
	}
	cases := map[string]func(t *testing.T, f vfs.FS, dir string){
		"reads what was written":                     readsWhatWasWritten,
		"read at the end tells EOF":                  readAtEnd,
		"a write beyond the end leaves zeros":        writeBeyondEnd,
		"truncate cuts, grows with zeros":            truncates,
		"open flags are obeyed":                      openFlags,
		"a read-only file refuses changes":           readOnlyFile,
		"a closed file refuses everything":           closedFile,
		"negative offsets are refused":               negativeOffsets,
		"a removed file lives while open":            removedWhileOpen,
		"rename replaces a file":                     renameReplaces,
		"rename moves a folder with its files":       renameFolder,
		"rename refuses what os.Rename refuses":      renameRefusals,
		"remove refuses a folder in use":             removeRefusals,
		"removeall is content with nothing":          removeAll,
		"mkdirall makes parents and accepts twice":   mkdirAll,
		"missing paths wrap ErrNotExist":             missingPaths,
		"readdir is sorted and stat agrees":          readDirSorted,
		"sync calls succeed":                         syncCalls,
		"a lock excludes a second one until closed":  locks,
		"a path is a file and so cannot hold others": fileAsFolder,
		"usage has free below total":                 usage,
	}
	for sysName, system := range systems {
		for name, run := range cases {
			t.Run(sysName+"/"+name, func(t *testing.T) {
				f, dir := system(t)
				run(t, f, dir)
			})
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want one that is %v", err, target)
	}
}

func create(t *testing.T, f vfs.FS, name, content string) vfs.File {
	t.Helper()
	file, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	n, err := file.WriteAt([]byte(content), 0)
	must(t, err)
	if n != len(content) {
		t.Fatalf("wrote %d of %d bytes", n, len(content))
	}
	return file
}

func content(t *testing.T, f vfs.FS, name string) string {
	t.Helper()
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	defer file.Close()
	size, err := file.Size()
	must(t, err)
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b)
}

func readsWhatWasWritten(t *testing.T, f vfs.FS, dir string) {
	big := strings.Repeat("0123456789", 2000)
	file := create(t, f, filepath.Join(dir, "a"), big)
	b := make([]byte, 5000)
	n, err := file.ReadAt(b, 4090)
	must(t, err)
	if n != 5000 || string(b) != big[4090:9090] {
		t.Fatal("bytes differ")
	}
	if _, err := file.WriteAt([]byte("XYZ"), 4095); err != nil {
		t.Fatal(err)
	}
	want := big[:4095] + "XYZ" + big[4098:]
	if content(t, f, filepath.Join(dir, "a")) != want {
		t.Fatal("overwriting across a page boundary lost bytes")
	}
	if file.Name() != filepath.Join(dir, "a") {
		t.Fatalf("name %q", file.Name())
	}
}

func readAtEnd(t *testing.T, f vfs.FS, dir string) {
	file := create(t, f, filepath.Join(dir, "a"), "abc")
	b := make([]byte, 4)
	if n, err := file.ReadAt(b, 1); n != 2 || err != io.EOF {
		t.Fatalf("got %d, %v", n, err)
	}
	if n, err := file.ReadAt(b, 9); n != 0 || err != io.EOF {
		t.Fatalf("got %d, %v", n, err)
	}
	if n, err := file.ReadAt(b[:3], 0); n != 3 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
}

func writeBeyondEnd(t *testing.T, f vfs.FS, dir string) {
	file := create(t, f, filepath.Join(dir, "a"), "abc")
	_, err := file.WriteAt([]byte("z"), 10000)
	must(t, err)
	want := "abc" + strings.Repeat("\x00", 9997) + "z"
	if content(t, f, filepath.Join(dir, "a")) != want {
		t.Fatal("the hole is not zeros")
	}
}

func truncates(t *testing.T, f vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	file := create(t, f, name, strings.Repeat("x", 6000))
	must(t, file.Truncate(4100))
	must(t, file.Truncate(9000))
	want := strings.Repeat("x", 4100) + strings.Repeat("\x00", 4900)
	if content(t, f, name) != want {
		t.Fatal("cut bytes came back")
	}
	if size, err := file.Size(); err != nil || size != 9000 {
		t.Fatalf("size %d, %v", size, err)
	}
	if err := file.Truncate(-1); err == nil {
		t.Fatal("negative size accepted")
	}
}

func openFlags(t *testing.T, f vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	_, err := f.OpenFile(name, os.O_RDWR, 0)
	wantErr(t, err, fs.ErrNotExist)
	create(t, f, name, "abc")
	_, err = f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wantErr(t, err, fs.ErrExist)
	file, err := f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	must(t, err)
	must(t, file.Close())
	if got := content(t, f, name); got != "" {
		t.Fatalf("O_TRUNC left %q", got)
	}
	_, err = f.OpenFile(dir, os.O_RDWR, 0)
	wantErr(t, err, syscall.EISDIR)
}

func readOnlyFile(t *testing.T, f vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	create(t, f, name, "abc")
	file, err := f.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	defer file.Close()
	if _, err := file.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("write accepted")
	}
	if err := file.Truncate(0); err == nil {
		t.Fatal("truncate accepted")
	}
}

func closedFile(t *testing.T, f vfs.FS, dir string) {
	file := create(t, f, filepath.Join(dir, "a"), "abc")
	must(t, file.Close())
	_, err := file.WriteAt([]byte("x"), 0)
	wantErr(t, err, os.ErrClosed)
	_, err = file.ReadAt(make([]byte, 1), 0)
	wantErr(t, err, os.ErrClosed)
	_, err = file.Size()
	wantErr(t, err, os.ErrClosed)
	wantErr(t, file.Sync(), os.ErrClosed)
	wantErr(t, file.Truncate(0), os.ErrClosed)
	wantErr(t, file.Close(), os.ErrClosed)
}

func negativeOffsets(t *testing.T, f vfs.FS, dir string) {
	file := create(t, f, filepath.Join(dir, "a"), "abc")
	if _, err := file.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Fatalf("read: %v", err)
	}
	if _, err := file.WriteAt(make([]byte, 1), -1); err == nil {
		t.Fatal("write accepted")
	}
}

func removedWhileOpen(t *testing.T, f vfs.FS, dir string) {
	name := filepath.Join(dir, "a")
	file := create(t, f, name, "old")
	must(t, f.Remove(name))
	create(t, f, name, "new")
	b := make([]byte, 3)
	_, err := file.ReadAt(b, 0)
	must(t, err)
	if !bytes.Equal(b, []byte("old")) || content(t, f, name) != "new" {
		t.Fatal("the open file and the new one are mixed up")
	}
}

func renameReplaces(t *testing.T, f vfs.FS, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	create(t, f, a, "from a")
	create(t, f, b, "from b")
	must(t, f.Rename(a, b))
	if got := content(t, f, b); got != "from a" {
		t.Fatalf("got %q", got)
	}
	_, err := f.Stat(a)
	wantErr(t, err, fs.ErrNotExist)
	must(t, f.Rename(b, b))
}

func renameFolder(t *testing.T, f vfs.FS, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, f.MkdirAll(a, 0o755))
	create(t, f, filepath.Join(a, "x"), "inside")
	must(t, f.Rename(a, b))
	if got := content(t, f, filepath.Join(b, "x")); got != "inside" {
		t.Fatalf("got %q", got)
	}
}

func renameRefusals(t *testing.T, f vfs.FS, dir string) {
	d, e, file := filepath.Join(dir, "d"), filepath.Join(dir, "e"), filepath.Join(dir, "file")
	must(t, f.MkdirAll(filepath.Join(d, "sub"), 0o755))
	must(t, f.MkdirAll(e, 0o755))
	create(t, f, file, "x")
	wantErr(t, f.Rename(filepath.Join(dir, "none"), file), fs.ErrNotExist)
	wantErr(t, f.Rename(e, d), fs.ErrExist)
	wantErr(t, f.Rename(d, filepath.Join(d, "sub", "x")), syscall.EINVAL)
	wantErr(t, f.Rename(file, e), fs.ErrExist)
	wantErr(t, f.Rename(d, file), syscall.ENOTDIR)
}

func removeRefusals(t *testing.T, f vfs.FS, dir string) {
	create(t, f, filepath.Join(dir, "a"), "x")
	wantErr(t, f.Remove(dir), syscall.ENOTEMPTY)
	wantErr(t, f.Remove(filepath.Join(dir, "none")), fs.ErrNotExist)
}

func removeAll(t *testing.T, f vfs.FS, dir string) {
	d := filepath.Join(dir, "d")
	must(t, f.MkdirAll(filepath.Join(d, "sub"), 0o755))
	create(t, f, filepath.Join(d, "sub", "x"), "x")
	must(t, f.RemoveAll(d))
	must(t, f.RemoveAll(d))
	must(t, f.RemoveAll(filepath.Join(d, "deeper", "still")))
	_, err := f.Stat(d)
	wantErr(t, err, fs.ErrNotExist)
}

func mkdirAll(t *testing.T, f vfs.FS, dir string) {
	d := filepath.Join(dir, "a", "b", "c")
	must(t, f.MkdirAll(d, 0o755))
	must(t, f.MkdirAll(d, 0o755))
	fi, err := f.Stat(d)
	must(t, err)
	if !fi.IsDir() || fi.Name() != "c" {
		t.Fatalf("got %v %q", fi.Mode(), fi.Name())
	}
}

func missingPaths(t *testing.T, f vfs.FS, dir string) {
	none := filepath.Join(dir, "none")
	_, err := f.Stat(none)
	wantErr(t, err, fs.ErrNotExist)
	_, err = f.ReadDir(none)
	wantErr(t, err, fs.ErrNotExist)
	wantErr(t, f.SyncDir(none), fs.ErrNotExist)
	wantErr(t, f.SyncFS(none), fs.ErrNotExist)
	_, err = f.OpenFile(filepath.Join(none, "a"), os.O_RDWR|os.O_CREATE, 0o644)
	wantErr(t, err, fs.ErrNotExist)
	_, err = f.Lock(filepath.Join(none, ".lock"))
	wantErr(t, err, fs.ErrNotExist)
	_, _, err = f.Usage(none)
	wantErr(t, err, fs.ErrNotExist)
}

func readDirSorted(t *testing.T, f vfs.FS, dir string) {
	create(t, f, filepath.Join(dir, "b"), "12")
	create(t, f, filepath.Join(dir, "a"), "1")
	must(t, f.MkdirAll(filepath.Join(dir, "c"), 0o755))
	list, err := f.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range list {
		fi, err := e.Info()
		must(t, err)
		st, err := f.Stat(filepath.Join(dir, e.Name()))
		must(t, err)
		if !e.IsDir() && fi.Size() != st.Size() || e.IsDir() != st.IsDir() || st.Name() != e.Name() {
			t.Fatalf("%s: entry and stat differ", e.Name())
		}
		got = append(got, e.Name())
	}
	if strings.Join(got, "") != "abc" {
		t.Fatalf("got %v", got)
	}
}

func syncCalls(t *testing.T, f vfs.FS, dir string) {
	file := create(t, f, filepath.Join(dir, "a"), "abc")
	must(t, file.WriteBack(0, 3))
	file.ReadAhead(0, 1<<20) // beyond the end, too
	must(t, file.Sync())
	must(t, f.SyncDir(dir))
	must(t, f.SyncFS(dir))
	must(t, f.SyncFS(dir))
}

func locks(t *testing.T, f vfs.FS, dir string) {
	name := filepath.Join(dir, ".lock")
	l, err := f.Lock(name)
	must(t, err)
	_, err = f.Lock(name)
	wantErr(t, err, vfs.ErrLocked)
	must(t, l.Close())
	l, err = f.Lock(name)
	must(t, err)
	must(t, l.Close())
	if l.Close() == nil {
		t.Fatal("closed twice")
	}
}

func fileAsFolder(t *testing.T, f vfs.FS, dir string) {
	file := filepath.Join(dir, "a")
	create(t, f, file, "x")
	wantErr(t, f.MkdirAll(filepath.Join(file, "b"), 0o755), syscall.ENOTDIR)
	_, err := f.OpenFile(filepath.Join(file, "b"), os.O_RDWR|os.O_CREATE, 0o644)
	wantErr(t, err, syscall.ENOTDIR)
	_, err = f.ReadDir(file)
	wantErr(t, err, syscall.ENOTDIR)
}

func usage(t *testing.T, f vfs.FS, dir string) {
	total, free, err := f.Usage(dir)
	must(t, err)
	if total <= 0 || free < 0 || free > total {
		t.Fatalf("total %d, free %d", total, free)
	}
}

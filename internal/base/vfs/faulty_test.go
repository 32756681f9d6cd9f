package vfs_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestFaultyFailsTheNthCallBeforeItsEffect(t *testing.T) {
	work := func(f vfs.FS) error {
		if err := f.MkdirAll("/d", 0o755); err != nil {
			return err
		}
		file, err := f.OpenFile("/d/a", os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := file.WriteAt([]byte("abc"), 0); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		return f.Rename("/d/a", "/d/b")
	}
	for n := int64(1); n <= 5; n++ {
		m := vfs.NewMem()
		f := vfs.NewFaulty(m, func(op vfs.Op) error {
			if op.Seq == n {
				return syscall.ENOSPC
			}
			return nil
		})
		if err := work(f); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("call %d: %v", n, err)
		}
		if n == 1 && exists(m, "/d") || n == 3 && content(t, m, "/d/a") != "" || n == 5 && exists(m, "/d/b") {
			t.Fatalf("call %d had an effect", n)
		}
	}
}

func TestFaultyTearsAWrite(t *testing.T) {
	m := vfs.NewMem()
	f := vfs.NewFaulty(m, func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite {
			return vfs.ErrTorn(2)
		}
		return nil
	})
	file, err := f.OpenFile("/a", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	n, err := file.WriteAt([]byte("abc"), 0)
	if n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if got := content(t, m, "/a"); got != "ab" {
		t.Fatalf("got %q", got)
	}
}

func TestFaultyFileHasNoOSFile(t *testing.T) {
	dir := t.TempDir()
	plain, err := vfs.OS().OpenFile(dir+"/a", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer plain.Close()
	if vfs.OSFile(plain) == nil {
		t.Fatal("an OS file has an *os.File")
	}
	faulty, err := vfs.NewFaulty(vfs.OS(), nil).OpenFile(dir+"/a", os.O_RDONLY, 0)
	must(t, err)
	defer faulty.Close()
	if vfs.OSFile(faulty) != nil {
		t.Fatal("sendfile would read around the faults")
	}
}

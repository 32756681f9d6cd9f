package vfs_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/headrace/headrace/internal/base/vfs"
)

func TestReplaceLeavesTheOldOrTheNewContent(t *testing.T) {
	for seed := range uint64(50) {
		m := vfs.NewMem()
		must(t, vfs.Replace(m, "/a", []byte("old")))
		done := false
		must(t, vfs.CrashPoints(m, rand.New(rand.NewPCG(seed, 0)), func(f vfs.FS) error {
			err := vfs.Replace(f, "/a", []byte("new and longer"))
			done = true
			return err
		}, func(next vfs.Op, after *vfs.Mem) {
			got := content(t, after, "/a")
			if got != "new and longer" && (got != "old" || done) {
				t.Fatalf("crash before %v left %q", next, got)
			}
		}))
	}
}

func TestReplaceTellsOfEveryFailure(t *testing.T) {
	for n := int64(1); ; n++ {
		m := vfs.NewMem()
		f := vfs.NewFaulty(m, func(op vfs.Op) error {
			if op.Seq == n {
				return syscall.EIO
			}
			return nil
		})
		err := vfs.Replace(f, "/a", []byte("x"))
		if f.Ops() < n {
			return
		}
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("call %d failed: %v", n, err)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	m := vfs.NewMem()
	must(t, vfs.Replace(m, "/a", []byte("12345")))
	if b, err := vfs.ReadFile(m, "/a", 5); err != nil || string(b) != "12345" {
		t.Fatalf("got %q, %v", b, err)
	}
	if _, err := vfs.ReadFile(m, "/a", 4); err == nil || !strings.Contains(err.Error(), "/a") {
		t.Fatalf("got %v", err)
	}
	_, err := vfs.ReadFile(m, "/b", 4)
	wantErr(t, err, fs.ErrNotExist)
}

package vfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A reader of old records brings what it asks for into memory, and not megabytes more for which every flush has to wait.
func TestAReadBringsNoMoreThanItAsksFor(t *testing.T) {
	const size = 32 << 20
	name := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	evict(t, name)
	before := resident(t, name, size)
	if before > size/2 {
		t.Skipf("the file system of %s keeps its files in memory", name)
	}
	f, err := OS().OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.ReadAhead(16<<20, 1<<20)
	for began := time.Now(); resident(t, name, size)-before < 1<<20; time.Sleep(time.Millisecond) { // the disk's time
		if time.Since(began) > 30*time.Second {
			t.Fatalf("of 1 MiB that is read ahead %d KiB came", (resident(t, name, size)-before)>>10)
		}
	}
	before = resident(t, name, size)
	b := make([]byte, 64<<10)
	for off := int64(0); off < 1<<20; off += int64(len(b)) {
		if _, err := f.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	if n := resident(t, name, size); n-before > 1<<20 {
		t.Errorf("1 MiB read brings %d KiB", (n-before)>>10)
	}
}

func evict(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// resident tells how many of a file's bytes are in the page cache.
func resident(t *testing.T, name string, size int) int {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	page := os.Getpagesize()
	in := make([]byte, (size+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(size), uintptr(unsafe.Pointer(&in[0])))
	if errno != 0 {
		t.Skipf("mincore: %v", errno)
	}
	n := 0
	for _, b := range in {
		n += int(b&1) * page
	}
	return n
}

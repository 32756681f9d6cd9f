package faults

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const shortPowerCuts = 8

// A power cut is made by FS_IOC_SHUTDOWN on a loop-mounted ext4 image: the kernel forgets every page that was not synced,
// and the journal is not flushed. What the node acknowledged before must be there after the mount.
func TestPowerCutsLoseNothingAcknowledged(t *testing.T) {
	d := newDisk(t, 1<<30)
	n := newNode(t, filepath.Join(d.mountpoint, "data"))
	n.start()
	createTopic(t, n.addr)
	l := startLoad(t, n.addr)
	rnd := schedule(t)
	count := faultsToMake(shortPowerCuts)
	for range count {
		l.progress(1 + rnd.IntN(2000))
		wait(rnd, 20*time.Millisecond)
		l.wire.cut()
		d.cut()
		n.kill()
		d.remount()
		n.start()
	}
	l.finish()
	l.check(n.addr)
	t.Logf("%d power cuts", count)
	n.kill()
}

// disk is an ext4 file system in an image of its own, mounted through a loop device.
type disk struct {
	t          *testing.T
	image      string
	mountpoint string
	mounted    bool
}

func newDisk(t *testing.T, size int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a loop device")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	unmountLeftovers(t)
	base := t.TempDir()
	d := &disk{t: t, image: filepath.Join(base, "disk.img"), mountpoint: filepath.Join(base, mountName+strconv.Itoa(os.Getpid()))}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Mkdir(d.mountpoint, 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("this machine mounts no loop device: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(d.unmount)
	return d
}

// mountName is followed by the id of the process that mounts.
const mountName = "headrace-faults-"

// unmountLeftovers takes away the disks of tests that were interrupted, or ran out of time, before they could.
func unmountLeftovers(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		id, ours := strings.CutPrefix(filepath.Base(fields[1]), mountName)
		if !ours {
			continue
		}
		if _, err := os.Readlink(filepath.Join("/proc", id, "exe")); !errors.Is(err, os.ErrNotExist) {
			continue // it runs yet
		}
		if out, err := exec.Command("umount", fields[1]).CombinedOutput(); err != nil {
			t.Logf("%s of a test before stays: %v: %s", fields[1], err, bytes.TrimSpace(out))
			continue
		}
		_ = os.RemoveAll(filepath.Dir(fields[1])) // the image; a temporary folder anyway
	}
}

func (d *disk) mount() ([]byte, error) {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.mountpoint).CombinedOutput()
	d.mounted = err == nil
	return out, err
}

// cut takes the power away: FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH.
func (d *disk) cut() {
	d.t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2
	f, err := os.Open(d.mountpoint)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		d.t.Fatalf("FS_IOC_SHUTDOWN: %v", err)
	}
}

func (d *disk) remount() {
	d.t.Helper()
	d.unmount()
	if out, err := d.mount(); err != nil {
		d.t.Fatalf("mount again: %v\n%s", err, out)
	}
}

func (d *disk) unmount() {
	if !d.mounted {
		return
	}
	if out, err := exec.Command("umount", d.mountpoint).CombinedOutput(); err != nil {
		d.t.Errorf("umount: %v\n%s", err, out)
		return
	}
	d.mounted = false
}

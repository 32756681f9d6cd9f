//go:build linux

// Package disk is a file system of a node's own in an image, whose power can be cut: what was not synced is gone then. It can be
// filled, and bits of files can be turned. The fault runs call it, in a mount namespace of their own; it has no goroutines.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system, mounted through a loop device at Folder.
type Disk struct {
	Folder string
	image  string
}

// New makes and mounts a file system of the size below folder. The image takes only the room that is used.
func New(folder string, size int64) (*Disk, error) {
	d := &Disk{Folder: filepath.Join(folder, "disk"), image: filepath.Join(folder, "disk.img")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Mkdir(d.Folder, 0o755)); err != nil {
		return nil, err
	}
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", d.image); err != nil {
		return nil, err
	}
	return d, d.mount()
}

func (d *Disk) mount() error { return run("mount", "-o", "loop", d.image, d.Folder) }

// Cut takes the power away: FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH. Every call on the file system fails from now on.
func (d *Disk) Cut() error {
	const shutdown, noLogFlush = 0x8004587d, 2
	f, err := os.Open(d.Folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		return fmt.Errorf("FS_IOC_SHUTDOWN of %s: %w", d.Folder, err)
	}
	return nil
}

// Remount gives what is on the disk after a cut; no process may have files open on it.
func (d *Disk) Remount() error {
	if err := run("umount", d.Folder); err != nil {
		return err
	}
	return d.mount()
}

func (d *Disk) filler() string { return filepath.Join(d.Folder, "filler") }

// Fill takes all the room there is.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	end := int64(0)
	for size := int64(1 << 30); size >= 4096; size /= 2 {
		for err = nil; err == nil; {
			if err = unix.Fallocate(int(f.Fd()), 0, end, size); err == nil {
				end += size
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("fill %s: %w", d.Folder, err)
		}
	}
	return nil
}

// Empty gives the room back.
func (d *Disk) Empty() error {
	if err := os.Remove(d.filler()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// Sync brings everything to the disk that was written so far.
func (d *Disk) Sync() error {
	f, err := os.Open(d.Folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

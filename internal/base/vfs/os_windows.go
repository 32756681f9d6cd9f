package vfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// openFile opens a file so that it can be renamed and removed while it is open, as retention, compaction and the deletion of
// topics do. Package os opens files that way below an os.Root alone.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	dir, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	f, err := dir.OpenFile(filepath.Base(name), flag, perm)
	if cerr := dir.Close(); err == nil && cerr != nil {
		_ = f.Close()
		return nil, cerr
	}
	return f, err
}

// syncOpenDir does nothing: the file system writes changes of folders to its own journal, in order, and cannot be asked to
// hurry.
func syncOpenDir(*os.File) error { return nil }

// lockFile locks the whole file, so that Apache Kafka, which does the same, is kept out too. The lock ends with the handle.
func lockFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(h uintptr) {
		const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
		lockErr = windows.LockFileEx(windows.Handle(h), how, 0, math.MaxUint32, math.MaxInt32, new(windows.Overlapped))
	})
	if err != nil {
		return err
	}
	if errors.Is(lockErr, windows.ERROR_LOCK_VIOLATION) || errors.Is(lockErr, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return lockErr
}

func usage(dir string) (total, free int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var mine, all, left uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &all, &left); err != nil {
		return 0, 0, &fs.PathError{Op: "disk usage", Path: dir, Err: err}
	}
	return int64(all), int64(mine), nil
}

// noRoom tells the system's own words for a full disk.
func noRoom(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

package vfs

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync(2): bytes and size, without the time stamps that would cost another journal write.
func (f *osFile) Sync() error {
	return syncFailed(control(f.raw, "fdatasync", f.Name(), func(fd int) error {
		return retry(func() error { return unix.Fdatasync(fd) })
	}))
}

func (f *osFile) WriteBack(off, n int64) error {
	return control(f.raw, "sync_file_range", f.Name(), func(fd int) error {
		err := retry(func() error { return unix.SyncFileRange(fd, off, n, unix.SYNC_FILE_RANGE_WRITE) })
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		return err
	})
}

// ReadAhead asks in steps: the system cuts one request off, without a word, at the disk's own read-ahead, 128 KiB as a rule.
func (f *osFile) ReadAhead(off, n int64) {
	const step = 128 << 10
	_ = f.raw.Control(func(fd uintptr) {
		for end := off + n; off < end; off += step {
			_ = unix.Fadvise(int(fd), off, min(step, end-off), unix.FADV_WILLNEED) // a hint
		}
	})
}

// readExactly turns the system's read-ahead off. It takes a reader of old records for somebody who will read on, and where a disk
// is set to 8 MB a time, six partitions bring 48 MB: each flush then waits behind that. Readers know what they will read.
func readExactly(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.Fadvise(int(fd), 0, 0, unix.FADV_RANDOM) // a hint
	})
}

func syncOpenDir(d *os.File) error { return syncFailed(d.Sync()) }

func syncFS(d *os.File) error {
	raw, err := d.SyscallConn()
	if err != nil {
		return err
	}
	return syncFailed(control(raw, "syncfs", d.Name(), func(fd int) error {
		return retry(func() error { return unix.Syncfs(fd) })
	}))
}

// lockFile takes an open-file-description lock: unlike flock(2) it also conflicts with the fcntl lock that Apache
// Kafka holds on the same file, and unlike that one it conflicts inside one process.
func lockFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		all := unix.Flock_t{Type: unix.F_WRLCK}
		lockErr = retry(func() error { return unix.FcntlFlock(fd, unix.F_OFD_SETLK, &all) })
		if errors.Is(lockErr, unix.EINVAL) || errors.Is(lockErr, unix.ENOSYS) {
			lockErr = retry(func() error { return unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
		}
	})
	if err != nil {
		return err
	}
	if errors.Is(lockErr, unix.EAGAIN) || errors.Is(lockErr, unix.EACCES) {
		return ErrLocked
	}
	return lockErr
}

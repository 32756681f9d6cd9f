//go:build darwin || dragonfly || freebsd

package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func syncOpenDir(d *os.File) error { return syncFailed(d.Sync()) }

func lockFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		lockErr = retry(func() error { return unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	})
	if err != nil {
		return err
	}
	if errors.Is(lockErr, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return lockErr
}

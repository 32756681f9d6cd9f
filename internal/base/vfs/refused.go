package vfs

import (
	"errors"
	"syscall"
)

// Refused tells whether err says that the system had no room for an operation: no space, no quota or no file descriptor.
// Nothing was done then, or only a part of a write, and the same may succeed later. An error of a sync never is of that
// kind: what was to be synced may be lost by then.
func Refused(err error) bool {
	if Unsynced(err) {
		return false
	}
	return errors.Is(err, ErrNoSpace) || errors.Is(err, ErrQuota) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || noRoom(err)
}

// Unsynced tells whether err is that of a sync. Nobody hears of the same loss twice: the next sync may say that all is well.
func Unsynced(err error) bool {
	var s syncError
	return errors.As(err, &s)
}

// Broken tells whether err says that the disk itself fails: a sync that failed, for whatever reason, or an error of the device.
func Broken(err error) bool {
	return Unsynced(err) || errors.Is(err, syscall.EIO) || errors.Is(err, ErrReadOnly)
}

// syncError marks what a sync returned.
type syncError struct{ err error }

func (e syncError) Error() string { return e.err.Error() }
func (e syncError) Unwrap() error { return e.err }

// syncFailed marks the error, if it is one, of a sync.
func syncFailed(err error) error {
	if err == nil {
		return nil
	}
	return syncError{err}
}

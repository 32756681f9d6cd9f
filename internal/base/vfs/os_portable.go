//go:build !linux

package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Sync is the system's full file sync, F_FULLFSYNC on darwin.
func (f *osFile) Sync() error { return syncFailed(f.File.Sync()) }

// WriteBack does nothing: it is a hint, and only Linux takes it.
func (f *osFile) WriteBack(off, n int64) error { return nil }

// readExactly does nothing: only Linux takes the hint for one file.
func readExactly(syscall.RawConn) {}

// ReadAhead does nothing either.
func (f *osFile) ReadAhead(off, n int64) {}

// syncFS syncs every file and folder below d one by one, as no call for a whole file system exists that waits.
func syncFS(d *os.File) error {
	return filepath.WalkDir(d.Name(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			return nil
		}
		return syncPath(path, e.IsDir())
	})
}

func syncPath(path string, dir bool) error {
	flag := os.O_RDWR
	if dir {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flag, 0)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if dir {
		err = syncOpenDir(f)
	} else {
		err = syncFailed(f.Sync())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

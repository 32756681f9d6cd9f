package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// memFile is one opening of a node.
type memFile struct {
	fs       *Mem
	node     *memNode
	name     string
	readOnly bool
	closed   bool // guarded by fs.mu
}

func (f *memFile) Name() string { return f.name }

// do runs fn under the file system's lock, unless the file is closed.
func (f *memFile) do(op string, fn func() error) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := error(os.ErrClosed)
	if !f.closed {
		err = fn()
	}
	if err != nil && err != io.EOF {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return err
}

// change runs fn, which alters the file, under the same rules.
func (f *memFile) change(op string, fn func()) error {
	return f.do(op, func() error {
		if f.readOnly {
			return syscall.EBADF
		}
		fn()
		f.fs.mu.changes++
		return nil
	})
}

func (f *memFile) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.do("read", func() error {
		if off < 0 {
			return errors.New("negative offset")
		}
		if n = f.node.data.readAt(b, off); n < len(b) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: errors.New("negative offset")}
	}
	if err := f.change("write", func() { f.node.write(b, off, f.fs.mu.now) }); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *memFile) Size() (size int64, err error) {
	err = f.do("size", func() error {
		size = f.node.data.size
		return nil
	})
	return size, err
}

func (f *memFile) Truncate(size int64) error {
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: syscall.EINVAL}
	}
	return f.change("truncate", func() { f.node.truncate(size, f.fs.mu.now) })
}

func (f *memFile) Sync() error {
	return f.do("sync", func() error {
		f.node.sync()
		f.fs.mu.changes++
		return nil
	})
}

func (f *memFile) WriteBack(off, n int64) error {
	return f.do("writeback", func() error { return nil })
}

func (f *memFile) ReadAhead(off, n int64) {}

func (f *memFile) Close() error {
	return f.do("close", func() error {
		f.closed = true
		return nil
	})
}

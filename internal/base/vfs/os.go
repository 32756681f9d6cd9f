package vfs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// OS returns the machine's file system. Each call returns its own: it keeps a folder open for every SyncFS dir, as
// syncfs(2) reports only the write-back errors that happened since the folder was opened.
func OS() FS {
	o := &osFS{}
	o.mu.syncDirs = map[string]*os.File{}
	return o
}

type osFS struct {
	mu struct {
		sync.Mutex
		syncDirs map[string]*os.File // open folders for SyncFS, kept until the process ends
	}
}

func (o *osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	readExactly(raw)
	return &osFile{File: f, raw: raw}, nil
}

func (o *osFS) MkdirAll(dir string, perm fs.FileMode) error     { return os.MkdirAll(dir, perm) }
func (o *osFS) Remove(name string) error                        { return os.Remove(name) }
func (o *osFS) RemoveAll(name string) error                     { return os.RemoveAll(name) }
func (o *osFS) Rename(oldname, newname string) error            { return os.Rename(oldname, newname) }
func (o *osFS) Stat(name string) (fs.FileInfo, error)           { return os.Stat(name) }
func (o *osFS) ReadDir(dir string) ([]fs.DirEntry, error)       { return os.ReadDir(dir) }
func (o *osFS) Usage(dir string) (total, free int64, err error) { return usage(dir) }

func (o *osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = syncOpenDir(d)
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (o *osFS) SyncFS(dir string) error {
	d, err := o.syncDir(dir)
	if err != nil {
		return err
	}
	return syncFS(d)
}

// syncDir opens dir once. The mutex is not held while syncing: two folders may flush at the same time.
func (o *osFS) syncDir(dir string) (*os.File, error) {
	dir = filepath.Clean(dir)
	o.mu.Lock()
	defer o.mu.Unlock()
	if d, ok := o.mu.syncDirs[dir]; ok {
		return d, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	o.mu.syncDirs[dir] = d
	return d, nil
}

func (o *osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	// Whoever locks a folder will write to it: opening it now lets the first SyncFS see errors from here on.
	if _, err := o.syncDir(filepath.Dir(name)); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// osFile adds to *os.File what differs between systems.
type osFile struct {
	*os.File
	raw syscall.RawConn
}

func (f *osFile) osFile() *os.File { return f.File }

func (f *osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// control calls fn with the descriptor, which cannot be closed and reused meanwhile.
func control(raw syscall.RawConn, op, path string, fn func(fd int) error) error {
	var ferr error
	if raw.Control(func(fd uintptr) { ferr = fn(int(fd)) }) != nil {
		ferr = os.ErrClosed // the only reason not to call fn
	}
	if ferr != nil {
		return &fs.PathError{Op: op, Path: path, Err: ferr}
	}
	return nil
}

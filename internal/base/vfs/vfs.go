// Package vfs is the only way the log engine reaches a disk. OS is the machine's file system; Mem is an in-memory one
// that can be cloned as a power cut would leave it; Faulty fails or tears chosen operations of another. It starts no
// goroutine; every FS and File may be used by several at once.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// What an operator can mend, as errors.Is finds it in errors of every FS, besides the errors of io/fs.
const (
	ErrNotDir   = syscall.ENOTDIR
	ErrReadOnly = syscall.EROFS
	ErrNoSpace  = syscall.ENOSPC
	ErrQuota    = syscall.EDQUOT
)

// ErrLocked is what Lock returns for a file that another holds locked.
var ErrLocked = errors.New("locked by another process")

// FS is a file system as the log engine needs it. Paths are those of the os package. Errors wrap fs.ErrNotExist,
// fs.ErrExist, fs.ErrPermission or a syscall.Errno as those of the os package do.
type FS interface {
	// OpenFile opens name with the flags of os.OpenFile (O_RDONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC).
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// MkdirAll makes dir and its missing parents. A new folder's entry is durable after SyncDir of its parent.
	MkdirAll(dir string, perm fs.FileMode) error
	Remove(name string) error
	RemoveAll(name string) error
	// Rename replaces newname atomically; it is durable after SyncDir of the folder (both, if they differ).
	Rename(oldname, newname string) error
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists dir sorted by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes the entries of dir (creations, renames, removals in it) durable.
	SyncDir(dir string) error
	// SyncFS makes all written so far on the file system that holds dir durable (syncfs(2)).
	SyncFS(dir string) error
	// Lock takes an exclusive lock on the file name, creating it, until the Closer is closed or the process ends.
	// It returns ErrLocked when another process (or another Lock of this one) holds it.
	Lock(name string) (io.Closer, error)
	// Usage tells the size and the free bytes of the file system that holds dir.
	Usage(dir string) (total, free int64, err error)
}

// File is an open file. Reads and writes are positional only: no shared file offset exists to be moved by another
// reader.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the file's bytes and its size durable (fdatasync(2) where the system has it).
	Sync() error
	// WriteBack asks the system to begin writing [off, off+n) to the disk without waiting (sync_file_range(2));
	// it promises nothing and may do nothing.
	WriteBack(off, n int64) error
	// ReadAhead asks the system to begin reading [off, off+n) into memory without waiting (posix_fadvise(2)). A file is opened
	// without the system's own read-ahead where that can be said: who reads on tells what. It promises nothing and may do
	// nothing.
	ReadAhead(off, n int64)
}

// OSFile returns the *os.File under f for sendfile(2), or nil when f has none. The caller must not close it, nor move its
// file offset, and may use it only until f is closed.
func OSFile(f File) *os.File {
	o, ok := f.(interface{ osFile() *os.File })
	if !ok {
		return nil
	}
	return o.osFile()
}

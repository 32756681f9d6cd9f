package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// OpKind names a method of FS or File.
type OpKind int

// The kinds of Op. OpenFile is OpCreate when its flags allow it to make or empty a file, and OpOpen otherwise.
const (
	OpOpen OpKind = iota
	OpCreate
	OpMkdirAll
	OpRemove
	OpRemoveAll
	OpRename
	OpStat
	OpReadDir
	OpSyncDir
	OpSyncFS
	OpLock
	OpUsage
	OpRead
	OpWrite
	OpSize
	OpTruncate
	OpSync
	OpWriteBack
	OpClose
)

// String is the method's name in lower case.
func (k OpKind) String() string {
	names := [...]string{"open", "create", "mkdirall", "remove", "removeall", "rename", "stat", "readdir", "syncdir",
		"syncfs", "lock", "usage", "read", "write", "size", "truncate", "sync", "writeback", "close"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("op %d", int(k))
	}
	return names[k]
}

// Changes tells whether the operation changes what the disk holds, now or after a power cut.
func (k OpKind) Changes() bool {
	switch k {
	case OpCreate, OpMkdirAll, OpRemove, OpRemoveAll, OpRename, OpSyncDir, OpSyncFS, OpLock, OpWrite, OpTruncate, OpSync:
		return true
	}
	return false
}

// Op is one call about to be made through a Faulty.
type Op struct {
	Kind OpKind
	Path string
	To   string // OpRename's new name
	Off  int64  // OpRead, OpWrite, OpWriteBack
	N    int64  // bytes of OpRead, OpWrite, OpWriteBack; the new size of OpTruncate
	Seq  int64  // number of the call, from 1
}

// String is for messages of failing tests.
func (op Op) String() string {
	s := fmt.Sprintf("#%d %v %s", op.Seq, op.Kind, op.Path)
	if op.To != "" {
		s += " → " + op.To
	}
	if op.N != 0 || op.Off != 0 {
		s += fmt.Sprintf(" [%d+%d]", op.Off, op.N)
	}
	return s
}

// ErrTorn returned by a decide function lets the first n bytes of an OpWrite through and then fails it; other
// operations fail before any effect. It unwraps to syscall.EIO.
func ErrTorn(n int) error { return tornError{n, syscall.EIO} }

// ErrTornFull is ErrTorn on a disk that has no more room: it unwraps to ErrNoSpace.
func ErrTornFull(n int) error { return tornError{n, ErrNoSpace} }

type tornError struct {
	n     int
	cause error
}

func (e tornError) Error() string { return fmt.Sprintf("write torn after %d bytes: %v", e.n, e.cause) }
func (e tornError) Unwrap() error { return e.cause }

// Faulty is an FS that asks decide before each call: an error fails the call before it has any effect. Only Close
// takes effect all the same, as close(2) does. decide may be called by several goroutines at once.
type Faulty struct {
	fs     FS
	decide func(Op) error
	seq    atomic.Int64
}

// NewFaulty wraps under; a nil decide fails nothing and only counts.
func NewFaulty(under FS, decide func(Op) error) *Faulty {
	return &Faulty{fs: under, decide: decide}
}

// Ops is the number of calls made so far.
func (f *Faulty) Ops() int64 { return f.seq.Load() }

func (f *Faulty) ask(op Op) error {
	op.Seq = f.seq.Add(1)
	if f.decide == nil {
		return nil
	}
	err := f.decide(op)
	if err == nil {
		return nil
	}
	err = &fs.PathError{Op: op.Kind.String(), Path: op.Path, Err: err}
	switch op.Kind {
	case OpSync, OpSyncDir, OpSyncFS:
		return syncFailed(err)
	}
	return err
}

// OpenFile implements FS, as do the methods below.
func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	kind := OpOpen
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		kind = OpCreate
	}
	if err := f.ask(Op{Kind: kind, Path: name}); err != nil {
		return nil, err
	}
	under, err := f.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{fs: f, under: under}, nil
}

func (f *Faulty) MkdirAll(dir string, perm fs.FileMode) error {
	if err := f.ask(Op{Kind: OpMkdirAll, Path: dir}); err != nil {
		return err
	}
	return f.fs.MkdirAll(dir, perm)
}

func (f *Faulty) Remove(name string) error {
	if err := f.ask(Op{Kind: OpRemove, Path: name}); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

func (f *Faulty) RemoveAll(name string) error {
	if err := f.ask(Op{Kind: OpRemoveAll, Path: name}); err != nil {
		return err
	}
	return f.fs.RemoveAll(name)
}

func (f *Faulty) Rename(oldname, newname string) error {
	if err := f.ask(Op{Kind: OpRename, Path: oldname, To: newname}); err != nil {
		return err
	}
	return f.fs.Rename(oldname, newname)
}

func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.ask(Op{Kind: OpStat, Path: name}); err != nil {
		return nil, err
	}
	return f.fs.Stat(name)
}

func (f *Faulty) ReadDir(dir string) ([]fs.DirEntry, error) {
	if err := f.ask(Op{Kind: OpReadDir, Path: dir}); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(dir)
}

func (f *Faulty) SyncDir(dir string) error {
	if err := f.ask(Op{Kind: OpSyncDir, Path: dir}); err != nil {
		return err
	}
	return f.fs.SyncDir(dir)
}

func (f *Faulty) SyncFS(dir string) error {
	if err := f.ask(Op{Kind: OpSyncFS, Path: dir}); err != nil {
		return err
	}
	return f.fs.SyncFS(dir)
}

func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.ask(Op{Kind: OpLock, Path: name}); err != nil {
		return nil, err
	}
	return f.fs.Lock(name)
}

func (f *Faulty) Usage(dir string) (total, free int64, err error) {
	if err := f.ask(Op{Kind: OpUsage, Path: dir}); err != nil {
		return 0, 0, err
	}
	return f.fs.Usage(dir)
}

// faultyFile hides the *os.File below: what sendfile would read could not be failed.
type faultyFile struct {
	fs    *Faulty
	under File
}

func (f *faultyFile) Name() string { return f.under.Name() }

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.fs.ask(Op{Kind: OpRead, Path: f.Name(), Off: off, N: int64(len(b))}); err != nil {
		return 0, err
	}
	return f.under.ReadAt(b, off)
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	err := f.fs.ask(Op{Kind: OpWrite, Path: f.Name(), Off: off, N: int64(len(b))})
	if err == nil {
		return f.under.WriteAt(b, off)
	}
	var torn tornError
	if !errors.As(err, &torn) || torn.n <= 0 {
		return 0, err
	}
	n, werr := f.under.WriteAt(b[:min(torn.n, len(b))], off)
	if werr != nil {
		return n, werr
	}
	return n, err
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.fs.ask(Op{Kind: OpSize, Path: f.Name()}); err != nil {
		return 0, err
	}
	return f.under.Size()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.ask(Op{Kind: OpTruncate, Path: f.Name(), N: size}); err != nil {
		return err
	}
	return f.under.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.ask(Op{Kind: OpSync, Path: f.Name()}); err != nil {
		return err
	}
	return f.under.Sync()
}

func (f *faultyFile) WriteBack(off, n int64) error {
	if err := f.fs.ask(Op{Kind: OpWriteBack, Path: f.Name(), Off: off, N: n}); err != nil {
		return err
	}
	return f.under.WriteBack(off, n)
}

func (f *faultyFile) ReadAhead(off, n int64) { f.under.ReadAhead(off, n) }

func (f *faultyFile) Close() error {
	err := f.fs.ask(Op{Kind: OpClose, Path: f.Name()})
	if cerr := f.under.Close(); err == nil {
		err = cerr
	}
	return err
}

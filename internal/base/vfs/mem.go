package vfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that knows what a power cut would leave of it: see CrashClone. It remembers every
// write since a file's last Sync and every entry since a folder's last SyncDir, so it is made for tests.
type Mem struct {
	mu struct {
		sync.Mutex
		root    *memNode
		locks   map[string]bool
		now     time.Time
		changes int64
	}
}

// NewMem returns an empty file system that holds the root folder alone.
func NewMem() *Mem { return newMem(newMemDir()) }

func newMem(root *memNode) *Mem {
	m := &Mem{}
	m.mu.root = root
	m.mu.locks = map[string]bool{}
	m.mu.now = time.Unix(0, 0)
	return m
}

// SetTime is the modification time that later changes get; it starts at the Unix epoch.
func (m *Mem) SetTime(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.now = now
}

// Changes counts the calls so far that changed what the disk holds, now or after a power cut (OpKind.Changes).
func (m *Mem) Changes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.changes
}

// OpenFile implements FS, as do the methods below.
func (m *Mem) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.open(name, flag, perm)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (m *Mem) open(name string, flag int, perm fs.FileMode) (*memFile, error) {
	parent, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return nil, syscall.EISDIR
	}
	node, found := parent.entries[base]
	switch {
	case !found && flag&os.O_CREATE == 0:
		return nil, syscall.ENOENT
	case !found:
		node = &memNode{mode: perm.Perm(), mtime: m.mu.now}
		parent.change(m.mu.now, nameChange{base, node})
		m.mu.changes++
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, syscall.EEXIST
	case node.isDir():
		return nil, syscall.EISDIR
	case flag&os.O_TRUNC != 0:
		node.truncate(0, m.mu.now)
		m.mu.changes++
	}
	return &memFile{fs: m, node: node, name: name, readOnly: flag&(os.O_WRONLY|os.O_RDWR) == 0}, nil
}

func (m *Mem) MkdirAll(dir string, perm fs.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.changes++
	at := m.mu.root
	for _, part := range parts(dir) {
		if !at.isDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		next, ok := at.entries[part]
		if !ok {
			next = newMemDir()
			next.mode, next.mtime = fs.ModeDir|perm.Perm(), m.mu.now
			at.change(m.mu.now, nameChange{part, next})
		}
		at = next
	}
	if !at.isDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.remove(name); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

func (m *Mem) remove(name string) error {
	parent, base, err := m.parent(name)
	if err != nil {
		return err
	}
	if base == "" {
		return syscall.EBUSY
	}
	node, ok := parent.entries[base]
	if !ok {
		return syscall.ENOENT
	}
	if len(node.entries) > 0 {
		return syscall.ENOTEMPTY
	}
	parent.change(m.mu.now, nameChange{base, nil})
	m.mu.changes++
	return nil
}

// RemoveAll removes the tree's files one by one before the folders that hold them, as os.RemoveAll does, so that a
// power cut may leave a part of it.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.changes++
	parent, base, err := m.parent(name)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "removeall", Path: name, Err: err}
	}
	if base == "" {
		return &fs.PathError{Op: "removeall", Path: name, Err: syscall.EBUSY}
	}
	if node, ok := parent.entries[base]; ok {
		node.empty(m.mu.now)
		parent.change(m.mu.now, nameChange{base, nil})
	}
	return nil
}

func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.rename(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (m *Mem) rename(oldname, newname string) error {
	from, oldBase, err := m.parent(oldname)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent(newname)
	if err != nil {
		return err
	}
	node, ok := from.entries[oldBase]
	if !ok {
		return syscall.ENOENT
	}
	if newBase == "" || strings.HasPrefix(clean(newname)+"/", clean(oldname)+"/") && clean(newname) != clean(oldname) {
		return syscall.EINVAL
	}
	target, replaces := to.entries[newBase]
	switch {
	case target == node:
		return nil
	case replaces && target.isDir():
		return syscall.EEXIST // as os.Rename: not even an empty folder is replaced
	case replaces && node.isDir():
		return syscall.ENOTDIR
	}
	m.mu.changes++
	if from == to {
		from.change(m.mu.now, nameChange{oldBase, nil}, nameChange{newBase, node})
		return nil
	}
	to.change(m.mu.now, nameChange{newBase, node})
	from.change(m.mu.now, nameChange{oldBase, nil})
	return nil
}

func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return node.info(path.Base(clean(name))), nil
}

func (m *Mem) ReadDir(dir string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.findDir(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
	}
	list := make([]fs.DirEntry, 0, len(node.entries))
	for name, e := range node.entries {
		list = append(list, fs.FileInfoToDirEntry(e.info(name)))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	return list, nil
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.findDir(dir)
	if err != nil {
		return &fs.PathError{Op: "syncdir", Path: dir, Err: err}
	}
	node.sync()
	m.mu.changes++
	return nil
}

func (m *Mem) SyncFS(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.findDir(dir); err != nil {
		return &fs.PathError{Op: "syncfs", Path: dir, Err: err}
	}
	m.mu.root.syncTree()
	m.mu.changes++
	return nil
}

// Usage tells of a disk of 1 TiB.
func (m *Mem) Usage(dir string) (total, free int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.findDir(dir); err != nil {
		return 0, 0, &fs.PathError{Op: "usage", Path: dir, Err: err}
	}
	const size = 1 << 40
	return size, size - m.mu.root.treeSize(), nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.locks[clean(name)] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	if _, err := m.open(name, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	m.mu.locks[clean(name)] = true
	return &memLock{fs: m, name: clean(name)}, nil
}

type memLock struct {
	fs       *Mem
	name     string
	released bool // guarded by fs.mu
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.released {
		return os.ErrClosed
	}
	l.released = true
	delete(l.fs.mu.locks, l.name)
	return nil
}

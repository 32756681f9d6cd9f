package vfs

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// memNode is a file or a folder. Names point to nodes, so an open file lives on after its name is removed.
type memNode struct {
	mode  fs.FileMode
	mtime time.Time

	// A file: its bytes now, its bytes after a power cut at worst, and the changes between the two in order.
	data    pages
	durable pages
	pending []memWrite
	// lost says that a sync has failed: what was to be written then is read, but not in durable, nor ever will be.
	lost bool

	// A folder: the same three of its entries.
	entries        map[string]*memNode
	durableEntries map[string]*memNode
	pendingEntries []dirChange
}

// memWrite is a write of bytes at off, or with bytes nil a truncation to off.
type memWrite struct {
	off   int64
	bytes []byte
}

// dirChange is one atomic change of a folder: a rename inside it has two names.
type dirChange []nameChange

// nameChange points name to node, or to nothing.
type nameChange struct {
	name string
	node *memNode
}

func newMemDir() *memNode {
	return &memNode{mode: fs.ModeDir | 0o755, entries: map[string]*memNode{}, durableEntries: map[string]*memNode{}}
}

func (n *memNode) isDir() bool { return n.mode.IsDir() }

func (n *memNode) change(now time.Time, names ...nameChange) {
	dirChange(names).apply(n.entries)
	n.pendingEntries = append(n.pendingEntries, names)
	n.mtime = now
}

func (c dirChange) apply(entries map[string]*memNode) {
	for _, nc := range c {
		if nc.node == nil {
			delete(entries, nc.name)
			continue
		}
		entries[nc.name] = nc.node
	}
}

// empty removes everything below n, children before their folder.
func (n *memNode) empty(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		n.entries[name].empty(now)
		n.change(now, nameChange{name, nil})
	}
}

func (n *memNode) write(b []byte, off int64, now time.Time) {
	kept := append(make([]byte, 0, len(b)), b...)
	n.data.writeAt(kept, off)
	n.pending = append(n.pending, memWrite{off: off, bytes: kept})
	n.mtime = now
}

func (n *memNode) truncate(size int64, now time.Time) {
	n.data.truncate(size)
	n.pending = append(n.pending, memWrite{off: size})
	n.mtime = now
}

// sync makes the node's own bytes or entries durable.
func (n *memNode) sync() {
	if n.isDir() {
		n.durableEntries = maps.Clone(n.entries)
		n.pendingEntries = nil
		return
	}
	if n.lost {
		for _, w := range n.pending {
			if w.bytes == nil {
				n.durable.truncate(w.off)
			} else {
				n.durable.writeAt(w.bytes, w.off)
			}
		}
		n.pending = nil
		return
	}
	n.durable = n.data.clone()
	n.pending = nil
}

func (n *memNode) syncTree() {
	n.sync()
	for _, child := range n.entries {
		child.syncTree()
	}
}

func (n *memNode) treeSize() int64 {
	size := n.data.size
	for _, child := range n.entries {
		size += child.treeSize()
	}
	return size
}

func (n *memNode) info(name string) fs.FileInfo {
	return memInfo{name: name, size: n.data.size, mode: n.mode, mtime: n.mtime}
}

type memInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.mtime }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }

// clean makes every path absolute; a relative one starts at the root.
func clean(name string) string { return path.Clean("/" + name) }

func parts(name string) []string {
	name = clean(name)[1:]
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func (m *Mem) find(name string) (*memNode, error) {
	at := m.mu.root
	for _, part := range parts(name) {
		if !at.isDir() {
			return nil, syscall.ENOTDIR
		}
		next, ok := at.entries[part]
		if !ok {
			return nil, syscall.ENOENT
		}
		at = next
	}
	return at, nil
}

func (m *Mem) findDir(name string) (*memNode, error) {
	n, err := m.find(name)
	if err == nil && !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return n, err
}

// parent finds the folder that holds name; base is empty for the root itself.
func (m *Mem) parent(name string) (dir *memNode, base string, err error) {
	name = clean(name)
	if name == "/" {
		return m.mu.root, "", nil
	}
	dir, err = m.findDir(path.Dir(name))
	return dir, path.Base(name), err
}

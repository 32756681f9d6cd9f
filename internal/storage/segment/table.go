package segment

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"github.com/headrace/headrace/internal/base/vfs"
)

// Widths of the entries of the two kinds of index: relative offset and position; timestamp and relative offset.
const (
	offsetWidth = 4 + 4
	timeWidth   = 8 + 4
)

// tailEntries is how many entries an index keeps in memory at least, and how many it lets gather before they are written.
const tailEntries = 128

// table is an index file of which only the end is in memory. Entries are appended in memory and written many at a time;
// what is lost in a crash is made again from the log.
type table struct {
	width int
	// Invariant: memFrom <= written <= count, and mem holds the entries [memFrom, count). Bytes of mem are never
	// changed once they are in it, so views may share it.
	memFrom, written, count int
	synced                  int // entries that a Sync has covered
	mem                     []byte
}

func (t *table) append(e []byte) {
	if t.mem == nil {
		t.mem = make([]byte, 0, 2*tailEntries*t.width)
	}
	t.mem = append(t.mem, e...)
	t.count++
}

// write puts the entries that are not in the file there.
func (t *table) write(f vfs.File) error {
	if t.written == t.count {
		return nil
	}
	if _, err := f.WriteAt(t.mem[(t.written-t.memFrom)*t.width:], int64(t.written)*int64(t.width)); err != nil {
		return err
	}
	t.written = t.count
	if extra := t.count - t.memFrom - tailEntries; extra >= tailEntries {
		t.mem = append(make([]byte, 0, 2*tailEntries*t.width), t.mem[extra*t.width:]...)
		t.memFrom += extra
	}
	return nil
}

// onDisk makes the table that of a file with n entries, none of them in memory.
func (t *table) onDisk(n int) {
	t.memFrom, t.written, t.synced, t.count, t.mem = n, n, n, n, nil
}

func (t *table) view() tableView {
	return tableView{width: t.width, memFrom: t.memFrom, count: t.count, mem: t.mem}
}

// tableView is a table at one moment.
type tableView struct {
	width, memFrom, count int
	mem                   []byte
}

// lastBefore finds the last entry for which after is false; entries are ordered by after. i is -1 when there is none.
// open gives the file of the entries that are not in memory.
func (v tableView) lastBefore(open func() (vfs.File, error), after func(e []byte) bool) (e []byte, i int, err error) {
	if inMem := v.count - v.memFrom; inMem > 0 && (v.memFrom == 0 || !after(v.mem[:v.width])) {
		e, i := lastBefore(v.mem[:inMem*v.width], v.width, after)
		if i < 0 {
			return nil, -1, nil
		}
		return e, v.memFrom + i, nil
	}
	if v.memFrom == 0 {
		return nil, -1, nil
	}
	f, err := open()
	if err != nil {
		return nil, 0, err
	}
	return v.lastBeforeInFile(f, after)
}

func (v tableView) lastBeforeInFile(f vfs.File, after func(e []byte) bool) (e []byte, i int, err error) {
	const block = 256
	var one [timeWidth]byte
	lo, hi := 0, v.memFrom // the entry, if any, is in [lo, hi)
	for hi-lo > block {
		mid := (lo + hi) / 2
		if err := readFull(f, one[:v.width], int64(mid)*int64(v.width)); err != nil {
			return nil, 0, err
		}
		if after(one[:v.width]) {
			hi = mid
		} else {
			lo = mid
		}
	}
	b := make([]byte, (hi-lo)*v.width)
	if err := readFull(f, b, int64(lo)*int64(v.width)); err != nil {
		return nil, 0, err
	}
	if e, i = lastBefore(b, v.width, after); i < 0 {
		return nil, -1, nil
	}
	return e, lo + i, nil
}

func lastBefore(b []byte, width int, after func(e []byte) bool) ([]byte, int) {
	i := sort.Search(len(b)/width, func(i int) bool { return after(b[i*width : (i+1)*width]) }) - 1
	if i < 0 {
		return nil, -1
	}
	return b[i*width : (i+1)*width], i
}

// readFull reads all of b or fails; a file that ends before is errStale, as it was cut while being read.
func readFull(f vfs.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return fmt.Errorf("%s ends at %d within [%d+%d]: %w", f.Name(), off+int64(n), off, len(b), ErrStale)
	}
	return err
}

func putOffsetEntry(rel, pos int32) (e [offsetWidth]byte) {
	binary.BigEndian.PutUint32(e[:], uint32(rel))
	binary.BigEndian.PutUint32(e[4:], uint32(pos))
	return e
}

func offsetEntry(e []byte) (rel, pos int32) {
	return int32(binary.BigEndian.Uint32(e)), int32(binary.BigEndian.Uint32(e[4:]))
}

func putTimeEntry(ts int64, rel int32) (e [timeWidth]byte) {
	binary.BigEndian.PutUint64(e[:], uint64(ts))
	binary.BigEndian.PutUint32(e[8:], uint32(rel))
	return e
}

func timeEntry(e []byte) (ts int64, rel int32) {
	return int64(binary.BigEndian.Uint64(e)), int32(binary.BigEndian.Uint32(e[8:]))
}

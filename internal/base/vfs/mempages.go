package vfs

import "slices"

// pageSize is small, so that a copy after a clone is cheap.
const pageSize = 4096

// pages are the bytes of a file. Clones share pages until one of them is written; a nil page is all zeros.
type pages struct {
	size  int64
	list  []*page
	owner *pageOwner // pages of another owner are copied before a write
}

type page struct {
	owner *pageOwner
	bytes [pageSize]byte
}

// pageOwner is compared by address only; it has a size because addresses of empty structs may be equal.
type pageOwner struct{ _ byte }

// clone returns a copy that shares all pages: neither side owns them from now on.
func (p *pages) clone() pages {
	p.owner = nil
	return pages{size: p.size, list: slices.Clone(p.list)}
}

func (p *pages) readAt(b []byte, off int64) int {
	if off >= p.size {
		return 0
	}
	b = b[:min(int64(len(b)), p.size-off)]
	for n := 0; n < len(b); {
		at := off + int64(n)
		part := b[n:min(len(b), n+int(pageSize-at%pageSize))]
		if pg := p.page(at / pageSize); pg != nil {
			copy(part, pg.bytes[at%pageSize:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	return len(b)
}

func (p *pages) page(i int64) *page {
	if i >= int64(len(p.list)) {
		return nil
	}
	return p.list[i]
}

func (p *pages) writeAt(b []byte, off int64) {
	if len(b) == 0 {
		return
	}
	p.size = max(p.size, off+int64(len(b)))
	for len(b) > 0 {
		n := copy(p.own(off / pageSize).bytes[off%pageSize:], b)
		b, off = b[n:], off+int64(n)
	}
}

// own returns page i, made or copied so that it may be written.
func (p *pages) own(i int64) *page {
	if p.owner == nil {
		p.owner = &pageOwner{}
	}
	for int64(len(p.list)) <= i {
		p.list = append(p.list, nil)
	}
	pg := p.list[i]
	if pg == nil {
		pg = &page{}
	} else if pg.owner != p.owner {
		pg = &page{bytes: pg.bytes}
	}
	pg.owner = p.owner
	p.list[i] = pg
	return pg
}

// truncate also zeroes what is cut, so that a later growth reads zeros.
func (p *pages) truncate(size int64) {
	if size < p.size {
		keep := (size + pageSize - 1) / pageSize
		p.list = p.list[:min(keep, int64(len(p.list)))]
		if rest := size % pageSize; rest > 0 && p.page(size/pageSize) != nil {
			clear(p.own(size / pageSize).bytes[rest:])
		}
	}
	p.size = size
}

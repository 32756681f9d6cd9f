package compress

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipLevels is one more than zlib's best level; gzipWriters[0] is the default.
const gzipLevels = 10

// A flate writer costs hundreds of kilobytes to make, so they are kept, by level.
var (
	gzipWriters [gzipLevels]sync.Pool
	gzipReaders sync.Pool
)

type gzipWriter struct {
	zw  *gzip.Writer
	out appender
}

func compressGzip(dst, src []byte, level int, most int64) ([]byte, error) {
	if level < 0 {
		level = DefaultLevel
	}
	w, _ := gzipWriters[level].Get().(*gzipWriter)
	if w == nil {
		zlevel := level
		if level == DefaultLevel {
			zlevel = gzip.DefaultCompression
		}
		w = new(gzipWriter)
		zw, err := gzip.NewWriterLevel(&w.out, zlevel)
		if err != nil {
			return dst, err
		}
		w.zw = zw
	}
	w.out = appender{dst, most}
	w.zw.Reset(&w.out)
	_, err := w.zw.Write(src)
	err = errors.Join(err, w.zw.Close())
	dst, w.out.b = w.out.b, nil
	gzipWriters[level].Put(w)
	return dst, err
}

type gzipReader struct {
	zr gzip.Reader
	in bytes.Reader
}

func decompressGzip(dst, src []byte, limit int64) ([]byte, error) {
	r, _ := gzipReaders.Get().(*gzipReader)
	if r == nil {
		r = new(gzipReader)
	}
	defer func() {
		r.in.Reset(nil)
		gzipReaders.Put(r)
	}()
	r.in.Reset(src)
	most := maxLen(dst, limit)
	for member := 0; ; member++ {
		if err := r.zr.Reset(&r.in); err != nil {
			if member > 0 {
				// Java's reader takes bytes after a member that are not another member for padding.
				return dst, nil
			}
			return dst, corruptErr(Gzip, err)
		}
		r.zr.Multistream(false)
		var err error
		if dst, err = readUpTo(dst, &r.zr, most); err != nil {
			return dst, err
		}
		if r.in.Len() == 0 {
			return dst, nil
		}
	}
}

// readUpTo appends all of r to dst, which may not become longer than most.
func readUpTo(dst []byte, r io.Reader, most int64) ([]byte, error) {
	for {
		if int64(len(dst)) == most {
			return dst, expectEnd(r)
		}
		if len(dst) == cap(dst) {
			dst = growTo(dst, 1, most)
		}
		room := dst[len(dst):cap(dst)]
		if left := most - int64(len(dst)); int64(len(room)) > left {
			room = room[:left]
		}
		n, err := r.Read(room)
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, corruptErr(Gzip, err)
		}
	}
}

func expectEnd(r io.Reader) error {
	var one [1]byte
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return ErrLimit
		case err == io.EOF:
			return nil
		case err != nil:
			return corruptErr(Gzip, err)
		}
	}
}

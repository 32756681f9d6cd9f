// Package compress is the four codecs of Kafka record batches behind one pair of functions, with a limit on what may be
// inflated. base/batch calls it, and whoever else meets compressed bytes from outside. It starts no goroutine; its pools
// hold scratch memory only.
package compress

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Codec is a compression type by the number it has in the attributes of a record batch.
type Codec int8

// The codecs of the protocol.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// DefaultLevel asks for the level that Kafka takes when none is configured: gzip -1 (zlib's own choice, 6), lz4 9, zstd 3.
const DefaultLevel = 0

var (
	// ErrLimit says that the input inflates to more than the caller allowed. Nothing is known of the rest of the input.
	ErrLimit = errors.New("decompressed data is larger than the limit")
	// ErrCorrupt says that the input is not what the codec writes.
	ErrCorrupt = errors.New("compressed data is corrupt")
	// ErrUnknownCodec says that no codec has the number.
	ErrUnknownCodec = errors.New("unknown compression codec")
)

// String is the name that compression.type and compression.codec have for c.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

// Known tells whether c is one of the protocol's codecs.
func (c Codec) Known() bool { return c >= None && c <= Zstd }

// Parse reads what String writes; "uncompressed" is another word for none.
func Parse(name string) (Codec, error) {
	switch name {
	case "none", "uncompressed":
		return None, nil
	case "gzip":
		return Gzip, nil
	case "snappy":
		return Snappy, nil
	case "lz4":
		return LZ4, nil
	case "zstd":
		return Zstd, nil
	}
	return None, fmt.Errorf("%w %q", ErrUnknownCodec, name)
}

// ValidLevel tells whether Kafka accepts level for c. DefaultLevel is always accepted.
func ValidLevel(c Codec, level int) bool {
	if level == DefaultLevel {
		return true
	}
	switch c {
	case Gzip:
		return level == -1 || level >= 1 && level <= 9
	case LZ4:
		return level >= 1 && level <= 17
	case Zstd:
		return level >= -131072 && level <= 22
	}
	return false
}

// Compress appends src, compressed as Kafka does (snappy in the xerial framing, lz4 in independent 64 KiB blocks), to dst.
// It fails only for an unknown codec or a level that ValidLevel refuses. src and dst must not overlap.
func Compress(dst, src []byte, c Codec, level int) ([]byte, error) {
	return CompressWithin(dst, src, c, level, math.MaxInt64)
}

// CompressWithin is Compress that appends at most limit bytes: more is ErrLimit, found before memory for much more is taken.
func CompressWithin(dst, src []byte, c Codec, level int, limit int64) ([]byte, error) {
	if !c.Known() {
		return dst, fmt.Errorf("%w %d", ErrUnknownCodec, int8(c))
	}
	if !ValidLevel(c, level) {
		return dst, fmt.Errorf("%s has no compression level %d", c, level)
	}
	most, err := maxLen(dst, max(limit, 0)), error(nil)
	switch c {
	case None:
		if int64(len(src)) > limit {
			return dst, ErrLimit
		}
		return append(dst, src...), nil
	case Gzip:
		dst, err = compressGzip(dst, src, level, most)
	case Snappy:
		dst, err = compressXerial(dst, src, most)
	case LZ4:
		dst, err = compressLZ4(dst, src, level, most)
	case Zstd:
		dst, err = compressZstd(dst, src, level, most)
	}
	if err == nil && int64(len(dst)) > most {
		err = ErrLimit
	}
	return dst, err
}

// appender is an io.Writer at the end of a slice, which takes no more than that has most bytes.
type appender struct {
	b    []byte
	most int64
}

func (a *appender) Write(p []byte) (int, error) {
	if int64(len(a.b)+len(p)) > a.most {
		return 0, ErrLimit
	}
	a.b = append(a.b, p...)
	return len(p), nil
}

// Decompress appends what src inflates to, at most limit bytes, to dst. More than limit is ErrLimit, found while
// inflating: memory taken grows with what was really inflated, never with a length that src merely declares. Other errors wrap
// ErrCorrupt or ErrUnknownCodec. On error the bytes appended so far are meaningless. src and dst must not overlap.
func Decompress(dst, src []byte, c Codec, limit int64) ([]byte, error) {
	if limit < 0 {
		limit = 0
	}
	switch c {
	case None:
		if int64(len(src)) > limit {
			return dst, ErrLimit
		}
		return append(dst, src...), nil
	case Gzip:
		return decompressGzip(dst, src, limit)
	case Snappy:
		return decompressSnappy(dst, src, limit)
	case LZ4:
		return decompressLZ4(dst, src, limit)
	case Zstd:
		return decompressZstd(dst, src, limit)
	}
	return dst, fmt.Errorf("%w %d", ErrUnknownCodec, int8(c))
}

// corrupt makes the error for src of codec c that does not hold what.
func corrupt(c Codec, what string) error { return fmt.Errorf("%w: %s: %s", ErrCorrupt, c, what) }

func corruptErr(c Codec, err error) error { return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err) }

// minGrow is the least that an output buffer grows by.
const minGrow = 4 << 10

const maxInt = int(^uint(0) >> 1)

// maxLen is the length that dst may grow to when limit more bytes are allowed.
func maxLen(dst []byte, limit int64) int64 {
	if limit > int64(maxInt-len(dst)) {
		return int64(maxInt)
	}
	return int64(len(dst)) + limit
}

// growTo makes room for n more bytes in dst, of which there are no more than most-len(dst). It doubles what is there, so that
// growing costs no more than what was really inflated, but takes nothing beyond most.
func growTo(dst []byte, n int, most int64) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	double := min(int64(len(dst))+minGrow, most-int64(len(dst)))
	return slices.Grow(dst, int(max(int64(n), double)))
}

package compress

import (
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdMaxWindow is the largest window that the reference decoder accepts unless told otherwise, so the largest that
	// consumers can read.
	zstdMaxWindow = 128 << 20
	// zstdWriteWindow bounds the memory of an encoder; batches are seldom larger.
	zstdWriteWindow = 1 << 20
	// zstdMaxBlock is the most that one block inflates to.
	zstdMaxBlock    = 128 << 10
	zstdBlockHeader = 3
	// zstdAtOnce is the most that is compressed without looking at a limit meanwhile.
	zstdAtOnce = 8 << 20
)

// Encoders and decoders with concurrency 1 start no goroutines. Encoders are kept by the library's four levels.
var (
	zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool
	zstdDecoders sync.Pool
)

func compressZstd(dst, src []byte, level int, most int64) ([]byte, error) {
	if level == DefaultLevel {
		level = 3
	}
	speed := zstd.EncoderLevelFromZstd(level)
	enc, _ := zstdEncoders[speed].Get().(*zstd.Encoder)
	if enc == nil {
		var err error
		enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdWriteWindow), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
		if err != nil {
			return dst, err
		}
	}
	defer zstdEncoders[speed].Put(enc)
	if len(src) <= zstdAtOnce || most == int64(maxInt) {
		return enc.EncodeAll(src, dst), nil
	}
	out := appender{dst, most}
	enc.Reset(&out)
	_, err := enc.Write(src)
	err = errors.Join(err, enc.Close())
	enc.Reset(nil) // it must not keep the memory
	return out.b, err
}

func newZstdDecoder() (*zstd.Decoder, error) {
	// The capacity of the slice given to DecodeAll is the limit. The decoder's own memory limit would refuse frames whose window
	// is larger, although their content is not: Java's writers declare windows of 2 MiB for a handful of bytes.
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
}

func decompressZstd(dst, src []byte, limit int64) ([]byte, error) {
	size, err := zstdSizeOf(src)
	if err != nil {
		return dst, err
	}
	if size.declared > uint64(limit) {
		return dst, ErrLimit
	}
	dec, _ := zstdDecoders.Get().(*zstd.Decoder)
	if dec == nil {
		if dec, err = newZstdDecoder(); err != nil {
			return dst, err
		}
	}
	defer zstdDecoders.Put(dec)

	at := len(dst)
	most := min(limit, maxLen(dst, limit)-int64(at))
	ceiling := int64(min(uint64(most), size.possible))
	room := ceiling
	if size.exact {
		room = min(room, int64(size.declared))
	} else {
		// Without a declared size the room is a guess that quadruples: all attempts together cost a third more than the last.
		room = min(room, int64(max(cap(dst)-at, 4*len(src), minGrow)))
	}
	for {
		dst = slices.Grow(dst, int(room))
		// The decoder refers back into what it is given, so it gets the unused part of dst alone.
		out, err := dec.DecodeAll(src, dst[at:at:at+int(room)])
		switch {
		case err == nil && int64(len(out)) <= most:
			return append(dst, out...), nil // onto itself
		case room < ceiling && !size.exact:
			room = min(4*room, ceiling)
		case ceiling < int64(size.possible) && !size.exact:
			// Damaged data looks the same here as data that does not fit; either is refused.
			return dst, ErrLimit
		case err == nil:
			return dst, ErrLimit
		default:
			return dst, corruptErr(Zstd, err)
		}
	}
}

// zstdSize is what the headers of frames and blocks tell of the inflated size.
type zstdSize struct {
	declared uint64 // sum of what frames declare
	exact    bool   // every frame declares its size
	possible uint64 // the most that the blocks can hold
}

// zstdSizeOf walks all headers of src. A frame that declares more than its blocks can hold is corrupt, so that no memory is taken
// for a mere claim.
func zstdSizeOf(src []byte) (zstdSize, error) {
	s := zstdSize{exact: true}
	if len(src) == 0 {
		return s, corrupt(Zstd, "is empty")
	}
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return s, corruptErr(Zstd, err)
		}
		src = src[h.HeaderSize:]
		if h.Skippable {
			if uint64(h.SkippableSize) > uint64(len(src)) {
				return s, corrupt(Zstd, "skippable frame is cut short")
			}
			src = src[h.SkippableSize:]
			continue
		}
		possible, rest, err := zstdBlocks(src)
		if err != nil {
			return s, err
		}
		s.possible += possible
		s.exact = s.exact && h.HasFCS
		if h.HasFCS {
			if h.FrameContentSize > possible {
				return s, corrupt(Zstd, "frame declares more than its blocks can hold")
			}
			s.declared += h.FrameContentSize
		}
		if h.HasCheckSum {
			if len(rest) < 4 {
				return s, corrupt(Zstd, "checksum is cut short")
			}
			rest = rest[4:]
		}
		src = rest
	}
	return s, nil
}

// zstdBlocks walks the blocks of a frame: the most that they inflate to, and what follows them.
func zstdBlocks(b []byte) (possible uint64, rest []byte, err error) {
	for last := false; !last; {
		if len(b) < zstdBlockHeader {
			return 0, nil, corrupt(Zstd, "block header is cut short")
		}
		word := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		b = b[zstdBlockHeader:]
		last = word&1 != 0
		size := int(word >> 3)
		switch word >> 1 & 3 {
		case 0: // raw
			possible += uint64(size)
		case 1: // one byte, repeated
			possible += uint64(size)
			size = 1
		case 2: // compressed
			possible += zstdMaxBlock
		default:
			return 0, nil, corrupt(Zstd, "block has a reserved type")
		}
		if size > len(b) {
			return 0, nil, corrupt(Zstd, "block is cut short")
		}
		b = b[size:]
	}
	return possible, b, nil
}

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
	// zstdMaxBlock is the most that one block inflates to; each takes at least zstdMinBlock bytes.
	zstdMaxBlock = 128 << 10
	zstdMinBlock = 3
)

// Encoders and decoders with concurrency 1 start no goroutines. Encoders are kept by the library's four levels.
var (
	zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool
	zstdDecoders sync.Pool
)

func compressZstd(dst, src []byte, level int) ([]byte, error) {
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
	dst = enc.EncodeAll(src, dst)
	zstdEncoders[speed].Put(enc)
	return dst, nil
}

func decompressZstd(dst, src []byte, limit int64) ([]byte, error) {
	if len(src) == 0 {
		return dst, corrupt(Zstd, "is empty")
	}
	dec, _ := zstdDecoders.Get().(*zstd.Decoder)
	if dec == nil {
		var err error
		// The capacity of the slice given is the decoder's limit: it is the only one that can differ from call to call.
		dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return dst, err
		}
	}
	defer zstdDecoders.Put(dec)

	// The decoder writes only into the capacity it is given and a frame need not declare its size, so the room is a guess that
	// quadruples: all attempts together cost a third more than the last. Input that declares much but holds little is
	// found out by the first attempts.
	most := maxLen(dst, limit) - int64(len(dst))
	possible := (int64(len(src))/zstdMinBlock + 1) * zstdMaxBlock
	ceiling := min(most, possible)
	room := max(int64(cap(dst)-len(dst)), zstdFirstRoom(src))
	for {
		room = min(room, ceiling)
		dst = slices.Grow(dst, int(room))
		at := len(dst)
		out, err := dec.DecodeAll(src, dst[at:at:at+int(room)])
		if err == nil {
			if int64(len(out)) > room {
				return dst, ErrLimit
			}
			return dst[:at+len(out)], nil
		}
		if !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return dst, corruptErr(Zstd, err)
		}
		if room == ceiling {
			if most > possible {
				return dst, corrupt(Zstd, "declared size is more than the blocks can hold")
			}
			return dst, ErrLimit
		}
		room *= 4
	}
}

// zstdFirstRoom guesses what src inflates to: what its first frame declares where that is believable, or four times its length.
func zstdFirstRoom(src []byte) int64 {
	guess := int64(max(4*len(src), minGrow))
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS && h.FrameContentSize <= uint64(16*guess) {
		guess = max(int64(h.FrameContentSize), 64) // never 0, which would not grow
	}
	return guess
}

package compress

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format as far as Kafka's clients read it: version 1, independent blocks, no dictionary. Frames outside of
// that are refused although they could be inflated, since they would reach consumers that cannot read them.
const (
	lz4Magic       = 0x184D2204
	lz4Version     = 1 << 6
	lz4VersionMask = 3 << 6
	lz4Independent = 1 << 5
	lz4BlockSums   = 1 << 4
	lz4ContentSize = 1 << 3
	lz4ContentSum  = 1 << 2
	lz4Reserved    = 3

	lz4BlockMask    = 7 << 4 // of the BD byte; the rest is reserved
	lz4Block64KiB   = 4 << 4
	lz4WriteBlock   = 64 << 10
	lz4Uncompressed = 1 << 31 // set in a block's length word

	// lz4MaxRatio is above what a block can inflate by: one byte of input extends a match by at most 255.
	lz4MaxRatio = 255
	// lz4KafkaDefault is Kafka's default level, at which its library takes the fast compressor instead of level 9 of the slow one.
	lz4KafkaDefault = 9
)

var (
	lz4Fast = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	lz4High = sync.Pool{New: func() any { return new(lz4.CompressorHC) }}
)

func compressLZ4(dst, src []byte, level int, most int64) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	descriptor := [2]byte{lz4Version | lz4Independent, lz4Block64KiB}
	dst = append(dst, descriptor[0], descriptor[1], byte(xxh32(descriptor[:])>>8))

	compress, release := lz4BlockCompressor(level)
	defer release()
	for len(src) > 0 {
		if int64(len(dst)) > most {
			return dst, ErrLimit
		}
		block := src[:min(len(src), lz4WriteBlock)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+lz4.CompressBlockBound(len(block)))
		n, err := compress(block, dst[at+4:cap(dst)])
		if err != nil {
			return dst, fmt.Errorf("lz4: %w", err)
		}
		word := uint32(n)
		if n == 0 || n >= len(block) {
			n = copy(dst[at+4:cap(dst)], block)
			word = uint32(n) | lz4Uncompressed
		}
		dst = dst[:at+4+n]
		binary.LittleEndian.PutUint32(dst[at:], word)
	}
	return binary.LittleEndian.AppendUint32(dst, 0), nil
}

func lz4BlockCompressor(level int) (compress func(src, dst []byte) (int, error), release func()) {
	if level == DefaultLevel || level == lz4KafkaDefault {
		c := lz4Fast.Get().(*lz4.Compressor)
		return c.CompressBlock, func() { lz4Fast.Put(c) }
	}
	c := lz4High.Get().(*lz4.CompressorHC)
	c.Level = lz4.CompressionLevel(1 << (8 + min(level, 9))) // lz4.Level1 … lz4.Level9
	return c.CompressBlock, func() { lz4High.Put(c) }
}

func decompressLZ4(dst, src []byte, limit int64) ([]byte, error) {
	f, err := parseLZ4Frame(src)
	if err != nil {
		return dst, err
	}
	most := maxLen(dst, limit)
	for {
		if len(f.rest) < 4 {
			return dst, corrupt(LZ4, "ends without an end mark")
		}
		word := binary.LittleEndian.Uint32(f.rest)
		f.rest = f.rest[4:]
		if word == lz4Uncompressed {
			return dst, corrupt(LZ4, "has an empty block, which some of Kafka's clients take for the end and others do not")
		}
		if word == 0 {
			return dst, f.end()
		}
		block, err := f.block(word)
		if err != nil {
			return dst, err
		}
		if word&lz4Uncompressed != 0 {
			if int64(len(block)) > most-int64(len(dst)) {
				return dst, ErrLimit
			}
			dst = append(dst, block...)
			continue
		}
		if dst, err = lz4Block(dst, block, f.blockSize, most); err != nil {
			return dst, err
		}
	}
}

// end holds that nothing but a checksum of the content follows the blocks.
func (f *lz4Frame) end() error {
	sum := 0
	if f.contentSum {
		sum = 4
	}
	switch {
	case len(f.rest) < sum:
		return corrupt(LZ4, "content checksum is cut short")
	case len(f.rest) > sum:
		return corrupt(LZ4, "has bytes behind its end, which some of Kafka's clients pass over and others do not")
	}
	return nil
}

type lz4Frame struct {
	rest       []byte
	blockSize  int
	blockSums  bool
	contentSum bool
}

func parseLZ4Frame(src []byte) (lz4Frame, error) {
	var f lz4Frame
	if len(src) < 7 {
		return f, corrupt(LZ4, "frame header is cut short")
	}
	if binary.LittleEndian.Uint32(src) != lz4Magic {
		return f, corrupt(LZ4, "is not a frame")
	}
	flags, bd := src[4], src[5]
	if flags&lz4VersionMask != lz4Version || flags&lz4Independent == 0 || flags&lz4Reserved != 0 {
		return f, corrupt(LZ4, "frame has flags that Kafka's clients do not read")
	}
	if bd&^lz4BlockMask != 0 || bd < lz4Block64KiB {
		return f, corrupt(LZ4, "frame has no valid block size")
	}
	end := 6
	if flags&lz4ContentSize != 0 {
		end += 8
	}
	if len(src) <= end {
		return f, corrupt(LZ4, "frame header is cut short")
	}
	if src[end] != byte(xxh32(src[4:end])>>8) {
		return f, corrupt(LZ4, "frame header has a wrong checksum")
	}
	f.rest = src[end+1:]
	f.blockSize = 1 << (8 + 2*(bd>>4)) // 4 → 64 KiB, 5 → 256 KiB, 6 → 1 MiB, 7 → 4 MiB
	f.blockSums, f.contentSum = flags&lz4BlockSums != 0, flags&lz4ContentSum != 0
	return f, nil
}

// block cuts the block that the length word announces off f.rest and checks its checksum.
func (f *lz4Frame) block(word uint32) ([]byte, error) {
	n := int(word &^ lz4Uncompressed)
	if n > f.blockSize {
		return nil, corrupt(LZ4, "block is larger than the frame's block size")
	}
	need := n
	if f.blockSums {
		need += 4
	}
	if len(f.rest) < need {
		return nil, corrupt(LZ4, "block is cut short")
	}
	block := f.rest[:n]
	if f.blockSums && binary.LittleEndian.Uint32(f.rest[n:]) != xxh32(block) {
		return nil, corrupt(LZ4, "block has a wrong checksum")
	}
	f.rest = f.rest[need:]
	return block, nil
}

// lz4Block appends what block inflates to. The format does not declare that length, so room is given for what the block's size
// allows, within the frame's block size and the limit.
func lz4Block(dst, block []byte, blockSize int, most int64) ([]byte, error) {
	left := most - int64(len(dst))
	room := min(blockSize, len(block)*lz4MaxRatio)
	limited := int64(room) > left
	if limited {
		if room = int(left); room == 0 {
			return dst, ErrLimit // the library does not take an empty buffer
		}
	}
	at := len(dst)
	dst = growTo(dst, room, most)
	n, err := lz4.UncompressBlock(block, dst[at:at+room:at+room])
	if err != nil {
		if limited {
			// A damaged block and one that does not fit look the same here; either is refused.
			return dst, ErrLimit
		}
		return dst, corruptErr(LZ4, err)
	}
	return dst[:at+n], nil
}

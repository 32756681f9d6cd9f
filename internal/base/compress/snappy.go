package compress

import (
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// xerialHeader begins the framing of the Java snappy library: a magic word, version 1 and the oldest version that can read it, 1.
// Blocks follow, each a big-endian 32-bit length and a raw snappy block.
const xerialHeader = "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"

const (
	xerialMagicLen = 8
	// xerialBlock is how much the Java library puts into one block.
	xerialBlock = 32 << 10
	// snappyMaxRatio is above what a snappy block can inflate by: a copy of at most 64 bytes takes at least two.
	snappyMaxRatio = 32
)

func compressXerial(dst, src []byte, most int64) ([]byte, error) {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		if int64(len(dst)) > most {
			return dst, ErrLimit
		}
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst)
		dst = slices.Grow(dst, 4+s2.MaxEncodedLen(len(block)))
		body := s2.EncodeSnappy(dst[at+4:cap(dst)], block)
		dst = dst[:at+4+len(body)]
		binary.BigEndian.PutUint32(dst[at:], uint32(len(body)))
	}
	return dst, nil
}

// decompressSnappy reads the framing of the Java library when its magic word is there, else one raw block, which is what
// librdkafka and franz-go write.
func decompressSnappy(dst, src []byte, limit int64) ([]byte, error) {
	most := maxLen(dst, limit)
	if len(src) < xerialMagicLen || string(src[:xerialMagicLen]) != xerialHeader[:xerialMagicLen] {
		return snappyBlock(dst, src, most)
	}
	if len(src) < len(xerialHeader) {
		return dst, corrupt(Snappy, "header is cut short")
	}
	if binary.BigEndian.Uint32(src[xerialMagicLen:]) < 1 {
		return dst, corrupt(Snappy, "framing version is too old")
	}
	src = src[len(xerialHeader):]
	for len(src) > 0 {
		if len(src) < 4 {
			return dst, corrupt(Snappy, "block length is cut short")
		}
		// A stream that was appended to another begins with its own header.
		if len(src) >= len(xerialHeader) && string(src[:xerialMagicLen]) == xerialHeader[:xerialMagicLen] {
			src = src[len(xerialHeader):]
			continue
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return dst, corrupt(Snappy, "block is cut short")
		}
		var err error
		if dst, err = snappyBlock(dst, src[:n], most); err != nil {
			return dst, err
		}
		src = src[n:]
	}
	return dst, nil
}

func snappyBlock(dst, block []byte, most int64) ([]byte, error) {
	// The varint in front of a raw block declares its inflated length.
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return dst, corruptErr(Snappy, err)
	}
	if int64(n) > most-int64(len(dst)) {
		return dst, ErrLimit
	}
	if int64(n) > int64(len(block))*snappyMaxRatio {
		return dst, corrupt(Snappy, "declared length is more than the block can hold")
	}
	at := len(dst)
	dst = growTo(dst, n, most)
	// Strictly snappy: what only an S2 decoder reads must not get into a log that Java clients consume.
	if _, err := snappy.DecodeStrict(dst[at:at+n], block); err != nil {
		return dst, corruptErr(Snappy, err)
	}
	return dst[:at+n], nil
}

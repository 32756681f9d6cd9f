package batch

import "encoding/binary"

// The records of a batch hold zigzag varints. These readers take what Kafka's takes: up to 5 or 10 bytes, of which excess high bits
// are dropped. They read at b[i:] and return the index of what follows, or 0 where no varint can be read.

func varint32(b []byte, i int) (v int32, next int) {
	u, next := uvarint(b, i, 5)
	return int32(uint32(u)>>1) ^ -int32(u&1), next
}

func varint64(b []byte, i int) (v int64, next int) {
	u, next := uvarint(b, i, 10)
	return int64(u>>1) ^ -int64(u&1), next
}

// uvarint takes the lengths that records of everyday sizes have, one to three bytes, out of one word.
func uvarint(b []byte, i, most int) (u uint64, next int) {
	if i+4 <= len(b) {
		w := uint64(binary.LittleEndian.Uint32(b[i:]))
		switch {
		case w&0x80 == 0:
			return w & 0x7f, i + 1
		case w&0x8000 == 0:
			return w&0x7f | w>>1&0x3f80, i + 2
		case w&0x800000 == 0:
			return w&0x7f | w>>1&0x3f80 | w>>2&0x1fc000, i + 3
		}
	}
	return longUvarint(b, i, most)
}

//go:noinline
func longUvarint(b []byte, i, most int) (u uint64, next int) {
	end := min(i+most, len(b))
	for shift := 0; i < end; shift += 7 {
		c := b[i]
		i++
		u |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return u, i
		}
	}
	return 0, 0
}

// sizeVarint is the length of v as a zigzag varint.
func sizeVarint(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

package batch

import "encoding/binary"

// The records of a batch hold zigzag varints. These readers take what Kafka's takes: up to 5 or 10 bytes, of which excess high bits
// are dropped. They return n = 0 where none can be read.

func varint32(b []byte) (v int32, n int) {
	if len(b) > 0 && b[0] < 0x80 { // most lengths and deltas are below 64
		u := uint32(b[0])
		return int32(u>>1) ^ -int32(u&1), 1
	}
	var u uint32
	for i := 0; i < len(b) && i < 5; i++ {
		u |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return int32(u>>1) ^ -int32(u&1), i + 1
		}
	}
	return 0, 0
}

func varint64(b []byte) (v int64, n int) {
	var u uint64
	for i := 0; i < len(b) && i < binary.MaxVarintLen64; i++ {
		u |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return int64(u>>1) ^ -int64(u&1), i + 1
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

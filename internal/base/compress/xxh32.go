package compress

import (
	"encoding/binary"
	"math/bits"
)

// The primes of XXH32.
const (
	xxhP1 uint32 = 2654435761
	xxhP2 uint32 = 2246822519
	xxhP3 uint32 = 3266489917
	xxhP4 uint32 = 668265263
	xxhP5 uint32 = 374761393
)

// xxh32 is the XXH32 hash of b with seed 0: the checksum of the LZ4 frame format. The lz4 library keeps its own to itself.
func xxh32(b []byte) uint32 {
	n := uint32(len(b))
	h := n + xxhP5
	if len(b) >= 16 {
		p1, p2 := xxhP1, xxhP2 // variables, since the constant sum overflows
		v1, v2, v3, v4 := p1+p2, p2, uint32(0), -p1
		for ; len(b) >= 16; b = b[16:] {
			v1 = xxhRound(v1, b)
			v2 = xxhRound(v2, b[4:])
			v3 = xxhRound(v3, b[8:])
			v4 = xxhRound(v4, b[12:])
		}
		h = n + bits.RotateLeft32(v1, 1) + bits.RotateLeft32(v2, 7) + bits.RotateLeft32(v3, 12) + bits.RotateLeft32(v4, 18)
	}
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*xxhP3, 17) * xxhP4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xxhP5, 11) * xxhP1
	}
	h = (h ^ h>>15) * xxhP2
	h = (h ^ h>>13) * xxhP3
	return h ^ h>>16
}

func xxhRound(v uint32, b []byte) uint32 {
	return bits.RotateLeft32(v+binary.LittleEndian.Uint32(b)*xxhP2, 13) * xxhP1
}

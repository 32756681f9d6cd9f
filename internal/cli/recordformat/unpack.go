package recordformat

import (
	"encoding/binary"
	"strconv"
)

// appendUnpacked adds the numbers and texts that lie in data, as layout says, one behind the other.
func appendUnpacked(dst, data []byte, layout string) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	take := func(n int) []byte {
		if len(data) < n {
			return nil
		}
		b := data[:n]
		data = data[n:]
		return b
	}
	for _, c := range layout {
		var b []byte
		size := map[rune]int{'b': 1, 'B': 1, 'c': 1, '.': 1, 'h': 2, 'H': 2, 'i': 4, 'I': 4, 'q': 8, 'Q': 8}[c]
		if size > 0 {
			if b = take(size); b == nil {
				return append(dst, "(too short)"...)
			}
		}
		switch c {
		case '<':
			order = binary.LittleEndian
		case '>':
			order = binary.BigEndian
		case 'b':
			dst = strconv.AppendInt(dst, int64(int8(b[0])), 10)
		case 'B':
			dst = strconv.AppendUint(dst, uint64(b[0]), 10)
		case 'c', '.':
			dst = append(dst, b[0])
		case 'h':
			dst = strconv.AppendInt(dst, int64(int16(order.Uint16(b))), 10)
		case 'H':
			dst = strconv.AppendUint(dst, uint64(order.Uint16(b)), 10)
		case 'i':
			dst = strconv.AppendInt(dst, int64(int32(order.Uint32(b))), 10)
		case 'I':
			dst = strconv.AppendUint(dst, uint64(order.Uint32(b)), 10)
		case 'q':
			dst = strconv.AppendInt(dst, int64(order.Uint64(b)), 10)
		case 'Q':
			dst = strconv.AppendUint(dst, order.Uint64(b), 10)
		case 's':
			dst, data = append(dst, data...), nil
		case '$':
			if len(data) > 0 {
				return append(dst, "(too long)"...)
			}
		}
	}
	return dst
}

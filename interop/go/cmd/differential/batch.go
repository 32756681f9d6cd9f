package main

import (
	"encoding/binary"
	"hash/crc32"
)

// build makes a record batch of n records, a millisecond apart.
func build(n int, first int64) []byte {
	var records []byte
	for i := range n {
		body := []byte{0}                                        // attributes
		body = binary.AppendVarint(body, int64(i))               // timestamp
		body = binary.AppendVarint(body, int64(i))               // offset
		body = append(binary.AppendVarint(body, 1), 'k')         // key
		body = append(binary.AppendVarint(body, 1), byte('a'+i)) // value
		body = binary.AppendVarint(body, 0)                      // headers
		records = append(binary.AppendVarint(records, int64(len(body))), body...)
	}
	b := binary.BigEndian.AppendUint16(nil, 0) // attributes
	b = binary.BigEndian.AppendUint32(b, uint32(n-1))
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = binary.BigEndian.AppendUint64(b, uint64(first+int64(n-1)))
	b = binary.BigEndian.AppendUint64(b, 1<<64-1) // no producer
	b = binary.BigEndian.AppendUint16(b, 1<<16-1)
	b = binary.BigEndian.AppendUint32(b, 1<<32-1)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, records...)
	head := binary.BigEndian.AppendUint64(nil, 0)
	head = binary.BigEndian.AppendUint32(head, uint32(4+1+4+len(b)))
	head = binary.BigEndian.AppendUint32(head, 0) // leader epoch
	head = append(head, 2)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return append(head, b...)
}

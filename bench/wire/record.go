package wire

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// oneRecord is a record batch with one record.
func oneRecord(value []byte, at time.Time) []byte {
	const (
		lengthEnd, crcAt, crcEnd = 12, 17, 21 // places in a batch; its length counts from lengthEnd, its checksum from crcEnd
	)
	record := kmsg.Record{Value: value}
	record.Length = int32(len(record.AppendTo(nil))) - 1 // the length itself takes a byte at this size
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: at.UnixMilli(), MaxTimestamp: at.UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[lengthEnd-4:], uint32(len(raw)-lengthEnd))
	binary.BigEndian.PutUint32(raw[crcAt:], crc32.Checksum(raw[crcEnd:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Package batch reads, builds and checks record batches of format 2, the unit that Kafka sends, stores and replicates. The
// log engine, the coordinators and the produce API call it. It starts no goroutine; its pools hold scratch memory only.
package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// Sizes of the format.
const (
	// HeaderSize is the length of a batch without its records.
	HeaderSize = 61
	// LogOverhead is what precedes the bytes that Header.Length counts: base offset and length.
	LogOverhead = 12
	// Magic is the only format that is read and written.
	Magic = 2
)

// Where the fields of a header are. The CRC covers everything from the attributes on, so offset and epoch can be stamped
// without computing it again.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

// oldOverhead is the shortest length field of the formats before 2.
const oldOverhead = 14

// MaxLength is the largest Header.Length whose Size still fits the protocol's 32-bit lengths.
const MaxLength = math.MaxInt32 - LogOverhead

var (
	// ErrShort says that the bytes end before the batch does.
	ErrShort = fmt.Errorf("batch is cut short: %w", kerr.CorruptMessage)
	// ErrOldMagic says that the batch is of format 0 or 1, which is neither produced nor served any more.
	ErrOldMagic = fmt.Errorf("batch is of an old format: %w", kerr.UnsupportedForMessageFormat)
	// ErrCRC says that the bytes are not those that the checksum was made of.
	ErrCRC = fmt.Errorf("batch has a wrong checksum: %w", kerr.CorruptMessage)

	errMagic  = fmt.Errorf("batch is of an unknown format: %w", kerr.CorruptMessage)
	errLength = fmt.Errorf("batch has an impossible length: %w", kerr.CorruptMessage)
)

// castagnoli is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TimestampType tells who set the timestamps of a batch.
type TimestampType int8

// The two timestamp types, by their bit in the attributes.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String is the name that message.timestamp.type has for t.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Attributes are the flags of a batch.
type Attributes int16

const (
	attrCodec         Attributes = 0x07
	attrLogAppendTime Attributes = 0x08
	attrTransactional Attributes = 0x10
	attrControl       Attributes = 0x20
	attrDeleteHorizon Attributes = 0x40
)

// Codec is the compression of the records. It may be unknown: see compress.Codec.Known.
func (a Attributes) Codec() compress.Codec { return compress.Codec(a & attrCodec) }

// TimestampType tells who set the timestamps.
func (a Attributes) TimestampType() TimestampType {
	if a&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional tells whether the records belong to a transaction.
func (a Attributes) IsTransactional() bool { return a&attrTransactional != 0 }

// IsControl tells whether the one record is a marker that clients do not see.
func (a Attributes) IsControl() bool { return a&attrControl != 0 }

// Header is everything that precedes the records of a batch.
type Header struct {
	BaseOffset      kafka.Offset
	Length          int32 // of what follows the length field
	LeaderEpoch     kafka.LeaderEpoch
	Magic           int8
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      kafka.ProducerID
	ProducerEpoch   kafka.ProducerEpoch
	BaseSequence    int32
	Count           int32
}

// Size is the length of the whole batch in bytes.
func (h Header) Size() int { return LogOverhead + int(h.Length) }

// LastOffset is the offset of the last record, or of the last that was there before compaction.
func (h Header) LastOffset() kafka.Offset { return h.BaseOffset + kafka.Offset(h.LastOffsetDelta) }

// NextOffset is the offset after the batch.
func (h Header) NextOffset() kafka.Offset { return h.LastOffset() + 1 }

// LastSequence is the sequence of the last record: it wraps from the largest int32 to 0, and is NoSequence when BaseSequence is.
func (h Header) LastSequence() int32 {
	if h.BaseSequence == kafka.NoSequence {
		return kafka.NoSequence
	}
	return AddSequence(h.BaseSequence, h.LastOffsetDelta)
}

// SeemsTransactional looks at one bit of what may be a batch, which is not checked.
func SeemsTransactional(b []byte) bool {
	return len(b) >= HeaderSize && b[atMagic] == Magic && Attributes(binary.BigEndian.Uint16(b[atAttributes:])).IsTransactional()
}

// HasProducer tells whether an idempotent or transactional producer sent the batch.
func (h Header) HasProducer() bool { return h.ProducerID > kafka.NoProducerID }

// AddSequence is seq moved on by n records: after the largest int32 comes 0. Neither may be negative.
func AddSequence(seq, n int32) int32 {
	return int32((int64(seq) + int64(n)) & math.MaxInt32)
}

// ParseHeader reads the header that b begins with; b need not hold the records. It checks what is needed to walk on to the
// next batch, nothing else: ErrShort, ErrOldMagic or another error that wraps kerr.CorruptMessage.
func ParseHeader(b []byte) (Header, error) {
	if _, err := sizeOf(b); err != nil {
		return Header{}, err
	}
	if len(b) < HeaderSize {
		return Header{}, ErrShort
	}
	b = b[:HeaderSize]
	be := binary.BigEndian
	return Header{
		BaseOffset:      kafka.Offset(be.Uint64(b[atBaseOffset:])),
		Length:          int32(be.Uint32(b[atLength:])),
		LeaderEpoch:     kafka.LeaderEpoch(be.Uint32(b[atLeaderEpoch:])),
		Magic:           int8(b[atMagic]),
		CRC:             be.Uint32(b[atCRC:]),
		Attributes:      Attributes(be.Uint16(b[atAttributes:])),
		LastOffsetDelta: int32(be.Uint32(b[atLastOffsetDelta:])),
		BaseTimestamp:   int64(be.Uint64(b[atBaseTimestamp:])),
		MaxTimestamp:    int64(be.Uint64(b[atMaxTimestamp:])),
		ProducerID:      kafka.ProducerID(be.Uint64(b[atProducerID:])),
		ProducerEpoch:   kafka.ProducerEpoch(be.Uint16(b[atProducerEpoch:])),
		BaseSequence:    int32(be.Uint32(b[atBaseSequence:])),
		Count:           int32(be.Uint32(b[atCount:])),
	}, nil
}

// sizeOf is the size of the batch that b begins with, of format 2.
func sizeOf(b []byte) (int, error) {
	if len(b) <= atMagic {
		return 0, ErrShort
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	switch magic := int8(b[atMagic]); {
	case length < oldOverhead || length > MaxLength:
		return 0, errLength
	case magic < 0 || magic > Magic:
		return 0, errMagic
	case magic < Magic:
		return 0, ErrOldMagic
	case length < HeaderSize-LogOverhead:
		return 0, errLength
	}
	return LogOverhead + int(length), nil
}

// appendHeader appends h with the CRC field as it is.
func appendHeader(dst []byte, h Header) []byte {
	be := binary.BigEndian
	dst = be.AppendUint64(dst, uint64(h.BaseOffset))
	dst = be.AppendUint32(dst, uint32(h.Length))
	dst = be.AppendUint32(dst, uint32(h.LeaderEpoch))
	dst = append(dst, byte(h.Magic))
	dst = be.AppendUint32(dst, h.CRC)
	dst = be.AppendUint16(dst, uint16(h.Attributes))
	dst = be.AppendUint32(dst, uint32(h.LastOffsetDelta))
	dst = be.AppendUint64(dst, uint64(h.BaseTimestamp))
	dst = be.AppendUint64(dst, uint64(h.MaxTimestamp))
	dst = be.AppendUint64(dst, uint64(h.ProducerID))
	dst = be.AppendUint16(dst, uint16(h.ProducerEpoch))
	dst = be.AppendUint32(dst, uint32(h.BaseSequence))
	return be.AppendUint32(dst, uint32(h.Count))
}

// CheckCRC compares the checksum in b, which is exactly one batch, with its bytes: ErrCRC, or ErrShort for less than a header.
func CheckCRC(b []byte) error {
	if len(b) < HeaderSize {
		return ErrShort
	}
	if binary.BigEndian.Uint32(b[atCRC:]) != checksum(b) {
		return ErrCRC
	}
	return nil
}

// CheckAt reads the batch that begins at from and ends before end, through buf, at least a header long, and checks it as CheckCRC
// does.
func CheckAt(r io.ReaderAt, from, end int64, buf []byte) (Header, error) {
	b := buf[:min(int64(len(buf)), end-from)]
	if n, err := r.ReadAt(b, from); n < len(b) {
		return Header{}, err
	}
	h, err := ParseHeader(b)
	if err != nil {
		return h, err
	}
	left := int64(h.Size())
	if left > end-from {
		return h, ErrShort
	}
	want, sum := binary.BigEndian.Uint32(b[atCRC:]), uint32(0)
	for skip := int64(atAttributes); ; skip = 0 {
		b = b[:min(int64(len(b)), left)]
		sum = crc32.Update(sum, castagnoli, b[skip:])
		from, left = from+int64(len(b)), left-int64(len(b))
		if left == 0 {
			break
		}
		b = buf[:min(int64(len(buf)), left)]
		if n, err := r.ReadAt(b, from); n < len(b) {
			return h, err
		}
	}
	if sum != want {
		return h, ErrCRC
	}
	return h, nil
}

func checksum(b []byte) uint32 { return crc32.Update(0, castagnoli, b[atAttributes:]) }

// stampCRC makes the checksum right after a change to the bytes that it covers.
func stampCRC(b []byte) uint32 {
	crc := checksum(b)
	binary.BigEndian.PutUint32(b[atCRC:], crc)
	return crc
}

// StampOffset writes the base offset and leader epoch into b, which is one batch or the beginning of one. The CRC does
// not cover them.
func StampOffset(b []byte, base kafka.Offset, epoch kafka.LeaderEpoch) {
	_ = b[atMagic]
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(base))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// StampLogAppendTime gives every record of b, which is exactly one batch, the timestamp ts, in place, and makes the CRC again.
func StampLogAppendTime(b []byte, ts int64) {
	stampTimestamp(b, LogAppendTime, ts)
}

// stampTimestamp sets timestamp type and largest timestamp, in place, and makes the CRC again.
func stampTimestamp(b []byte, t TimestampType, max int64) (Attributes, uint32) {
	a := Attributes(binary.BigEndian.Uint16(b[atAttributes:]))
	// The attributes that have no meaning are dropped, as Kafka does when it writes them again.
	a &= attrCodec | attrTransactional | attrControl | attrDeleteHorizon
	if t == LogAppendTime {
		a |= attrLogAppendTime
	}
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(a))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(max))
	return a, stampCRC(b)
}

// Next cuts the first batch off b. The batch aliases b. Nothing but its length and format was checked. An empty b, or one that
// ends within a batch, is ErrShort.
func Next(b []byte) (one, rest []byte, err error) {
	n, err := sizeOf(b)
	if err != nil {
		return nil, b, err
	}
	if len(b) < n {
		return nil, b, ErrShort
	}
	return b[:n:n], b[n:], nil
}

// Split yields the batches of b one after the other, aliasing b, until b is used up. Bytes after the last whole batch yield one
// error of Next (ErrShort for a batch that is cut off, as the end of a fetch response may be), and end the walk.
func Split(b []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(b) > 0 {
			one, rest, err := Next(b)
			if !yield(one, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

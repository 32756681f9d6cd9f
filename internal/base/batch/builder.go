package batch

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/kafka"
)

// BuilderConfig says what kind of batch a Builder makes.
type BuilderConfig struct {
	Codec compress.Codec
	Level int // of compression; 0 is the codec's default

	// ProducerID, Epoch and BaseSequence name the producer. All three zero stand for none, unless ZeroProducer says that
	// they are the first batch of producer 0.
	ProducerID   kafka.ProducerID
	Epoch        kafka.ProducerEpoch
	BaseSequence int32
	ZeroProducer bool

	Transactional bool
	Control       bool

	// TimestampType LogAppendTime gives every record the timestamp AppendTime.
	TimestampType TimestampType
	AppendTime    int64

	BaseOffset  kafka.Offset
	LeaderEpoch kafka.LeaderEpoch // zero is written as it is; AppendLeader stamps its own
}

// A Builder makes one batch of records. It is not safe for use by several goroutines.
type Builder struct {
	config      BuilderConfig
	records     []byte // not compressed
	count       int32
	last        int32 // offset delta of the last record
	base        int64 // timestamp of the first record
	max         int64 // largest timestamp
	offsetOfMax int32 // offset delta of the first record that has it
}

// NewBuilder returns an empty builder. An unknown codec, or a level that the codec does not have, is a mistake of the program.
func NewBuilder(c BuilderConfig) *Builder {
	if !c.Codec.Known() || !compress.ValidLevel(c.Codec, c.Level) {
		panic(fmt.Sprintf("batch: no codec %s with level %d", c.Codec, c.Level))
	}
	b := new(Builder)
	b.Reset(c)
	return b
}

// Reset empties the builder for another batch and keeps its memory.
func (b *Builder) Reset(c BuilderConfig) {
	if c.ProducerID == 0 && c.Epoch == 0 && c.BaseSequence == 0 && !c.ZeroProducer {
		c.ProducerID, c.Epoch, c.BaseSequence = kafka.NoProducerID, kafka.NoProducerEpoch, kafka.NoSequence
	}
	*b = Builder{config: c, records: b.records[:0], last: -1, max: kafka.NoTimestamp}
}

// Append adds a record at the next offset. Key and value nil are null.
func (b *Builder) Append(ts int64, key, value []byte, headers []RecordHeader) {
	b.AppendAt(b.last+1, ts, key, value, headers)
}

// AppendAt adds a record delta offsets after the batch's base, which must be more than that of the record before.
func (b *Builder) AppendAt(delta int32, ts int64, key, value []byte, headers []RecordHeader) {
	if delta <= b.last {
		panic(fmt.Sprintf("batch: offset delta %d after %d", delta, b.last))
	}
	if b.count == 0 {
		b.base = ts
	}
	if ts > b.max {
		b.max, b.offsetOfMax = ts, delta
	}
	b.count++
	b.last = delta
	b.records = appendRecord(b.records, delta, ts-b.base, key, value, headers)
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// Size is the length of the batch if it is not compressed, or compresses to nothing less.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// SizeWith is what Size would be with one more record. Callers that keep a batch under a limit ask before they append.
func (b *Builder) SizeWith(ts int64, key, value []byte, headers []RecordHeader) int {
	delta := int64(0)
	if b.count > 0 {
		delta = ts - b.base
	}
	body := bodySize(b.last+1, delta, key, value, headers)
	return b.Size() + sizeVarint(int64(body)) + body
}

// Bytes appends the batch to dst and returns the longer slice. The builder stays as it is.
func (b *Builder) Bytes(dst []byte) []byte {
	dst, _ = b.appendTo(dst)
	return dst
}

// Finish is the batch, in memory of its own, described as ValidateProduce does for a log's AppendLeader.
func (b *Builder) Finish() Validated {
	batch, h := b.appendTo(nil)
	v := Validated{Batch: batch, Header: h, MaxTimestamp: h.MaxTimestamp, OffsetOfMaxTimestamp: b.offsetOfMax, LogAppendTime: kafka.NoTimestamp}
	if h.Attributes.TimestampType() == LogAppendTime {
		v.OffsetOfMaxTimestamp, v.LogAppendTime = 0, h.MaxTimestamp
	}
	return v
}

func (b *Builder) appendTo(dst []byte) ([]byte, Header) {
	c := &b.config
	h := Header{
		BaseOffset: c.BaseOffset, LeaderEpoch: c.LeaderEpoch, Attributes: c.attributes(), LastOffsetDelta: max(b.last, 0),
		BaseTimestamp: b.base, MaxTimestamp: b.max, ProducerID: c.ProducerID, ProducerEpoch: c.Epoch, BaseSequence: c.BaseSequence,
		Count: b.count,
	}
	if c.TimestampType == LogAppendTime {
		h.MaxTimestamp = c.AppendTime
	}
	return assemble(dst, h, b.records, c.Level)
}

func (c *BuilderConfig) attributes() Attributes {
	a := Attributes(c.Codec)
	if c.TimestampType == LogAppendTime {
		a |= attrLogAppendTime
	}
	if c.Transactional {
		a |= attrTransactional
	}
	if c.Control {
		a |= attrControl
	}
	return a
}

// assemble appends the batch of h and records, compressed as h's attributes say, to dst. It fills in format, length and CRC.
func assemble(dst []byte, h Header, records []byte, level int) ([]byte, Header) {
	dst = slices.Grow(dst, HeaderSize+len(records))
	dst, h, err := assembleWithin(dst, h, records, level, math.MaxInt64)
	if err != nil {
		// Codec and level were checked before, and memory is all that is written to.
		panic("batch: " + err.Error())
	}
	return dst, h
}

// assembleWithin is assemble with a limit on the compressed records: beyond it is compress.ErrLimit.
func assembleWithin(dst []byte, h Header, records []byte, level int, limit int64) ([]byte, Header, error) {
	at := len(dst)
	h.Magic = Magic
	dst = appendHeader(dst, h)
	dst, err := compress.CompressWithin(dst, records, h.Attributes.Codec(), level, limit)
	if err != nil {
		return dst, h, err
	}
	one := dst[at:]
	h.Length = int32(len(one) - LogOverhead)
	binary.BigEndian.PutUint32(one[atLength:], uint32(h.Length))
	h.CRC = stampCRC(one)
	return dst, h, nil
}

func appendRecord(dst []byte, offsetDelta int32, timestampDelta int64, key, value []byte, headers []RecordHeader) []byte {
	dst = binary.AppendVarint(dst, int64(bodySize(offsetDelta, timestampDelta, key, value, headers)))
	dst = append(dst, 0) // attributes
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendNullable(dst, key)
	dst = appendNullable(dst, value)
	dst = binary.AppendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

// appendRaw appends a record that lies in another batch, with other deltas.
func appendRaw(dst []byte, offsetDelta int32, timestampDelta int64, r *rawRecord) []byte {
	size := 1 + sizeVarint(timestampDelta) + sizeVarint(int64(offsetDelta)) + nullableSize(r.key) + nullableSize(r.value)
	size += sizeVarint(int64(r.headerCount)) + len(r.headers)
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, timestampDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendNullable(dst, r.key)
	dst = appendNullable(dst, r.value)
	dst = binary.AppendVarint(dst, int64(r.headerCount))
	return append(dst, r.headers...)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

// bodySize is the length of a record without the length that precedes it.
func bodySize(offsetDelta int32, timestampDelta int64, key, value []byte, headers []RecordHeader) int {
	n := 1 + sizeVarint(timestampDelta) + sizeVarint(int64(offsetDelta)) + nullableSize(key) + nullableSize(value)
	n += sizeVarint(int64(len(headers)))
	for _, h := range headers {
		n += sizeVarint(int64(len(h.Key))) + len(h.Key) + nullableSize(h.Value)
	}
	return n
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return sizeVarint(int64(len(b))) + len(b)
}

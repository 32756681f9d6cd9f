package schedule

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// A Move lies in the inbox as the value of a control record:
//
//	version   int16, 0
//	epoch     int16
//	sequence  int32
//	due       int64     the cursor
//	offset    int64
//	count     varint    then as many offsets, each a varint: the difference to the one before, the first to 0
const moveVersion = 0

// AppendMove appends m as it lies in the inbox.
func AppendMove(dst []byte, m Move) []byte {
	dst = kbin.AppendInt16(dst, moveVersion)
	dst = kbin.AppendInt16(dst, int16(m.Epoch))
	dst = kbin.AppendInt32(dst, m.Sequence)
	dst = kbin.AppendInt64(dst, m.Cursor.Due)
	dst = kbin.AppendInt64(dst, int64(m.Cursor.Offset))
	dst = kbin.AppendVarint(dst, int32(len(m.Offsets)))
	last := kafka.Offset(0)
	for _, o := range m.Offsets {
		dst = kbin.AppendVarlong(dst, int64(o-last))
		last = o
	}
	return dst
}

// ReadMove reads what AppendMove wrote.
func ReadMove(b []byte) (m Move, err error) {
	r := kbin.Reader{Src: b}
	version := r.Int16()
	if r.Ok() && version != moveVersion {
		return m, fmt.Errorf("move of a scheduled topic has version %d, this release reads %d: update the node", version, moveVersion)
	}
	m.Epoch, m.Sequence = kafka.ProducerEpoch(r.Int16()), r.Int32()
	m.Cursor = Place{r.Int64(), kafka.Offset(r.Int64())}
	count := r.Varint()
	if count < 1 || int(count) > len(r.Src) {
		return Move{}, fmt.Errorf("move of a scheduled topic names %d records in %d bytes", count, len(r.Src))
	}
	m.Offsets = make([]kafka.Offset, count)
	last := kafka.Offset(0)
	for i := range m.Offsets {
		last += kafka.Offset(r.Varlong())
		m.Offsets[i] = last
		if last < 0 {
			return Move{}, fmt.Errorf("move of a scheduled topic names offset %d", last)
		}
	}
	if err := r.Complete(); err != nil {
		return Move{}, fmt.Errorf("move of a scheduled topic: %w", err)
	}
	if m.Epoch < 0 || m.Sequence < 0 || m.Cursor.Offset != last {
		return Move{}, fmt.Errorf("move of a scheduled topic has epoch %d, sequence %d, cursor at %d and last record at %d",
			m.Epoch, m.Sequence, m.Cursor.Offset, last)
	}
	return m, nil
}

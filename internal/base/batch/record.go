package batch

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// RecordHeader is one header of a record. Value nil is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Record is one record of a batch. Key and Value nil are null, which an empty slice is not.
type Record struct {
	Offset    kafka.Offset
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []RecordHeader
}

// Errors of records. Each wraps kerr.InvalidRecord.
var (
	errRecordSize     = fmt.Errorf("record is not as long as it declares: %w", kerr.InvalidRecord)
	errRecordField    = fmt.Errorf("record has a field that goes past its end: %w", kerr.InvalidRecord)
	errRecordHeaders  = fmt.Errorf("record has an impossible number of headers: %w", kerr.InvalidRecord)
	errHeaderKey      = fmt.Errorf("record has a header without a key: %w", kerr.InvalidRecord)
	errMissingRecords = fmt.Errorf("batch has fewer records than it declares: %w", kerr.InvalidRecord)
	errMoreRecords    = fmt.Errorf("batch has bytes after its last record: %w", kerr.InvalidRecord)
	errRecordCount    = fmt.Errorf("batch declares a negative number of records: %w", kerr.InvalidRecord)
)

// rawRecord is a record as it lies in the batch, its headers unread but walked.
type rawRecord struct {
	timestampDelta int64
	offsetDelta    int32
	key, value     []byte
	headers        []byte // from the first header on
	headerCount    int32
}

// cutRecord reads the record that b, the rest of a batch's records inflated, begins with, into r, and returns what follows it.
func cutRecord(b []byte, r *rawRecord) ([]byte, error) {
	size, i := varint32(b, 0)
	if i == 0 {
		return nil, errMissingRecords
	}
	if size < 1 || int(size) > len(b)-i {
		return nil, errRecordSize
	}
	rest := b[i+int(size):]
	b = b[i+1 : i+int(size)] // without the attributes, which mean nothing yet
	if r.timestampDelta, i = varint64(b, 0); i == 0 {
		return nil, errRecordField
	}
	if r.offsetDelta, i = varint32(b, i); i == 0 {
		return nil, errRecordField
	}
	if r.key, i = bytesAt(b, i); i == 0 {
		return nil, errRecordField
	}
	if r.value, i = bytesAt(b, i); i == 0 {
		return nil, errRecordField
	}
	if r.headerCount, i = varint32(b, i); i == 0 {
		return nil, errRecordField
	}
	r.headers = b[i:]
	if r.headerCount != 0 {
		return rest, checkHeaders(r.headers, r.headerCount)
	}
	if i != len(b) {
		return nil, errRecordSize
	}
	return rest, nil
}

// bytesAt reads a length and as many bytes at b[i:], and returns the index of what follows, or 0 where they go past the end. Any
// negative length is null.
func bytesAt(b []byte, i int) (field []byte, next int) {
	size, i := varint32(b, i)
	if i == 0 || size < 0 {
		return nil, i
	}
	end := i + int(size)
	if end > len(b) {
		return nil, 0
	}
	return b[i:end:end], end
}

// checkHeaders walks count headers, which must fill b.
func checkHeaders(b []byte, count int32) error {
	if count < 0 || int(count) > len(b) {
		return errRecordHeaders
	}
	i := 0
	for ; count > 0; count-- {
		var key []byte
		if key, i = bytesAt(b, i); i == 0 {
			return errRecordField
		}
		if key == nil {
			return errHeaderKey
		}
		if _, i = bytesAt(b, i); i == 0 {
			return errRecordField
		}
	}
	if i != len(b) {
		return errRecordSize
	}
	return nil
}

// appendHeaders appends the headers of r, which cutRecord has walked. Their values alias the batch.
func (r *rawRecord) appendHeaders(dst []RecordHeader) []RecordHeader {
	i := 0
	for range r.headerCount {
		var key, value []byte
		key, i = bytesAt(r.headers, i)
		value, i = bytesAt(r.headers, i)
		dst = append(dst, RecordHeader{Key: string(key), Value: value})
	}
	return dst
}
